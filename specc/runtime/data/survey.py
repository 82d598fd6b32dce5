"""Checks headers and a sample of the data against the ports before anything is compiled.

    found, partial = survey(recipe, ports, folder)
    found       # [error[data]: `iris.csv`, line 5, column `kind`: ...]
    partial     # ("`iris.csv`: the first 9,000 examples",), or () if all of the data was read

The same readers as in training are used, so the errors are the same. They stop after `limit` bytes
of each file or array. Data that fits but is probably wrong gets warnings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from math import prod
from pathlib import Path

import numpy as np

from specc.diagnostics import Diagnostic
from specc.recipe import Port, Recipe
from specc.recipe.data_warnings import (
    Reach,
    large_batch,
    large_data,
    missing_classes,
    padded,
    unreachable,
    unscaled,
)
from specc.runtime.data import bind
from specc.runtime.data.field import is_sequence
from specc.runtime.data.load import load
from specc.runtime.data.part import DataPart
from specc.runtime.data.shards import expanded
from specc.runtime.data.sizes import open_sizes
from specc.runtime.errors import DataError
from specc.system.memory import machine_memory

SAMPLE = 2**19
"""Number of bytes of each file, or of each array in it, that are read by default."""
ANY = 2**31 - 1
"""The number of classes assumed for a port whose number of classes is not known."""


def sizes(
    recipe: Recipe, ports: Sequence[Port], folder: Path, limit: int | None = None
) -> dict[str, int]:
    """Return the symbolic dimensions of ports, from a sample of the data. Raises `DataError`.

    Numbers of classes and time steps are those of the sample if it is not all of the data.
    """
    return open_sizes(recipe, ports, folder, limit or SAMPLE)


def survey(
    recipe: Recipe,
    ports: Sequence[Port],
    folder: Path,
    open_ports: Iterable[str] = (),
    reaches: Mapping[str, Reach] | None = None,
    limit: int | None = None,
    multiplied: Collection[str] = (),
) -> tuple[list[Diagnostic], tuple[str, ...]]:
    """Return the errors and warnings of a recipe's data, and descriptions of partial reads.

    For `open_ports`, any number of classes is accepted, because it follows from the data. `reaches`
    has the range of the output that each target is compared with. `multiplied` has the inputs that
    a matrix product or convolution reads directly.
    """
    names = set(open_ports)
    free = [replace(port, classes=ANY) if port.name in names else port for port in ports]
    try:
        data = load(
            recipe, free, folder, parts=("training", "validation", "test"), limit=limit or SAMPLE
        )
    except DataError as error:
        return error.diagnostics, ()
    part = data.parts.get("training")
    if part is None or not part.fields:
        return [], data.partial
    doubts = [_batch(recipe, part), _size(recipe, part, folder, limit or SAMPLE)]
    doubts += [_classes(recipe, part, port) for port in ports if port.name not in names]
    doubts += [_reach(part, port, (reaches or {}).get(port.name)) for port in ports]
    doubts += [_padding(recipe, part, port) for port in ports]
    doubts += [_scale(recipe, part, port) for port in ports if port.name in multiplied]
    return [each for each in doubts if each is not None], data.partial


def _batch(recipe: Recipe, part: DataPart) -> Diagnostic | None:
    field = next(iter(part.fields.values()))
    count = len(part)
    if field.is_part:
        held_out = recipe.validate if isinstance(recipe.validate, float) else 0
        count = round(field.examples * (1 - held_out))
    return large_batch(recipe, count) if count > 0 else None


STREAMED = ("csv", "tsv", "jsonl", "parquet", "feather")
"""The sources that are read into memory, unless `memory` says otherwise."""


def _size(recipe: Recipe, part: DataPart, folder: Path, limit: int) -> Diagnostic | None:
    """Doubts data that is larger than the machine's memory, as far as the sample tells."""
    field, data, there = next(iter(part.fields.values())), recipe.data, machine_memory()
    if recipe.memory is not None or data is None or data.word not in STREAMED or there is None:
        return None
    if not field.is_part:
        return None
    count = field.examples
    if count < 0:  # the file goes on as it begins
        paths = (folder / Path(each).expanduser() for each in expanded(data, folder).arguments
                 if isinstance(each, str))  # fmt: skip
        size = sum(each.stat().st_size for each in paths if each.is_file())
        count = round(len(field.array) * size / limit)
    of_example = sum(
        each.array.dtype.itemsize * prod(each.array.shape[1:]) for each in part.columns.values()
    )
    return large_data(recipe, count * of_example, there)


