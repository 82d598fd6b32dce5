"""`npz(file)`: arrays saved with `numpy.savez`, bound to ports by name.

    npz("train.npz"; image = "x_train", label = "y_train", scale = 1/255)

Each array is `[N, *shape]`. A setting called like a port names the array where the two differ.
`scale` and `shift` apply to the model's "float" inputs, not to its targets. An array of texts fits
a port that is a sequence of classes: `level`, `limit` and `unknown` are those of `text`.
"""

from __future__ import annotations

import zipfile
import zlib
from collections.abc import Callable
from contextlib import suppress
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from specc.recipe import Port
from specc.runtime.data import tokens
from specc.runtime.data.field import Field, Texts, takes_texts
from specc.runtime.data.match import by_name
from specc.runtime.data.request import Request
from specc.runtime.errors import DataError
from specc.sources import port_type

if TYPE_CHECKING:
    from numpy.lib.npyio import NpzFile

NPY = b"\x93NUMPY"
Part = tuple[np.ndarray, int | None]
"""An array, or its beginning and the number of its rows in the file."""


def read(request: Request) -> dict[str, Field]:
    """The arrays for all ports: port -> field."""
    (path,) = request.files()
    settings = request.settings()
    fields: dict[str, Field] = {}
    for port, (name, (array, count)) in _arrays(request, path).items():
        scaled = port.kind == "float" and port.role == "input"
        texts = None
        if takes_texts(port) and array.dtype.kind == "U" and array.ndim == 1:
            level = settings["level"]
            texts = Texts(
                [tokens.symbols(each, level) for each in array.tolist()],
                level,
                settings["limit"],
                settings["unknown"],
            )
        fields[port.name] = Field(
            f"the array `{name}` of `{path.name}`",
            array,
            _place(path, name, array),
            settings["scale"] if scaled else 1.0,
            settings["shift"] if scaled else 0.0,
            texts=texts,
            count=count,
        )
    first = next(iter(fields.values()))
    for field in fields.values():
        if field.examples != first.examples:
            raise request.error(
                f"{first.name} holds {first.examples:,} examples, but {field.name} holds"
                f" {field.examples:,}",
                argument=0,
                help="all arrays must have the same first axis",
            )
    return fields


def _arrays(request: Request, path: Path) -> dict[Port, tuple[str, Part]]:
    """The array of each port, and its name in the file."""
    try:
        archive = np.load(
            path, mmap_mode=None if request.limit is None else "r", allow_pickle=False
        )
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(request, path, error) from None
    ports = request.ports
    if isinstance(archive, np.ndarray):  # a .npy file
        if len(ports) == 1:
            array = _with_examples(request, path, path.stem, archive)
            rows = _rows(request, array.shape, array.dtype)
            part = (array, None) if rows >= len(array) else (np.array(array[:rows]), len(array))
            return {ports[0]: (path.stem, part)}
        raise request.error(
            f"`{path}` holds a single array without a name",
            argument=0,
            help="save it with `numpy.savez(file, x=..., y=...)`",
        )
    arrays = {}
    with archive:
        names = by_name(request, path.name, list(archive.files), request.columns())
        for port in ports:
            if len(names[port.name]) != 1:
                raise request.error(
                    f"`{port.name}: {port_type(port)}` needs one array of `{path.name}`",
                    argument=0,
                    help="join the arrays into one `[examples, ...]`",
                )
            arrays[port] = names[port.name][0], _array(request, path, archive, names[port.name][0])
    return arrays


def _array(request: Request, path: Path, archive: NpzFile, name: str) -> Part:
    try:
        if request.limit is not None and (part := _beginning(request, path, name)) is not None:
            return part
        array = archive[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise request.error(
                f"the array `{name}` of `{path.name}` holds Python objects, not numbers",
                argument=0,
                help="save it with a numeric type: `x.astype(numpy.float32)`",
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
        if is_fortran and len(shape) > 1:  # a row is spread over the whole array
            return np.empty((0, *shape[1:]), dtype), shape[0]
        size = dtype.itemsize * prod(shape[1:])
        values = np.frombuffer(file.read(rows * size), dtype).reshape(rows, *shape[1:])
        return values.astype(dtype.newbyteorder("="), copy=False), shape[0]


def _member(archive: zipfile.ZipFile, name: str) -> str:
    """Return the file of an array in an archive."""
    return next(each for each in archive.namelist() if each in (name, f"{name}.npy"))


def _rows(request: Request, shape: tuple[int, ...], dtype: np.dtype) -> int:
    """The number of rows to read of an array."""
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


def _unreadable(request: Request, path: Path, error: Exception) -> DataError:
    start = b""
    if not isinstance(error, OSError) or error.errno is None:  # the system would say why
        with suppress(OSError), path.open("rb") as file:
            start = file.read(6)
        why = f"it is {_state(start, error)}"
    else:
        why = error.strerror or type(error).__name__
    is_npy = start.startswith(NPY) or path.suffix == ".npy"
    how = "numpy.save(file, x)" if is_npy else "numpy.savez(file, x=..., y=...)"
    help_ = f"save it with `{how}`"
    if path.suffix in (".csv", ".tsv"):
        help_ = f'`csv("{path.name}")` reads a table'
    return request.error(f"cannot read `{path}`: {why}", argument=0, help=help_)


def _state(start: bytes, error: Exception) -> str:
    """What is wrong with a file that starts so."""
    if not start:
        return "empty"
    if start.startswith(NPY) and "pickle" in str(error):
        return "an array of Python objects, not of numbers"
    if start.startswith(NPY) or start.startswith(b"PK"):
        return "cut short or damaged"
    return "no array of NumPy (.npy), nor an archive of some (.npz)"


def _place(path: Path, name: str, array: np.ndarray) -> Callable[[int, int], str]:
    def place(row: int, element: int) -> str:
        inner = ""
        if array.ndim > 1:
            at = np.unravel_index(element, array.shape[1:])
            inner = f", value [{', '.join(str(int(i) + 1) for i in at)}]"
        return f"`{path.name}`, array `{name}`, row {row + 1}{inner}"

    return place
