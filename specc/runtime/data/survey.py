"""A look at the data before anything is compiled: headers and beginnings, against the ports.

    found, partial = survey(recipe, ports, folder)
    found       # [error[data]: `iris.csv`, line 5, column `kind`: ...]
    partial     # ("`iris.csv`: the first 9,000 examples",), or () if all of the data was read

Errors are those of a training, from the same readers: they stop after `limit` bytes of each file or
array. Data that fits but is doubtful gives warnings.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from specc.diagnostics import Diagnostic
from specc.recipe import Port, Recipe
from specc.recipe.data_warnings import Reach, large_batch, missing_classes, unreachable, unscaled
from specc.runtime.data.load import load
from specc.runtime.data.part import DataPart
from specc.runtime.data.sizes import open_sizes
from specc.runtime.errors import DataError

SAMPLE = 2**19
"""Bytes of each file, or of each array in it, that are read first."""
ANY = 2**31 - 1
"""Classes of a port that may have any number of them."""


def sizes(
    recipe: Recipe, ports: Sequence[Port], folder: Path, limit: int | None = None
) -> dict[str, int]:
    """The sizes that the data give to ports whose sizes are open; raises `DataError`.

    A number of classes or of steps is that of the sample, where not all of the data are in it.
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
    """The errors and warnings of a recipe's data, and a description of each source read in part.

    The classes of `open_ports` follow from the data, so that any number of them is right. `reaches`
    says how far the outputs reach that targets are compared with; `multiplied` are the inputs that
    a product reads as they come.
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
    doubts = [_batch(recipe, part)]
    doubts += [_classes(recipe, part, port) for port in ports if port.name not in names]
    doubts += [_reach(part, port, (reaches or {}).get(port.name)) for port in ports]
    doubts += [_scale(recipe, part, port) for port in ports if port.name in multiplied]
    return [each for each in doubts if each is not None], data.partial


def _batch(recipe: Recipe, part: DataPart) -> Diagnostic | None:
    field = next(iter(part.fields.values()))
    count = len(part)
    if field.is_part:
        held_out = recipe.validate if isinstance(recipe.validate, float) else 0
        count = round(field.examples * (1 - held_out))
    return large_batch(recipe, count) if count > 0 else None


def _classes(recipe: Recipe, part: DataPart, port: Port) -> Diagnostic | None:
    """Doubts a target of which some classes never occur, where all of the data are known."""
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
    rows = part.columns[port.name].array  # those of the validation part, too
    counts = np.bincount(rows.reshape(-1), minlength=port.classes)
    return missing_classes(recipe.data, port, np.flatnonzero(counts == 0).tolist())


FAR, SHARE, RATIO = 50.0, 0.01, 100.0
"""Inputs are doubted if more than this share of their values is beyond FAR, or if the standard
deviations of their elements differ by RATIO."""
LOOKED_AT = 2**14  # most rows that are looked at


def _scale(recipe: Recipe, part: DataPart, port: Port) -> Diagnostic | None:
    """Doubts an input whose values are large, or whose elements differ much in scale."""
    if recipe.data is None or port.name not in part.columns or port.kind != "float":
        return None
    column, rows = part.columns[port.name], part.rows[:LOOKED_AT]
    values = column.values(np.asarray(rows)).reshape(len(rows), -1)
    if np.mean(np.abs(values) > FAR) > SHARE:
        worst = int(np.argmax(np.abs(values).max(axis=1)))
        element = int(np.argmax(np.abs(values[worst])))
        value = float(values[worst, element])
        place = part.fields[port.name].place(int(rows[worst]), element)
        return unscaled(recipe, port, f"reaches {value:g}", (f"{place}: {value:g}",))
    deviations = values.std(axis=0)
    if port.shape and len(port.shape) == 1 and len(values) > 1:
        deviations = np.where(deviations > 0, deviations, np.nan)
        if np.isnan(deviations).all():
            return None
        low, high = int(np.nanargmin(deviations)), int(np.nanargmax(deviations))
        ratio = deviations[high] / deviations[low]
        if ratio > RATIO:
            where = part.fields[port.name].place
            notes = tuple(
                f"the standard deviation is {deviations[each]:.3g}: {where(int(rows[0]), each)}"
                for each in (low, high)
            )
            what = f"has elements whose standard deviations differ {ratio:,.0f}-fold"
            return unscaled(recipe, port, what, notes)
    return None


def _reach(part: DataPart, port: Port, reach: Reach | None) -> Diagnostic | None:
    """Doubts a target that the output which it is compared with cannot become."""
    if reach is None or port.name not in part.columns:
        return None
    values = part.columns[port.name].array
    wrong = (values < reach.low) | (values > reach.high)
    if not wrong.any():
        return None
    row = int(np.argmax(wrong.reshape(len(wrong), -1).any(axis=1)))
    element = int(np.argmax(wrong[row].reshape(-1)))
    place = part.fields[port.name].place(row, element)
    return unreachable(port, reach, place, values[row].reshape(-1)[element].item())
