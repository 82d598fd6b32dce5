"""`cifar10(file, ..)`: the binary form of the CIFAR-10 images, in one or several files.

A record is a byte for the label and 3,072 bytes for an image of 3 x 32 x 32 (A. Krizhevsky:
Learning Multiple Layers of Features from Tiny Images, 2009). Instead of the files, the archive
`.tar.gz` can be named: its `data_batch_1.bin` to `data_batch_5.bin` are read, or, with `part =
test`, its `test_batch.bin`.
"""

from __future__ import annotations

import tarfile
import zlib
from collections.abc import Collection, Sequence
from pathlib import Path

import numpy as np

from specc.runtime.data.request import Request
from specc.runtime.data.table import Columns, Raw, Table

ARCHIVE = "cifar-10-binary.tar.gz"
SHAPE = (3, 32, 32)
RECORD = 1 + 3 * 32 * 32
CLASSES = (
    "airplane", "automobile", "bird", "cat", "deer", "dog", "frog", "horse", "ship", "truck",
)  # fmt: skip


def table(request: Request) -> Table:
    """Return the images and labels of the files. Raises `DataError` if they cannot be read."""
    paths = request.files() or [request.fetched("cifar10", ARCHIVE)]

    def read(names: Sequence[str], texts: Collection[str]) -> Columns:
        parts = [
            each
            for position, path in enumerate(paths)
            for each in _records(request, path, position)
        ]
        records = np.concatenate(parts)
        if (records[:, 0] > 9).any():
            row = int(np.argmax(records[:, 0] > 9))
            raise request.error(
                f"record {row + 1} has the label {records[row, 0]}, but labels are 0 to 9",
                argument=0,
                help="CIFAR-100 has another format; download `cifar-10-binary.tar.gz`",
            )
        title = f"`{paths[0].name}`"
        raw = {
            "image": Raw(
                np.ascontiguousarray(records[:, 1:]).reshape(-1, *SHAPE), title=title, is_image=True
            ),
            "label": Raw(np.ascontiguousarray(records[:, 0]), title=title),
        }
        count = None if request.limit is None else -1
        return Columns(raw, len(records), lambda row, name, _=0: f"{name} {row + 1}", count)

    return Table(f"`{paths[0].name}`", ["image", "label"], read, by_kind=True, noun="array")


def _records(request: Request, path: Path, position: int) -> list[np.ndarray]:
    if path.name.endswith((".tar.gz", ".tgz", ".tar")):
        return _archived(request, path, position)
    content = bytes(request.read(path, position))
    is_part = request.limit is not None and len(content) >= request.limit
    return [_array(request, path.name, content, position, is_part)]


def _archived(request: Request, path: Path, position: int) -> list[np.ndarray]:
    prefix = "test_batch" if request.settings()["part"] == "test" else "data_batch"
    found: dict[str, np.ndarray] = {}
    try:
        with tarfile.open(path) as archive:
            for member in archive:
                name = Path(member.name).name
                if not (name.startswith(prefix) and name.endswith(".bin")):
                    continue
                file = archive.extractfile(member)
                assert file is not None, "a file of an archive; please report this"
                most = -1 if request.limit is None else request.limit
                is_part = most >= 0
                found[name] = _array(request, name, file.read(most), position, is_part)
                if is_part:
                    break
    except (tarfile.TarError, EOFError, zlib.error, OSError) as error:
        raise request.error(
            f"`{path}` is damaged or cut short: {error}",
            argument=position,
            help="download the file again",
        ) from None
    if not found:
        raise request.error(
            f"`{path}` has no `{prefix}.bin`", argument=position, help="download the file again"
        )
    return [found[name] for name in sorted(found)]


def _array(request: Request, name: str, content: bytes, position: int, is_part: bool) -> np.ndarray:
    """Return the records of a file as uint8 `[N, 3073]`."""
    extra = len(content) % RECORD
    if not content or (extra and not is_part):
        raise request.error(
            f"`{name}` is not in CIFAR-10's binary format: it has {len(content):,} bytes, not a"
            f" multiple of {RECORD:,}",
            argument=position,
            help="download the file again",
        )
    return np.frombuffer(content[: len(content) - extra], np.uint8).reshape(-1, RECORD)
