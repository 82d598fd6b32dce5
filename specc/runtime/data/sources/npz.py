"""`npz(file)`: arrays saved with `numpy.savez`; `npy(files)`: files of one array each.

    npz("train.npz"; image = "x_train", label = "y_train", scale = 1/255)
    npy("image.npy", "label.npy"; scale = 1/255)         # arrays are named after their files

Each array is `[N, *shape]` and is matched to the port of its name; a setting with the name of a
port names another array. `scale` and `shift` apply to the model's "float" inputs, not to its
targets. An array of strings fits a port that is a sequence of classes; `level`, `limit` and
`unknown` work as for `text`. The files of `npy` are memory-mapped, so they may be larger than
memory.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.runtime.data.request import Request, listed
from specc.runtime.data.table import Columns, Raw, Table
from specc.runtime.errors import DataError

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

NPY = b"\x93NUMPY"
Part = tuple[np.ndarray, int | None]
"""An array and None, or the beginning of an array and its number of rows in the file."""


def table(request: Request) -> Table:
    """Return the arrays of a file as columns. Raises `DataError` if it cannot be read."""
    paths = request.files()
    if request.call.word == "npy" or len(paths) > 1 or paths[0].suffix == ".npy":
        return _single(request, paths)
    (path,) = paths
    try:
        archive = np.load(
            path, mmap_mode=None if request.limit is None else "r", allow_pickle=False
        )
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        raise _unreadable(request, path, error) from None
    if isinstance(archive, np.ndarray):
        return _single(request, paths)
    with archive:
        names = list(archive.files)

    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        try:
            with np.load(path, allow_pickle=False) as archive:
                found = {name: _array(request, path, archive, name) for name in wanted}
        except (OSError, zipfile.BadZipFile) as error:
            raise _unreadable(request, path, error) from None
        return _columns(request, path.name, found)

    return Table(f"`{path.name}`", names, read, noun="array")


def _single(request: Request, paths: list[Path]) -> Table:
    """Return `.npy` files as columns, named after their files; their arrays stay on the disk."""
    names = [path.name.partition(".")[0] for path in paths]
    if len(paths) == 1 and len(request.ports) == 1:
        names = [request.ports[0].name]
    elif len(paths) == 1 and len(request.ports) > 1 and names[0] not in _names(request):
        raise request.error(
            f"`{paths[0]}` has a single array without a name",
            argument=0,
            help="save it with `numpy.savez(file, x=..., y=...)`",
        )

    def read(wanted: Sequence[str], texts: Collection[str]) -> Columns:
        found: dict[str, Part] = {}
        for position, (name, path) in enumerate(zip(names, paths, strict=True)):
            if name not in wanted:
                continue
            array = _mapped(request, path, position)
            rows = _rows(request, array.shape, array.dtype)
            is_all = rows >= len(array)
            found[name] = (array, None) if is_all else (np.array(array[:rows]), len(array))
        shown = ", ".join(path.name for path in paths)
        return _columns(request, shown, found, [names.index(name) for name in found])

    return Table(listed(path.name for path in paths), names, read, noun="array")


def _names(request: Request) -> set[str]:
    return {port.name for port in request.ports} | set(request.columns().values())


def _mapped(request: Request, path: Path, position: int) -> np.ndarray:
    """Return the array of a file, memory-mapped if the system can do so."""
    try:
        array = np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        raise _unreadable(request, path, error, position) from None
    if not isinstance(array, np.ndarray):
        raise request.error(
            f"`{path}` is an archive of arrays", argument=position, help="read it with `npz(..)`"
        )
    return _with_examples(request, path, path.stem, array)


def _columns(
    request: Request,
    shown: str,
    arrays: dict[str, Part],
    arguments: Sequence[int] | None = None,
) -> Columns:
    """Return arrays as columns. Raises `DataError` if their numbers of rows differ."""
    raw: dict[str, Raw] = {}
    totals: dict[str, int] = {}
    for place, (name, (array, count)) in enumerate(arrays.items()):
        title = f"the array `{name}` of `{shown}`"
        argument = arguments[place] if arguments else 0
        found = _raw(array, title)
        raw[name] = replace(found, argument=argument)
        totals[name] = len(array) if count is None else count
    first = next(iter(totals))
    for name, total in totals.items():
        if total != totals[first]:
            raise request.error(
                f"{raw[first].title} has {totals[first]:,} examples, but {raw[name].title} has"
                f" {total:,}",
                argument=raw[name].argument,
                help="all arrays must have the same first axis",
            )
    rows = min(map(len, raw.values()))
    total = totals[first]
    raw = {
        name: each if len(each) == rows else each.rows(slice(rows)) for name, each in raw.items()
    }
    shapes = {name: each.shape for name, each in raw.items()}

    def location_of(row: int, name: str, element: int = 0) -> str:
        inner = ""
        if shapes[name]:
            at = np.unravel_index(element, shapes[name])
            inner = f", value [{', '.join(str(int(i) + 1) for i in at)}]"
        return f"`{shown}`, array `{name}`, row {row + 1}{inner}"

    is_part = any(count is not None for _, count in arrays.values())
    return Columns(raw, rows, location_of, total if is_part else None)


def _raw(array: np.ndarray, title: str) -> Raw:
    """Return an array as a column; strings become words."""
    if array.dtype.kind == "U":
        words, codes = np.unique(array, return_inverse=True)
        known = np.empty(len(words), object)
        known[:] = words.tolist()
        return Raw(codes.reshape(array.shape).astype(np.int32), known, None, title)
    if array.dtype.kind == "M":
        gaps = np.isnat(array)
        return Raw(array.astype("datetime64[us]"), None, gaps if gaps.any() else None, title)
    return Raw(array, None, None, title)


def _array(request: Request, path: Path, archive: NpzFile, name: str) -> Part:
    try:
        if request.limit is not None and (part := _beginning(request, path, name)) is not None:
            return part
        array = archive[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise request.error(
                f"the array `{name}` of `{path.name}` has Python objects, not numbers",
                argument=0,
                help="save it with a numeric type: `x.astype(numpy.float32)`; put sequences of"
                " different lengths into one array, padded with NaN",
            ) from None
        raise _unreadable(request, path, error) from None
    return _with_examples(request, path, name, array), None


def _beginning(request: Request, path: Path, name: str) -> Part | None:
    """Return the first rows of an array and its number of rows; None if all of it is read."""
    with zipfile.ZipFile(path) as archive, archive.open(_member(archive, name)) as file:
        version = np.lib.format.read_magic(file)
        header = {
            (1, 0): np.lib.format.read_array_header_1_0,
            (2, 0): np.lib.format.read_array_header_2_0,
        }.get(version)
        if header is None:
            return None
        shape, is_fortran, dtype = header(file)
        if dtype.hasobject or not shape or (rows := _rows(request, shape, dtype)) >= shape[0]:
            return None
        if is_fortran and len(shape) > 1:  # the elements of a row are spread over the whole file
            return np.empty((0, *shape[1:]), dtype), shape[0]
        size = dtype.itemsize * prod(shape[1:])
        values = np.frombuffer(file.read(rows * size), dtype).reshape(rows, *shape[1:])
        return values.astype(dtype.newbyteorder("="), copy=False), shape[0]


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """Return the name of an array's file in an archive."""
    return next(each for each in archive.namelist() if each in (name, f"{name}.npy"))


