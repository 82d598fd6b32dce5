"""`idx(images, labels; scale, shift)`: the format of the MNIST files, plain or gzip.

Two zero bytes, a byte for the type, a byte for the number of axes, each size as four bytes, then
the values, all big-endian (Y. LeCun, C. Cortes, C. Burges: The MNIST database, 1998). The labels
may be left out where a model has no port for them. Names play no role in such files, so ports are
bound by kind, or by name where a port is called `image` or `label`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from math import prod
from pathlib import Path

import numpy as np

from specc.runtime.data.field import Field
from specc.runtime.data.match import by_kind
from specc.runtime.data.request import Request

TYPES = {0x08: "u1", 0x09: "i1", 0x0B: ">i2", 0x0C: ">i4", 0x0D: ">f4", 0x0E: ">f8"}

MOST_AXES = 32  # of an array, in all versions of NumPy


def read(request: Request) -> dict[str, Field]:
    """The fields for the ports that can take them: port -> field."""
    paths = request.files()
    settings = request.settings()
    images, count = array(request, paths[0], 0)
    fields = {
        "image": Field(
            f"`{paths[0].name}`",
            images,
            _place(paths[0], images),
            settings["scale"],
            settings["shift"],
            is_image=images.ndim > 2,
            count=count,
        )
    }
    if len(paths) > 1:
        labels, count = array(request, paths[1], 1)
        place = _place(paths[1], labels)
        fields["label"] = Field(f"`{paths[1].name}`", labels, place, argument=1, count=count)
        held = [each.examples for each in fields.values()]
        if held[0] != held[1]:
            raise request.error(
                f"`{paths[0].name}` holds {held[0]:,} examples, but `{paths[1].name}` holds"
                f" {held[1]:,}",
                help="the two files do not belong together",
            )
    return by_kind(request, fields)


def array(request: Request, path: Path, argument: int) -> tuple[np.ndarray, int | None]:
    """The array in an IDX file, in the machine's byte order; or its beginning, and the number of
    examples in all. Raises `DataError`."""
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
            help="fetch the file again",
        )
    if rank > MOST_AXES:
        raise request.error(
            f"`{path}` has {rank} axes in its header; an array has at most {MOST_AXES}",
            argument=argument,
            help="fetch the file again",
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
            f"`{path}` {how}: it holds {held:,} bytes of values, where its header {list(sizes)}"
            f" promises {promised:,}",
            argument=argument,
            help="fetch the file again",
        )
    values = np.frombuffer(content, dtype, offset=start).reshape(sizes)
    return values.astype(dtype.newbyteorder("="), copy=False), None


def _place(path: Path, values: np.ndarray) -> Callable[[int, int], str]:
    what = "image" if values.ndim > 2 else "row"

    def place(row: int, element: int) -> str:
        if values.ndim == 1:
            return f"`{path.name}`, row {row + 1}"
        at = np.unravel_index(element, values.shape[1:])
        inner = ", ".join(str(int(i) + 1) for i in at)
        return f"`{path.name}`, {what} {row + 1}, value [{inner}]"

    return place
