"""The memory of this machine.

machine_memory()        # 33_554_432_000, or None if the system does not say
"""

from __future__ import annotations

import os
from pathlib import Path

LIMITS = ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes")
"""Files in which Linux states how much memory the processes of a container may take."""


def machine_memory() -> int | None:
    """Return the bytes of memory that this process may take."""
    try:
        found = [os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")]
    except (AttributeError, ValueError, OSError):  # Windows
        return None
    for path in LIMITS:
        try:
            found.append(int(Path(path).read_bytes()))
        except (OSError, ValueError):  # there is no such file, or it says "max"
            continue
    return min(found)