def _rows(request: Request, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """Return the number of rows of an array to read."""
    if request.limit is None:
        return shape[0]
    return max(1, request.limit // max(1, dtype.itemsize * prod(shape[1:])))


def _with_examples(request: Request, path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 0:
        raise request.error(
            f"the array `{name}` of `{path.name}` is a single number",
            argument=0,
            help="its first axis must count the examples",
        )
    return array


def _unreadable(request: Request, path: Path, error: Exception, argument: int = 0) -> DataError:
    start = b""
    if not isinstance(error, OSError) or error.errno is None:  # not an error of the system
        with suppress(OSError), path.open("rb") as file:
            start = file.read(6)
        why = f"it is {_state(start, error)}"
    else:
        why = error.strerror or type(error).__name__
    is_npy = start.startswith(NPY) or path.suffix == ".npy"
    how = "numpy.save(file, x)" if is_npy else "numpy.savez(file, x=..., y=...)"
    help_ = f"save it with `{how}`"
    if path.suffix in (".csv", ".tsv"):
        help_ = f'read a table with `csv("{path.name}")`'
    return request.error(f"cannot read `{path}`: {why}", argument=argument, help=help_)


def _state(start: bytes, error: Exception) -> str:
    """Describe what is wrong with a file, from its first bytes."""
    if not start:
        return "empty"
    if start.startswith(NPY) and ("pickle" in str(error) or "Python objects" in str(error)):
        return "an array of Python objects, not of numbers"
    if start.startswith(NPY) or start.startswith(b"PK"):
        return "cut short or damaged"
    return "neither a NumPy array (.npy) nor an archive of arrays (.npz)"
