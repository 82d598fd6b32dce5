"""Files that are written whole or not at all.

    write(run.folder / "run.json", text.encode())      # RunError: "... No space left on device"

The content goes into a file beside the place, which is then renamed: whoever reads, or looks at
what is there after the power was cut, finds the old file or the new one.
"""

from __future__ import annotations

import os
from pathlib import Path

from specc.runtime.errors import run_error


def write(path: Path, content: bytes | memoryview) -> None:
    """Put a file in its place. Raises `RunError`, with what was there before still there."""
    try:
        replace(path, content)
    except OSError as error:
        raise run_error(f"`{path}` cannot be written: {reason(error)}", path) from None


def replace(path: Path, content: bytes | memoryview) -> None:
    """`write`, with the `OSError` itself. A pipe or device is written to as it is."""
    if path.exists() and not path.is_file():
        path.write_bytes(content)
        return
    path = path.resolve()  # a link stays one
    beside = path.with_name(f".{path.name[:100]}.{os.getpid()}")
    try:
        with beside.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        os.replace(beside, path)
    finally:
        beside.unlink(missing_ok=True)


def reason(error: OSError) -> str:
    """The system's words for what went wrong, without Python's."""
    return error.strerror or type(error).__name__
