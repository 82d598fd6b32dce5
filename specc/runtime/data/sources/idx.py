"""`idx(images, labels; scale, shift)`: the format of the MNIST files, plain or gzip.

Two zero bytes, a byte for the type, a byte for the number of axes, each size as four bytes, then
the values, all big-endian (Y. LeCun, C. Cortes, C. Burges: The MNIST database, 1998). The labels
may be left out if a model has no port for them. The files have no names, so ports are matched by
kind, or by name if a port is called `image` or `label`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Collection, Sequence
from math import prod
from pathlib import Path

import numpy as np

from specc.recipe.datasets import DATASETS
from specc.runtime.data.request import Request
from specc.runtime.data.table import Columns, Raw, Table

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

MOST_AXES = 32  # largest number of axes that every version of NumPy supports


def table(request: Request) -> Table:
    """Return the images and the labels as columns."""
    fetched = {"mnist": "mnist", "fashion_mnist": "fashion-mnist"}.get(request.call.word)
    paths = request.files() if fetched is None else _fetched(request, fetched)
    names = ["image", "label"][: len(paths)]

    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        raw: dict[str, Raw] = {}
        totals, count = [], None
        for position, (name, path) in enumerate(zip(names, paths, strict=True)):
            values, whole = array(request, path, position)
            is_image = position == 0 and values.ndim > 2
            raw[name] = Raw(values, None, None, f"`{path.name}`", position, is_image)
            totals.append(len(values) if whole is None else whole)
            count = count if whole is None else whole
        if len(set(totals)) > 1:
            raise request.error(
                f"`{paths[0].name}` has {totals[0]:,} examples, but `{paths[1].name}` has"
                f" {totals[1]:,}",
                help="the two files do not belong together",
            )
        rows = min(map(len, raw.values()))
        raw = {name: each.rows(slice(rows)) for name, each in raw.items()}
        locations = {
            name: _location(paths[names.index(name)], each.array) for name, each in raw.items()
        }
        return Columns(raw, rows, lambda row, name, element=0: locations[name](row, element), count)

    return Table(f"`{paths[0].name}`", names, read, by_kind=True, noun="array")


def _fetched(request: Request, name: str) -> list[Path]:
    """Return the files of a data set in the user's data folder."""
    request.files()
    first = "t10k" if request.settings()["part"] == "test" else "train"
    chosen = [each for each in DATASETS[name].files if each.name.startswith(first)]
    return [request.fetched(name, each.name) for each in chosen]


def array(request: Request, path: Path, argument: int) -> tuple[np.ndarray, int | None]:
    """Return the array in an IDX file and None; or its beginning and its number of examples.

    The array has the machine's byte order. Raises `DataError` if the file is not valid.
    """
    content = request.read(path, argument)
    kind, rank = (content[2], content[3]) if len(content) >= 4 else (None, 0)
    if content[:2] != b"\0\0" or kind not in TYPES or rank == 0:
        found = f"starts with the bytes {bytes(content[:4]).hex(' ')}" if content else "is empty"
        raise request.error(
            f"`{path}` is not an IDX file: it {found}",
            argument=argument,
            help="an IDX file of images starts with 00 00 08 03, of labels with 00 00 08 01",
        )
    start = 4 + 4 * rank
    if len(content) < start:
        raise request.error(
            f"`{path}` is cut short within its header",
            argument=argument,
            help="download the file again",
        )
    if rank > MOST_AXES:
        raise request.error(
            f"`{path}` has {rank} axes in its header; an array has at most {MOST_AXES}",
            argument=argument,
            help="download the file again",
        )
    sizes = struct.unpack_from(f">{rank}I", content, 4)
    dtype = np.dtype(TYPES[kind])
    promised = prod(sizes) * dtype.itemsize
    if request.is_part(content) and promised > len(content) - start:
        each = prod(sizes[1:])
        read = (len(content) - start) // max(1, each * dtype.itemsize)
        values = np.frombuffer(content, dtype, read * each, start).reshape(read, *sizes[1:])
        return values.astype(dtype.newbyteorder("="), copy=False), sizes[0]
    if len(content) - start != promised:
        held = len(content) - start
        how = "is cut short" if held < promised else "is too long"
        raise request.error(
            f"`{path}` {how}: it has {held:,} bytes of values, but its header {list(sizes)}"
            f" requires {promised:,}",
            argument=argument,
            help="download the file again",
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(sizes)
    return values.astype(dtype.newbyteorder("="), copy=False), None


def _location(path: Path, values: np.ndarray) -> Callable[[int, int], str]:
    what = "image" if values.ndim > 2 else "row"

    def location(row: int, element: int) -> str:
        if values.ndim == 1:
            return f"`{path.name}`, row {row + 1}"
        at = np.unravel_index(element, values.shape[1:])
        inner = ", ".join(str(int(i) + 1) for i in at)
        return f"`{path.name}`, {what} {row + 1}, value [{inner}]"

    return location
