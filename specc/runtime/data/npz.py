"""`npz(file)`: arrays saved with `numpy.savez`, bound to ports by name.

    npz("train.npz"; image = "x_train", label = "y_train", scale = 1/255)

Each array is `[N, *shape]`. A setting called like a port names the array where the two differ.
`scale` and `shift` apply to the model's "float" inputs, not to its targets. An array of texts fits a port
that is a sequence of classes: `level`, `limit` and `unknown` are those of `text`.
"""

from __future__ import annotations

import zipfile
import zlib
from contextlib import suppress
from pathlib import Path

import numpy as np

from specc.recipe import Port
from specc.runtime.data import tokens
from specc.runtime.data.field import Field, Texts, takes_texts
from specc.runtime.data.match import by_name
from specc.runtime.data.request import Request
from specc.sources import port_type

NPY = b"\x93NUMPY"


def read(request: Request) -> dict[str, Field]:
    """The arrays for all ports: port -> field."""
    (path,) = request.files()
    settings = request.settings()
    fields: dict[str, Field] = {}
    for port, (name, array) in _arrays(request, path, settings).items():
        scaled = port.kind == "float" and port.role == "input"
        texts = None
        if takes_texts(port) and array.dtype.kind == "U" and array.ndim == 1:
            level = settings["level"]
            texts = Texts([tokens.symbols(each, level) for each in array.tolist()], level,
                          settings["limit"], settings["unknown"])
        fields[port.name] = Field(
            f"the array `{name}` of `{path.name}`",
            array,
            _place(path, name, array),
            settings["scale"] if scaled else 1.0,
            settings["shift"] if scaled else 0.0,
            texts=texts,
        )
    first = next(iter(fields.values()))
    for field in fields.values():
        if len(field.array) != len(first.array):
            raise request.error(
                f"{first.name} holds {len(first.array):,} examples, but {field.name} holds"
                f" {len(field.array):,}",
                argument=0,
                help="all arrays must have the same first axis",
            )
    return fields


def _arrays(request: Request, path: Path, settings: dict) -> dict[Port, tuple[str, np.ndarray]]:
    """The array of each port, and its name in the file."""
    try:
        archive = np.load(path, allow_pickle=False)
    except (OSError, ValueError, EOFError, zipfile.BadZipFile) as error:
        raise _unreadable(request, path, error) from None
    ports = request.ports
    if isinstance(archive, np.ndarray):  # a .npy file
        if len(ports) == 1:
            return {ports[0]: (path.stem, _with_examples(request, path, path.stem, archive))}
        raise request.error(
            f"`{path}` holds a single array without a name",
            argument=0,
            help="save it with `numpy.savez(file, x=..., y=...)`",
        )
    arrays = {}
    with archive:
        names = by_name(request, path.name, list(archive.files), settings)
        for port in ports:
            if len(names[port.name]) != 1:
                raise request.error(
                    f"`{port.name}: {port_type(port)}` needs one array of `{path.name}`",
                    argument=0,
                    help="join the arrays into one `[examples, ...]`",
                )
            arrays[port] = names[port.name][0], _array(request, path, archive, names[port.name][0])
    return arrays


def _array(request: Request, path: Path, archive, name: str) -> np.ndarray:
    try:
        array = archive[name]
    except (OSError, ValueError, EOFError, zipfile.BadZipFile, zlib.error) as error:
        if "allow_pickle" in str(error):
            raise request.error(
                f"the array `{name}` of `{path.name}` holds Python objects, not numbers",
                argument=0,
                help="save it with a numeric type: `x.astype(numpy.float32)`",
            ) from None
        raise _unreadable(request, path, error) from None
    return _with_examples(request, path, name, array)


def _with_examples(request: Request, path: Path, name: str, array: np.ndarray) -> np.ndarray:
    if array.ndim == 0:
        raise request.error(
            f"the array `{name}` of `{path.name}` is a single number",
            argument=0,
            help="its first axis must count the examples",
        )
    return array


def _unreadable(request: Request, path: Path, error: Exception):
    start = b""
    if not isinstance(error, OSError) or error.errno is None:  # the system would say why
        with suppress(OSError), path.open("rb") as file:
            start = file.read(6)
        why = f"it is {_state(start, error)}"
    else:
        why = error.strerror
    is_npy = start.startswith(NPY) or path.suffix == ".npy"
    how = "numpy.save(file, x)" if is_npy else "numpy.savez(file, x=..., y=...)"
    return request.error(
        f"`{path}` cannot be read: {why}", argument=0, help=f"save it with `{how}`"
    )


def _state(start: bytes, error: Exception) -> str:
    """What is wrong with a file that starts so."""
    if not start:
        return "empty"
    if start.startswith(NPY) and "pickle" in str(error):
        return "an array of Python objects, not of numbers"
    if start.startswith(NPY) or start.startswith(b"PK"):
        return "cut short or damaged"
    return "no array of NumPy (.npy), nor an archive of some (.npz)"


def _place(path: Path, name: str, array: np.ndarray):
    def place(row: int, element: int) -> str:
        inner = ""
        if array.ndim > 1:
            at = np.unravel_index(element, array.shape[1:])
            inner = f", value [{', '.join(str(int(i) + 1) for i in at)}]"
        return f"`{path.name}`, array `{name}`, row {row + 1}{inner}"

    return place
