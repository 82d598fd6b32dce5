"""Checks of the arrays that callers pass to a compiled model: examples, and values of weights.

    examples(model, ports, {"image": x, "label": y}, needed=("image",))    # {"image": Column(x)}
    weights["dense1.weight"] = w       # copied in; a ValueError if it does not fit

Every function here raises `ValueError` with the name of the array, or `TypeError` if an argument is
not an array.
"""

from __future__ import annotations

import itertools
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import AbstractContextManager, nullcontext
from typing import Any, NoReturn

import numpy as np

from specc.diagnostics import closest
from specc.recipe import Column, Port
from specc.runtime.decode import Beginnings


class Arrays(dict[str, np.ndarray]):
    """All live arrays of a model, by path.

    `arrays[path] = value` copies the value in, as `arrays[path][...] = value` does, and checks it.
    No array can be added or removed.

    `version` returns a number that changes whenever a value may have changed: after `written`, and
    as long as a caller holds an array, or a view of it, that it could write into.

    Threads may read at the same time. `changing` is entered while values are copied in.
    """

    def __init__(
        self,
        arrays: Mapping[str, np.ndarray],
        what: str,
        changing: AbstractContextManager[None] | None = None,
    ) -> None:
        super().__init__(arrays)
        self.what = what  # "lenet has no parameter"
        self._changing = changing or nullcontext()
        self._versions = itertools.count(1)
        self._version = self._settled = 0
        self._lent = next(self._versions)  # changes whenever a caller gets an array
        self._alone: list[tuple[int, int]] | None = None

    @property
    def version(self) -> int:
        lent = self._lent
        if lent != self._settled:
            # a thread that gets an array meanwhile changes `_lent` after it has the array
            if self._holders() == self._alone:
                self._settled = lent
            self._version = next(self._versions)
        return self._version

    def settle(self) -> None:
        """Note that only the model refers to the arrays now."""
        self._alone = self._holders()

    def replace(self, path: str, array: np.ndarray) -> None:
        """Let the model have another array with the same values."""
        super().__setitem__(path, array)
        self.written()

    def written(self) -> None:
        """Note that the arrays have been written to."""
        self._version = next(self._versions)

    def _holders(self) -> list[tuple[int, int]]:
        """Return the reference counts of the arrays, and of their memory, which views refer to."""
        return [(sys.getrefcount(array), sys.getrefcount(array.base)) for array in super().values()]

    def __getitem__(self, path: str) -> np.ndarray:
        array = super().__getitem__(path)
        self._lent = next(self._versions)
        return array

    def __iter__(self) -> Iterator[str]:  # so `dict(arrays)` and `**arrays` use `__getitem__`
        return super().__iter__()

    def get(self, path: str, default: Any = None) -> Any:
        array = super().get(path, default)
        self._lent = next(self._versions)
        return array

    # These are lists, because a view of a dict would not hold the arrays.

    def values(self) -> list[np.ndarray]:  # type: ignore[override]
        arrays = list(super().values())
        self._lent = next(self._versions)
        return arrays

    def items(self) -> list[tuple[str, np.ndarray]]:  # type: ignore[override]
        arrays = list(super().items())
        self._lent = next(self._versions)
        return arrays

    def copy(self) -> dict[str, np.ndarray]:
        return dict(self)

    def put(self, values: Mapping[str, object]) -> None:
        """Copy some values in, all or none.

        Raises ValueError for an unknown path, another shape, or values that are not real numbers.
        """
        if not isinstance(values, Mapping):
            raise TypeError(f"values by path are wanted, a dict, not {type(values).__name__}")
        checked = {path: self._checked(path, value) for path, value in values.items()}
        with self._changing:
            for path, array in checked.items():
                self[path][...] = array

    def _checked(self, path: str, value: object) -> np.ndarray:
        if path not in self:
            near = closest(path, self) if isinstance(path, str) else None
            known = f"did you mean {near!r}?" if near else f"it has {', '.join(self) or 'none'}"
            raise ValueError(f"{self.what} {path!r}; {known}")
        array = _array(path, value)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"{path} must be numbers, not {_held(array)}")
        if array.shape != self[path].shape:
            raise ValueError(
                f"{path} has the shape {list(self[path].shape)}, not {list(array.shape)}"
            )
        return array.astype(self[path].dtype)

    def __setitem__(self, path: str, value: object) -> None:
        self.put({path: value})

    def update(self, *others: Any, **values: object) -> None:
        self.put(dict(*others, **values))

    def __ior__(self, other: Any) -> Arrays:  # type: ignore[misc, override]
        self.put(other)
        return self

    def _refuse(self, *_: object) -> NoReturn:
        raise TypeError(
            "the arrays of a model cannot be added to or taken away; `dict(...)` of them"
            " is a dict of your own"
        )

    __delitem__ = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self) -> tuple[type, tuple[dict[str, np.ndarray]]]:
        """Make copies and pickles plain dicts."""
        return dict, (dict(self),)


