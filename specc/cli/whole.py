"""Writes files whole or not at all.

write_whole(Path("lenet.dl"), text)     # the old file stays until the new one is complete
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

import click


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file through a temporary file beside it. Raise a usage error if that fails."""
    path = Path(os.path.realpath(path))  # a symbolic link stays a link
    part = None
    try:
        handle, part = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=".part")
        with os.fdopen(handle, "wb") as file:
            file.write(content if isinstance(content, bytes) else content.encode("utf-8"))
        if path.exists():
            shutil.copymode(path, part)
        else:
            mask = os.umask(0)
            os.umask(mask)
            os.chmod(part, 0o666 & ~mask)
        os.replace(part, path)
    except OSError as error:
        if part is not None and os.path.exists(part):
            os.unlink(part)
        raise click.UsageError(f"cannot write `{path}`: {error.strerror}") from None
