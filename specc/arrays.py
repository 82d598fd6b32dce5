"""The arrays that people give a compiled model, checked: examples for its ports, values for its weights.

    examples(model, ports, {"image": x, "label": y}, needed=("image",))    # {"image": Column(x)}
    weights["dense1.weight"] = w       # copied in; a ValueError if it does not fit

Everything here raises `ValueError` with the name of the array, or `TypeError` for what is no array.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from specc.columns import Column
from specc.diagnostics import closest
from specc.recipe import Port


class Arrays(dict):
    """Live arrays of a model by path, all of them, always.

    `arrays[path] = value` copies the value in, as `arrays[path][...] = value` does, but checks it; no
    array can be added or taken away.
    """

    def __init__(self, arrays: Mapping[str, np.ndarray], what: str):
        super().__init__(arrays)
        self.what = what  # "lenet has no parameter"

    def put(self, values: Mapping[str, object]) -> None:
        """Copy some values in, all or none. Raises ValueError for an unknown path, another shape, or
        something that is no real number."""
        if not isinstance(values, Mapping):
            raise TypeError(f"values by path are wanted, a dict, not {type(values).__name__}")
        checked = {path: self._checked(path, value) for path, value in values.items()}
        for path, array in checked.items():
            self[path][...] = array

    def _checked(self, path: str, value) -> np.ndarray:
        if path not in self:
            near = closest(path, self) if isinstance(path, str) else None
            known = f"did you mean {near!r}?" if near else f"it has {', '.join(self) or 'none'}"
            raise ValueError(f"{self.what} {path!r}; {known}")
        array = _array(path, value)
        if array.dtype.kind not in "iuf":
            raise ValueError(f"{path} must be numbers, not {_held(array)}")
        if array.shape != self[path].shape:
            raise ValueError(f"{path} has the shape {list(self[path].shape)},"
                             f" not {list(array.shape)}")
        return array.astype(self[path].dtype)

    def __setitem__(self, path, value) -> None:
        self.put({path: value})

    def update(self, *others, **values) -> None:
        self.put(dict(*others, **values))

    def __ior__(self, other):
        self.put(other)
        return self

    def _refuse(self, *_):
        raise TypeError("the arrays of a model cannot be added to or taken away; `dict(...)` of them"
                        " is a dict of your own")

    __delitem__ = pop = popitem = clear = setdefault = _refuse

    def __reduce__(self):
        """Copied or pickled, it is a plain dict."""
        return dict, (dict(self),)


def examples(model: str, ports: Iterable[Port], arrays: Mapping[str, object],
             needed: Iterable[str]) -> dict[str, Column]:
    """The columns of the ports `needed`, from arrays `[n, *shape]`; further ports are checked too.

    A "float" port takes real numbers (NaN too: it shows in the loss), a "class" port integers
    0 .. classes - 1, a "bool" port booleans or 0 and 1.
    """
    by_name = {port.name: port for port in ports}
    for name in arrays:
        if name not in by_name:
            near = closest(name, by_name)
            raise ValueError(f"{model} has no input or target `{name}`; "
                             + (f"did you mean `{near}`? " if near else "")
                             + f"unknown: {name}; it has {_listed(by_name.values())}")
    if missing := [name for name in needed if name not in arrays]:
        wanted = _listed(by_name[name] for name in needed)
        raise ValueError(f"{model} takes {wanted} here; missing: {', '.join(missing)}")
    columns = {name: _column(by_name[name], array) for name, array in arrays.items()}
    lengths = {name: len(column.array) for name, column in columns.items()}
    if len(set(lengths.values())) > 1:
        said = ", ".join(f"{length} of `{name}`" for name, length in lengths.items())
        raise ValueError(f"the arrays must have equally many examples, but there are {said}")
    return columns


def completed(ports: Iterable[Port], arrays: Mapping[str, object], begin: bool) -> dict[str, object]:
    """The arrays with those that follow from others, where they are not given.

    Sequences of varying length may be a list of arrays, one for each example: they are padded, and
    their lengths counted; an array has full length. A stream begins anew as `begin` says.
    """
    by_name = {port.name: port for port in ports}
    found = dict(arrays)
    for port in by_name.values():
        of = port.length_of or port.begin_of
        if of is None or of not in found or port.name in found:
            continue
        value = found[of]
        if port.begin_of:
            found[port.name] = np.full(len(value) if hasattr(value, "__len__") else 1, begin)
            continue
        most = by_name[of].shape[0]
        lengths = np.array([most if isinstance(value, np.ndarray) else len(each) for each in value])
        if lengths.size and lengths.max() > most:
            row = int(lengths.argmax())
            raise ValueError(f"{of} has at most {most} steps, but example {row} has {lengths[row]}")
        same = [each.name for each in by_name.values() if each.sequence == by_name[of].sequence
                and each.name in found and not isinstance(found[each.name], np.ndarray)]
        for name in same:
            if [len(each) for each in found[name]] != lengths.tolist():
                raise ValueError(f"{name} and {of} run over one sequence, and must be equally long")
            found[name] = _padded(found[name], by_name[name].shape)
        found[port.name] = lengths
    return found


def _padded(value, shape) -> np.ndarray:
    """Arrays of different length as one, with zeros behind their ends."""
    parts = [np.asarray(each) for each in value]
    padded = np.zeros((len(parts), *shape), np.result_type(*parts) if parts else int)
    for row, each in zip(padded, parts, strict=True):
        row[: len(each)] = each
    return padded


def count(columns: Mapping[str, Column], least: int = 0) -> int:
    """How many examples there are. Raises ValueError for fewer than `least`, or without a column."""
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
        raise ValueError(f"{name} must be [{shape}], a row for each of n examples,"
                         f" not {list(array.shape)}")
    if port.kind == "class" and array.size:
        if array.dtype.kind == "f":
            raise ValueError(f"{name} must be {_wanted(port)}, not {array.dtype}:"
                             f" `{name}.astype(int)` makes some of whole numbers")
        least, most = int(array.min()), int(array.max())
        if not 0 <= least <= most < port.classes:
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
        raise ValueError(f"{name} is no array of numbers: its rows differ in length"
                         if "inhomogeneous" in str(error) else
                         f"{name} is no array of numbers") from None


def _wanted(port: Port) -> str:
    if port.kind == "class":
        return f"integers 0 to {port.classes - 1}"
    return "booleans, or 0 and 1" if port.kind == "bool" else "real numbers"


def _held(array: np.ndarray) -> str:
    kinds = {"O": "Python objects", "U": "texts", "S": "bytes", "c": "complex numbers",
             "b": "booleans", "M": "dates", "m": "durations", "f": "numbers", "i": "integers",
             "u": "integers"}
    return f"{kinds.get(array.dtype.kind, 'values')} ({array.dtype})"


def _listed(ports: Iterable[Port]) -> str:
    def described(port: Port) -> str:
        kind = f"class({port.classes})" if port.kind == "class" else port.kind
        return f"{port.name}: {kind}" + (f"{list(port.shape)}" if port.shape else "")

    return ", ".join(map(described, ports)) or "nothing"
