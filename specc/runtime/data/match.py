"""Decides which column of a source belongs to which port.

by_kind(request, table)         # {"picture": "image", "digit": "label"}
by_name(request, table, {})     # {"x": ["x_1", "x_2"], "y": ["y"]}
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Sequence

from specc.diagnostics import Diagnostic, closest
from specc.recipe import Port, binding
from specc.recipe.binding import port_type
from specc.runtime.data.request import Request, listed
from specc.runtime.data.table import Table
from specc.runtime.errors import DataError, NoColumns

MOST_ERRORS = 50  # largest number of unknown or duplicate column names that are reported
# Groups of names that are commonly used for the same column.
SYNONYMS = (
    ("label", "labels", "class", "category", "y", "target", "targets", "output"),
    ("x", "features", "feature", "data", "input", "inputs", "image", "images", "pixels"),
    ("t", "target", "targets", "value", "values", "y", "output"),
    ("text", "sentence", "review", "document", "content"),
)


def names(request: Request, table: Table, settings: dict) -> dict[str, list[str]]:
    """Return the columns of each port, matched by kind or by name depending on the table."""
    if not table.by_kind:
        return by_name(request, table, _chosen(request, settings))
    return {port: [name] for port, name in by_kind(request, table).items()}


def _chosen(request: Request, settings: dict) -> dict[str, str]:
    """Return the columns that settings name, by port."""
    chosen = request.columns()
    if columns := settings.get("columns"):
        wide = [p for p in request.ports if p.kind == "float" and p.shape and p.role == "input"]
        if len(wide) != 1:
            raise request.error(
                "`columns` is for a model with one `float` input that has axes; this one has"
                f" {listed(p.name for p in wide)}",
                help='name the columns of each: `x = "a, b"`',
            )
        chosen[wide[0].name] = columns
    return chosen


def by_kind(request: Request, table: Table) -> dict[str, str]:
    """Return the column of each port, matched by kind (`binding.by_kind`)."""
    found = binding.by_kind(table.names, request.ports)
    if found.doubtful:
        raise request.error(
            f"the {found.doubtful}s of {table.title} could be any of {listed(found.ports)}",
            help=f"call the right port `{found.doubtful}`, or use an `npz` file, which has names",
        )
    for port in request.ports:
        if port.name not in found.fields:
            raise request.error(
                f"`{request.call.word}` has nothing for `{port.name}: {port_type(port)}`",
                port=port,
                help="it gives images to a `float` port and labels to a `class` port",
            )
    return found.fields


def by_name(request: Request, table: Table, chosen: dict[str, str]) -> dict[str, list[str]]:
    """Return the names of the columns of each port.

    A setting with the name of the port lists them (`species = "kind"`, `x = "length, width"`).
    Otherwise it is the column with the port's name, or, for a port with axes, the numbered columns
    `x_1`, `x_2`, .. (or `x1`, `x2`, ..), counted from 1 or 0, in row-major order.
    """
    found: dict[str, list[str]] = {}
    names = table.names
    errors: list[Diagnostic] = []
    lacking: list[str] = []
    counts = Counter(names)
    for port in request.ports:
        if isinstance(text := chosen.get(port.name), str):
            wanted = [each.strip() for each in text.split(",")]
        elif port.name in counts:
            wanted = [port.name]
        else:
            wanted = _numbered(port, names) if port.shape else []
        for name in wanted or [port.name]:
            if len(errors) == MOST_ERRORS:
                break
            if name not in counts:
                lacking.append(name)
                errors += _missing(request, table, port, name).diagnostics
            elif counts[name] > 1:
                errors += request.error(
                    f"{table.title} has {counts[name]} columns called `{name}`",
                    help="give them different names",
                ).diagnostics
        found[port.name] = wanted
    if lacking and len(lacking) == len(errors):
        raise no_columns(request, table, lacking, errors)
    if errors:
        raise DataError(errors)
    return found


def no_columns(
    request: Request, table: Table, names: Iterable[str], each: Sequence[Diagnostic]
) -> NoColumns:
    """Return the error for columns that a table lacks: one for all, if no .dl file names the table.

    `each` are those of the single columns.
    """
    names = list(dict.fromkeys(names))
    if len(names) == 1 or request.is_in_a_file:
        return NoColumns(each, names)
    hints = [
        f"`{near}` for `{name}`"
        for name in names
        if (near := closest(name, table.names) or _synonym(name, table.names))
    ]
    found = request.error(
        f"{table.title} has no {table.noun}s {listed(names, MOST_ERRORS)}, which the model needs",
        help=f"did you mean {', '.join(hints)}?" if hints else None,
        notes=[f"it has {listed(table.names)}"],
    )
    return NoColumns(found.diagnostics, names)


def _numbered(port: Port, names: list[str]) -> list[str]:
    """Return the numbered columns `x_1`, `x_2`, .. of a port `x`; empty if numbers are missing."""
    pattern = re.compile(re.escape(port.name) + r"_?(\d+)", re.ASCII)
    numbers = {int(match[1]): name for name in names if (match := pattern.fullmatch(name))}
    first = min(numbers, default=0)
    complete = first in (0, 1) and sorted(numbers) == list(range(first, first + len(numbers)))
    return [numbers[each] for each in sorted(numbers)] if complete else []


def _missing(request: Request, table: Table, port: Port, name: str) -> DataError:
    names = table.names
    near = closest(name, names) or _synonym(name, names)
    hint = f"did you mean `{near}`? " if near else ""
    is_chosen = port.name in request.columns()
    series, noun, help_ = (
        "",
        "array",
        f"save it under this name: `numpy.savez(file, {port.name}=...)`",
    )
    if table.noun == "column":
        noun = "column"
        wide = bool(port.shape)
        series = f", nor `{name}_1`, `{name}_2`, .." if wide and name == port.name else ""
        help_ = "the first line of the file names the columns"
    if request.is_in_a_file:  # and no file given to `predict`
        help_ = f'name the {noun} in `{request.call.word}`: `{port.name} = "{near or "..."}"`'
        if is_chosen and near:
            help_ = ""
        if series and not near and port.kind == "float" and port.role == "input":
            help_ = (
                f'list the columns with `columns = "a, b, .."`, or take all remaining ones with'
                f" `column {port.name} = rest`"
            )
    return request.error(
        f"{table.title} has no {noun} `{name}`{series}, which"
        f" `{port.name}: {port_type(port)}` needs",
        setting=port.name if is_chosen else "columns",
        port=port,
        help=f"{hint}{help_}".strip(),
        notes=[f"it has {listed(names)}"],
    )


def _synonym(name: str, names: list[str]) -> str | None:
    """Return a column whose name is a synonym of `name`: `y_train` for `label`."""

    def plain(each: str) -> str:
        return re.sub(r"^(train|test|val)_|_(train|test|val)$", "", each.lower())

    alike = {each for group in SYNONYMS if plain(name) in group for each in group} | {plain(name)}
    return next((each for each in names if plain(each) in alike), None)
