"""Predictions and metrics from tables: by the names of columns, a row for each row.

    predict(net, frame)        # the same kind of frame: classes' names, probabilities
    evaluate(net, frame)       # {"loss": 0.31, "accuracy": 0.92}

A table is anything that `specc.runtime.data.frames` takes, or the path of a file.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.ir.kind import Kind
from specc.net.answers import answers
from specc.recipe import DataCall, Port
from specc.runtime.data import load
from specc.runtime.data.field import Rows
from specc.runtime.data.handed import read_once
from specc.runtime.data.part import DataPart
from specc.runtime.errors import AllMissing
from specc.runtime.given import source
from specc.runtime.metrics import short_names

if TYPE_CHECKING:
    from specc.net.net import Net


def predict(
    net: Net, data: object, temperature: float = 0.0, seed: int = 0
) -> dict[str, np.ndarray]:
    """Return the columns of a table of predictions, a row for each row of the data.

    A row with missing values, if the training left such rows out, has NaN, -1, None or False.
    """
    found, kept = outputs(net, data, temperature, seed)
    if not net.written:
        found = answers(net.program, net.encoding, found)
    return found if kept is None else {name: spread(each, kept) for name, each in found.items()}


def outputs(
    net: Net, data: object, temperature: float = 0.0, seed: int = 0
) -> tuple[dict[str, np.ndarray], Rows | None]:
    """Return the outputs, generated targets included, and the rows of the data that they are for.

    The rows are None if none was left out.
    """
    try:
        part = part_of(net, data, inputs(net))
    except AllMissing as error:
        return nothing(net), Rows(np.empty(0, np.int64), error.count)
    if net.written:
        return texts(net, part.columns, temperature, seed), part.source
    return net.predict_rows(part.columns), part.source


def evaluate(net: Net, data: object) -> dict[str, float | np.ndarray]:
    """Return the losses and metrics over the rows of a table, by their short names."""
    part = part_of(net, data, net.ports)
    found = net.evaluate_rows(part.columns, part.numbers)
    short = {name: float(found[full]) for full, name in short_names(net.columns).items()}
    tables = {
        name.removeprefix("metric."): value
        for name, value in found.items()
        if isinstance(value, np.ndarray)
    }
    return {**short, **tables}


def part_of(net: Net, data: object, ports: Sequence[Port]) -> DataPart:
    """Return the values of some ports in a table; raises DataError if they do not fit the model."""
    recipe = net.program.recipe
    dropped = {port.name for port in net.ports} - {port.name for port in ports}
    call = source(data, recipe.data, dropped)
    ranks = net.prediction.ranks
    return read_once(
        None if ranks is None else ranks.neighbours,
        lambda: load(
            recipe.whole(call),
            ports,
            Path(),
            parts=("training",),
            vocabularies=net.encoding.vocabularies,
            **statistics(net),
        ),
    ).training


def statistics(net: Net) -> dict[str, Any]:
    """Return the argument of `load` that has the statistics of columns."""
    return {"statistics": net.encoding.statistics} if net.encoding.statistics else {}


def inputs(net: Net) -> tuple[Port, ...]:
    """Return the inputs, and the targets that outputs read and the model does not generate."""
    own = {port.name for port in net.written}
    needed = set(net.compiled(Kind.PREDICT).ports) - own
    return tuple(
        port
        for port in net.ports
        if port.role == "input" or (port.name in needed and port.length_of not in own)
    )


def texts(net: Net, columns, temperature: float, seed: int) -> dict[str, np.ndarray]:
    """Return generated sequences: strings `[n]` if there is a vocabulary, else `[n, steps]`."""
    from specc.runtime.data import tokens

    words, found = net.encoding.vocabularies, {}
    ends = {
        name: words[name].index(end)
        for name, end in net.encoding.ends.items()
        if end in words.get(name, ())
    }
    data: DataCall | None = net.program.recipe.data
    level = "char" if data is None else str(data.settings.get("level", "char"))
    for name, rows in net.write(columns, temperature, seed, ends).items():
        if name not in words:
            found[name] = rows
            continue
        lines = []
        for row in rows.tolist():
            end = row.index(ends[name]) + 1 if name in ends and ends[name] in row else len(row)
            lines.append(tokens.joined((words[name][each] for each in row[:end]), level))
        found[name] = np.array(lines, np.str_)
    return found


def nothing(net: Net) -> dict[str, np.ndarray]:
    """Return the outputs for no examples, [0, *shape] each."""
    if net.written:
        words = net.encoding.vocabularies
        return {
            port.name: np.empty(0, np.str_)
            if port.name in words
            else np.empty((0, *port.shape), np.int64)
            for port in net.written
        }
    kinds = {"bool": bool, "int": np.int64}
    return {
        term.name: np.empty(
            (0, *term.node.type.bound_shape), kinds.get(term.node.type.kind, net.dtype)
        )
        for term in net.program.outputs
    }


def spread(array: np.ndarray, rows: Rows) -> np.ndarray:
    """Return the values in all rows; NaN, -1, None or an empty string in rows left out."""
    empty = {"f": np.nan, "U": "", "b": False, "O": None}.get(array.dtype.kind, -1)
    found = np.full((rows.count, *array.shape[1:]), empty, array.dtype)
    found[rows.kept] = array
    return found


def in_kind(columns: dict[str, np.ndarray], data: Any) -> Any:
    """Return a table of predictions in the kind of the data: a frame for a frame, else the dict.

    In a frame, the numbers of an output with axes are the columns `name_1`, `name_2`, ...
    """
    if isinstance(data, dict | list | tuple | str | Path | np.ndarray):
        return columns
    try:
        import narwhals as nw

        frame = nw.from_native(data)
    except (ImportError, TypeError):
        return columns
    flat: dict[str, np.ndarray] = {}
    for name, array in columns.items():
        table = array.reshape(len(array), -1)
        names = [name] if array.ndim == 1 else [f"{name}_{k + 1}" for k in range(table.shape[1])]
        flat.update({each: np.ascontiguousarray(table[:, k]) for k, each in enumerate(names)})
    lists = {
        name: each.tolist() if each.dtype.kind in "OU" else each for name, each in flat.items()
    }
    made = nw.from_dict(lists, backend=nw.get_native_namespace(frame)).to_native()
    if hasattr(data, "index") and hasattr(made, "index") and len(data.index) == len(made):
        made.index = data.index  # in pandas, rows keep their names
    return made
