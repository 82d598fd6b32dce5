"""The processor's name, number and cache sizes, as the operating system reports them.

processor_name()                     # "AMD EPYC 9B45"; empty if the system does not report it
cache_sizes()                        # (49152, 1048576, 33554432): bytes of L1, L2 and L3
"""

from __future__ import annotations

import os
import platform
import sys
from collections.abc import Mapping
from pathlib import Path

_CACHES = Path("/sys/devices/system/cpu/cpu0/cache")
_CPU_INFO = Path("/proc/cpuinfo")
_UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
# The sizes if the system does not report them: most processors of the last ten years have at least
# these.
_USUAL = {1: 32 << 10, 2: 256 << 10}


def processors() -> int:
    """Return the number of processors that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def processor_name() -> str:
    """Return the processor's name, with its family and model if the system reports them."""
    try:
        lines = _CPU_INFO.read_text().splitlines()
    except OSError:
        return _sysctl("machdep.cpu.brand_string") or platform.processor()
    found: dict[str, str] = {}
    for line in lines:
        key, _, value = line.partition(":")
        found.setdefault(key.strip(), value.strip())
    name = found.get("model name", "")
    if "cpu family" in found and "model" in found:
        name += f" (family {found['cpu family']}, model {found['model']})"
    return name.strip() or platform.processor()


def cache_sizes() -> tuple[int, int, int]:
    """Return the bytes of a core's L1, L2 and L3 cache."""
    return _complete(_from_linux() if _CACHES.exists() else _from_macos())


def _complete(found: Mapping[int, int]) -> tuple[int, int, int]:
    """Return all three sizes; for missing ones, usual sizes or that of the level before."""
    first = found.get(1) or _USUAL[1]
    second = max(found.get(2) or _USUAL[2], first)
    return first, second, max(found.get(3) or 0, second)


def _from_linux() -> dict[int, int]:
    found: dict[int, int] = {}
    for folder in sorted(_CACHES.glob("index*")):
        try:
            level, kind, size = (
                (folder / name).read_text().strip() for name in ("level", "type", "size")
            )
            if kind != "Instruction":
                found[int(level)] = int(size[:-1]) * _UNITS[size[-1]]
        except (OSError, ValueError, KeyError, IndexError):
            continue
    return found


def _from_macos() -> dict[int, int]:
    names = {1: "l1dcachesize", 2: "l2cachesize", 3: "l3cachesize"}
    found = {}
    for level, name in names.items():
        text = _sysctl(f"hw.perflevel0.{name}") or _sysctl(f"hw.{name}")
        if text.isdigit():
            found[level] = int(text)
    return found


def _sysctl(name: str) -> str:
    """Return a property of a macOS system; an empty string on other systems."""
    if sys.platform != "darwin" or not os.path.exists("/usr/sbin/sysctl"):
        return ""
    import subprocess

    done = subprocess.run(
        ["/usr/sbin/sysctl", "-n", name], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()
