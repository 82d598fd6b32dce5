"""Downloads of data sets into the user's data folder, verified and resumable.

    fetch("mnist", data_folder(), progress=lambda name, done, total: None)

A file appears only once it is complete and verified. Until then, the part received so far is kept
beside it, and the next download resumes from there.
"""

from __future__ import annotations

import hashlib
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path

from specc.diagnostics import SpecError
from specc.recipe.datasets import DATASETS, Dataset, Remote
from specc.runtime.errors import diagnostic, start_of
from specc.runtime.files import make_folders, reason

CHUNK = 2**18  # bytes per read
SECONDS = 30  # timeout of a request
Progress = Callable[[str, int, int], None]
"""Called with the name of a file, the bytes received so far, and its total size in bytes."""


def fetch(
    name: str,
    folder: Path,
    progress: Progress = lambda name, done, total: None,
    datasets: dict[str, Dataset] = DATASETS,
) -> list[Path]:
    """Fetch the files of a data set into `folder/name`; files that exist are only verified.

    Raises `SpecError` if a file cannot be fetched, or is not what it should be.
    """
    own = folder / name
    try:
        make_folders(own)
    except OSError as error:
        raise _failed(own, f"cannot write to `{own}`: {reason(error)}") from None
    found = []
    for remote in datasets[name].files:
        path = own / remote.name
        if not (path.is_file() and is_whole(path, remote)):
            _fetch(remote, path, progress)
        found.append(path)
    return found


def is_whole(path: Path, remote: Remote) -> bool:
    """Return whether a file has the expected size and digest."""
    algorithm, _, digest = remote.digest.partition(":")
    if path.stat().st_size != remote.size:
        return False
    with path.open("rb") as file:
        return hashlib.file_digest(file, algorithm).hexdigest() == digest


def _fetch(remote: Remote, path: Path, progress: Progress) -> None:
    """Fetch one file, resuming an earlier attempt."""
    beside = path.with_name(f".{path.name}.part")
    try:
        _receive(remote, beside, progress)
    except urllib.error.HTTPError as error:
        message = f"`{remote.address}` answers {error.code} ({error.reason})"
        raise _failed(path, message) from None
    except (urllib.error.URLError, OSError, ValueError) as error:
        cause = getattr(error, "reason", None) or getattr(error, "strerror", None) or error
        raise _failed(
            path, f"cannot fetch `{remote.address}`: {cause}", "run the same command to resume"
        ) from None
    size = beside.stat().st_size
    if size < remote.size:
        raise _failed(
            path,
            f"`{remote.address}` ended after {size:,} of {remote.size:,} bytes",
            "run the same command to resume",
        )
    if not is_whole(beside, remote):
        beside.unlink()
        raise _failed(
            path,
            f"the file at `{remote.address}` is not the one that specc expects: its"
            f" {remote.digest.partition(':')[0].upper()} differs",
            "specc removed the file; try again later, or download it by hand and check its origin",
        )
    beside.replace(path)


def _receive(remote: Remote, beside: Path, progress: Progress) -> None:
    """Append a server's answer to the partial file, starting at its size."""
    done = beside.stat().st_size if beside.is_file() else 0
    if done >= remote.size:
        if is_whole(beside, remote):
            return
        beside.unlink()
        done = 0
    request = urllib.request.Request(remote.address, headers={"User-Agent": "specc"})
    if done:
        request.add_header("Range", f"bytes={done}-")
    with urllib.request.urlopen(request, timeout=SECONDS) as answer:
        is_rest = answer.status == 206
        with beside.open("ab" if is_rest else "wb") as file:
            done = done if is_rest else 0
            progress(remote.name, done, remote.size)
            while done <= remote.size and (content := answer.read(CHUNK)):
                file.write(content)
                done += len(content)
                progress(remote.name, done, remote.size)


def _failed(path: Path, message: str, help: str | None = None) -> SpecError:
    return SpecError([diagnostic("data", message, start_of(path), help=help)])
