"""Reading of model files: problems with the file itself become diagnostics.

read_source("a.dl")         # Source("a.dl", "dim n = 3\n")
read_source("missing.dl")   # SpecError: cannot read `missing.dl`: there is no such file
"""

from __future__ import annotations

from pathlib import Path
from stat import S_ISDIR, S_ISFIFO, S_ISREG

from specc.diagnostics import Diagnostic, SpecError
from specc.source import Source, Span

LARGEST = 4 * 1024 * 1024
"""The most bytes of a file."""
OPEN_FILES = Path("/dev/fd")


def read_source(path: str | Path) -> Source:
    """Return the source in the file at `path`.

    Raises SpecError if the file does not exist, is a folder, a pipe or a device, is not UTF-8, or
    is larger than `LARGEST`.
    """
    path = Path(path)
    try:
        text = _text(path)
    except FileNotFoundError:
        reason = "there is no such file"
    except IsADirectoryError:
        reason = "it is a folder"
    except PermissionError:
        reason = "it is a folder" if path.is_dir() else "permission denied"
    except (OSError, ValueError) as error:
        reason = str(getattr(error, "strerror", None) or error)
    else:
        return Source(str(path), text)
    span = Span(Source(str(path), ""), 0, 0)
    raise SpecError([Diagnostic("cannot-read", "error", f"cannot read `{path}`: {reason}", span)])


def _text(path: Path) -> str:
    """Return the text of a file. Raises OSError with the reason if it cannot be read."""
    mode = path.stat().st_mode
    # opening a pipe waits for a writer; pipes under /dev/fd (`<(...)` in a shell) have one
    if not (S_ISREG(mode) or S_ISDIR(mode) or (path.parent == OPEN_FILES and S_ISFIFO(mode))):
        raise OSError(None, "it is a pipe or a device, not a file")
    with path.open("rb") as file:
        data = file.read(LARGEST + 1)
    if len(data) > LARGEST:
        raise OSError(None, f"it is larger than {LARGEST // 2**20} MB")
    try:
        # A byte-order mark is not part of the text; line ends are
        # a single line feed inside the compiler.
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        reason = f"line {line} is not UTF-8 text (byte {data[error.start]:#04x})"
        raise OSError(None, reason) from None
    return text.replace("\r\n", "\n").replace("\r", "\n")