def examples(
    model: str, ports: Iterable[Port], arrays: Mapping[str, object], needed: Iterable[str]
) -> dict[str, Column]:
    """Return the columns of the ports `needed`, from arrays `[n, *shape]`; check other ports, too.

    A "float" port takes real numbers (NaN too: it shows in the loss), a "class" port integers
    0 .. classes - 1, a "bool" port booleans or 0 and 1.
    """
    by_name = {port.name: port for port in ports}
    for name in arrays:
        if name not in by_name:
            near = closest(name, by_name)
            raise ValueError(
                f"{model} has no input or target `{name}`; "
                + (f"did you mean `{near}`? " if near else "")
                + f"unknown: {name}; it has {_listed(by_name.values())}"
            )
    if missing := [name for name in needed if name not in arrays]:
        wanted = _listed(by_name[name] for name in needed)
        raise ValueError(f"{model} takes {wanted} here; missing: {', '.join(missing)}")
    columns = {name: _column(by_name[name], array) for name, array in arrays.items()}
    lengths = {name: len(column.array) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{length} of `{name}`" for name, length in lengths.items())
        raise ValueError(f"the arrays must have equally many examples, but there are {said}")
    return columns


def completed(
    ports: Iterable[Port], arrays: Mapping[str, object], begin: bool
) -> dict[str, object]:
    """Return the arrays, with those added that follow from others.

    A variable-length sequence may be a list of arrays, one for each example. They are padded, and
    their lengths counted; an array has full length. `begin` says whether streams begin anew. Raises
    ValueError for lists that do not fit, and TypeError for values of other types.
    """
    ports, found = tuple(ports), dict(arrays)
    owners = {port.name: port for port in ports}
    for port in ports:
        if port.name in found:
            continue
        if port.begin_of in found:
            value = found[port.begin_of]
            found[port.name] = np.full(len(value) if hasattr(value, "__len__") else 1, begin)
        elif port.length_of is not None:
            sequence = owners[port.length_of].sequence
            same = [each for each in ports if each.sequence == sequence and each.name in found]
            same.sort(key=lambda each: each.name != port.length_of)
            if same:
                found.update(_with_lengths(port, same, found))
    return found


def _with_lengths(port: Port, same: list[Port], arrays: Mapping[str, object]) -> dict[str, object]:
    """Return the ports over one sequence as arrays, with the number of steps of each example.

    The first port gives the lengths, and lists for other ports must agree. The padding of an array
    may hold any values.
    """
    found, lengths, first = {}, None, same[0]
    for each in same:
        value, most = arrays[each.name], each.shape[0]
        if hasattr(value, "__array__"):
            own = np.full(np.shape(value)[0] if np.ndim(value) else 1, most)
        else:
            parts = _parts(each, value)
            own = _counts(each, parts)
            value = _padded(parts, each.shape)
        is_list = value is not arrays[each.name]
        if lengths is not None and is_list and own.tolist() != lengths.tolist():
            raise ValueError(
                f"{each.name} and {first.name} run over one sequence, and must be equally long"
            )
        found[each.name], lengths = value, own if lengths is None else lengths
    return {**found, port.name: lengths}


def beginnings(port: Port, value: object, lengths: object = None) -> Beginnings:
    """Return the first steps of a sequence of classes for each example, and their numbers.

    `value` is a list with one array for each example, which may differ in length, or an array
    `[n, k]`, of which `lengths` may give the number of steps of each example. Raises ValueError for
    values that do not fit, and TypeError for values of other types.
    """
    parts = _parts(port, list(value) if isinstance(value, np.ndarray) and value.ndim else value)
    if lengths is not None:
        counts = _array(port.name, lengths)
        if counts.shape != (len(parts),) or counts.dtype.kind not in "iu" or (counts < 0).any():
            raise ValueError(
                f"{port.name}.length must be an integer for each of {len(parts)} examples"
            )
        parts = [part[:length] for part, length in zip(parts, counts, strict=True)]
    counts = _counts(port, parts)
    return Beginnings(_column(port, _padded(parts, port.shape)).array, counts)


def _counts(port: Port, parts: list[np.ndarray]) -> np.ndarray:
    """Return the number of steps of each example; raises ValueError for too many."""
    counts, most = np.array([len(part) for part in parts], int), port.shape[0]
    if counts.size and counts.max() > most:
        raise ValueError(
            f"{port.name} has at most {most} steps, but example {counts.argmax()} has"
            f" {counts.max()}"
        )
    return counts


def _parts(port: Port, value) -> list[np.ndarray]:
    """Return a list of examples, `[steps, ..]` each, as arrays."""
    if not isinstance(value, (list, tuple)):
        raise TypeError(
            f"{port.name} must be an array, or a list with one for each example, not"
            f" {type(value).__name__}"
        )
    parts = [_array(port.name, each) for each in value]
    for row, part in enumerate(parts):
        if part.ndim != len(port.shape) or part.shape[1:] != port.shape[1:]:
            inner = ", ".join(["steps", *map(str, port.shape[1:])])
            raise ValueError(
                f"{port.name} must be [{inner}] for each example, but example {row} is"
                f" {list(part.shape)}"
            )
    return parts


def _padded(parts: list[np.ndarray], shape) -> np.ndarray:
    """Return arrays of different lengths as one array, padded with zeros."""
    types = [part for part in parts if part.size]  # an empty list has none
    padded = np.zeros((len(parts), *shape), np.result_type(*types) if types else int)
    for row, each in zip(padded, parts, strict=True):
        row[: len(each)] = each
    return padded


def count(columns: Mapping[str, Column], least: int = 0) -> int:
    """Return the number of examples.

    Raises ValueError for fewer than `least`, or without a column.
    """
    if not columns:
        raise ValueError("without an array there are no examples: give at least one input")
    rows = len(next(iter(columns.values())).array)
    if rows < least:
        raise ValueError(f"there must be at least one example, but the arrays have {rows}")
    return rows


def _column(port: Port, value) -> Column:
    name, array = port.name, _array(port.name, value)
    if array.dtype.kind not in "buif":
        raise ValueError(f"{name} must be {_wanted(port)}, not {_held(array)}")
    if array.ndim != len(port.shape) + 1 or array.shape[1:] != tuple(port.shape):
        shape = ", ".join(["n", *map(str, port.shape)])
        raise ValueError(
            f"{name} must be [{shape}], a row for each of n examples, not {list(array.shape)}"
        )
    if port.kind == "class" and array.size:
        if array.dtype.kind == "f":
            raise ValueError(
                f"{name} must be {_wanted(port)}, not {array.dtype}:"
                f" `{name}.astype(int)` makes some of integers"
            )
        least, most = int(array.min()), int(array.max())
        if not 0 <= least <= most < port.class_count:
            raise ValueError(f"{name} must be {_wanted(port)}, but goes from {least} to {most}")
    if port.kind == "class":
        array = array.astype(np.int32, copy=False)
    if port.kind == "bool":
        if not ((array == 0) | (array == 1)).all():
            raise ValueError(f"{name} must be {_wanted(port)}, not other {_held(array)}")
        array = array.astype(bool, copy=False)
    return Column(np.ascontiguousarray(array))


def _array(name: str, value) -> np.ndarray:
    try:
        return np.asarray(value)
    except (ValueError, TypeError) as error:
        raise ValueError(
            f"{name} is no array of numbers: its rows differ in length"
            if "inhomogeneous" in str(error)
            else f"{name} is no array of numbers"
        ) from None


def _wanted(port: Port) -> str:
    if port.kind == "class":
        return f"integers 0 to {port.class_count - 1}"
    return "booleans, or 0 and 1" if port.kind == "bool" else "real numbers"


def _held(array: np.ndarray) -> str:
    kinds = {
        "O": "Python objects",
        "U": "texts",
        "S": "bytes",
        "c": "complex numbers",
        "b": "booleans",
        "M": "dates",
        "m": "durations",
        "f": "numbers",
        "i": "integers",
        "u": "integers",
    }
    return f"{kinds.get(array.dtype.kind, 'values')} ({array.dtype})"


def _listed(ports: Iterable[Port]) -> str:
    def described(port: Port) -> str:
        kind = f"class({port.classes})" if port.kind == "class" else port.kind
        return f"{port.name}: {kind}" + (f"{list(port.shape)}" if port.shape else "")

    return ", ".join(map(described, ports)) or "nothing"