def _classes(recipe: Recipe, part: DataPart, port: Port) -> Diagnostic | None:
    """Warn about a target whose classes do not all occur, if all of the data was read."""
    field = part.fields.get(port.name)
    if (
        recipe.data is None
        or port.role != "target"
        or port.kind != "class"
        or field is None
        or field.is_part
        or field.texts
    ):
        return None
    if not isinstance(port.classes, int) or len(part) < 5 * port.classes:
        return None
    rows = part.columns[port.name].array  # includes the rows of the validation part
    counts = np.bincount(rows.reshape(-1), minlength=port.classes)
    return missing_classes(recipe.data, port, np.flatnonzero(counts == 0).tolist())


FAR, SHARE, RATIO = 50.0, 0.01, 100.0
"""Warn about an input if more than SHARE of its values have a magnitude above FAR, or if the
standard deviations of its elements differ by more than RATIO.
"""
LOOKED_AT = 2**14  # largest number of rows that are examined


def _scale(recipe: Recipe, part: DataPart, port: Port) -> Diagnostic | None:
    """Warn about an input with large values, or with elements of very different scales."""
    if recipe.data is None or port.name not in part.columns or port.kind != "float":
        return None
    column, rows = part.columns[port.name], part.rows[:LOOKED_AT]
    values = column.values(np.asarray(rows)).reshape(len(rows), -1)
    if np.mean(np.abs(values) > FAR) > SHARE:
        worst = int(np.argmax(np.abs(values).max(axis=1)))
        element = int(np.argmax(np.abs(values[worst])))
        value = float(values[worst, element])
        location = part.fields[port.name].location(int(rows[worst]), element)
        return unscaled(recipe, port, f"reaches {value:g}", (f"{location}: {value:g}",))
    deviations = values.std(axis=0)
    if port.shape and len(port.shape) == 1 and len(values) > 1:
        deviations = np.where(deviations > 0, deviations, np.nan)
        if np.isnan(deviations).all():
            return None
        low, high = int(np.nanargmin(deviations)), int(np.nanargmax(deviations))
        ratio = deviations[high] / deviations[low]
        if ratio > RATIO:
            where = part.fields[port.name].location
            notes = tuple(
                f"the standard deviation is {deviations[each]:.3g}: {where(int(rows[0]), each)}"
                for each in (low, high)
            )
            what = f"has elements whose standard deviations differ {ratio:,.0f}-fold"
            return unscaled(recipe, port, what, notes)
    return None


PADDED, ENDS = 0.2, 3
"""Series are doubted if more than this share of them ends in zeros, of at least so many lengths."""


def _padding(recipe: Recipe, part: DataPart, port: Port) -> Diagnostic | None:
    """Doubts series that end in zeros, if zeros are nowhere else and no lengths are stated."""
    field = part.fields.get(port.name)
    if field is None or field.texts or port.name not in part.columns or not is_sequence(port):
        return None
    array = part.columns[port.name].array[np.asarray(part.rows[:LOOKED_AT])]
    lengths = bind.lengths(port, field)
    if not len(array) or (lengths < array.shape[1]).any():
        return None
    is_zero = (array == 0).reshape(*array.shape[:2], -1).all(axis=2)
    ends = np.where(is_zero.all(axis=1), 0, np.argmin(is_zero[:, ::-1], axis=1))
    is_only_there = is_zero.sum() == ends.sum()
    if not is_only_there or np.mean(ends > 0) < PADDED or len(np.unique(ends)) < ENDS:
        return None
    return padded(recipe, port, int((ends > 0).sum()), len(array))


def _reach(part: DataPart, port: Port, reach: Reach | None) -> Diagnostic | None:
    """Warn about a target outside the range of the output that it is compared with."""
    if reach is None or port.name not in part.columns:
        return None
    values = part.columns[port.name].array
    wrong = (values < reach.low) | (values > reach.high)
    if not wrong.any():
        return None
    row = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
    element = int(np.argmax(wrong[row].reshape(-1)))
    location = part.fields[port.name].location(row, element)
    return unreachable(port, reach, location, values[row].reshape(-1)[element].item())
