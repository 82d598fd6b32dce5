"""Which column of a source belongs to which port.

by_kind(request, table)         # {"picture": "image", "digit": "label"}
by_name(request, table, {})     # {"x": ["x_1", "x_2"], "y": ["y"]}
"""

from __future__ import annotations

import re
from collections import Counter

from specc.diagnostics import Diagnostic, closest
from specc.recipe import Port, binding
from specc.recipe.binding import port_type
from specc.runtime.data.request import Request, listed
from specc.runtime.data.table import Table
from specc.runtime.errors import DataError

MOST_MISTAKES = 50  # of the names of columns
# What the field calls one and the same column.
SYNONYMS = (
    ("label", "labels", "class", "category", "y", "target", "targets", "output"),
    ("x", "features", "feature", "data", "input", "inputs", "image", "images", "pixels"),
    ("t", "target", "targets", "value", "values", "y", "output"),
    ("text", "sentence", "review", "document", "content"),
)


def names(request: Request, table: Table, settings: dict) -> dict[str, list[str]]:
    """Return the columns of each port: by kind or by name, as the table says."""
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
    """The column of each port, as `binding.by_kind` binds them."""
    found = binding.by_kind(table.names, request.ports)
    if found.doubtful:
        raise request.error(
            f"the {found.doubtful}s of {table.title} could be any of {listed(found.ports)}",
            help=f"call the right one `{found.doubtful}`, or take the data from an `npz`, with"
            " names",
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
    """For each port the names of the columns that make it up.

    A setting called like the port says so itself (`species = "kind"`, `x = "length, width"`);
    otherwise it is the column of the port's own name, or, for a port with axes, the numbered
    columns `x_1`, `x_2`, .. (or `x1`, `x2`, ..), counted from 1 or 0, in row-major order.
    """
    found: dict[str, list[str]] = {}
    names = table.names
    mistakes: list[Diagnostic] = []
    counts = Counter(names)
    for port in request.ports:
        if isinstance(text := chosen.get(port.name), str):
            wanted = [each.strip() for each in text.split(",")]
        elif port.name in counts:
            wanted = [port.name]
        else:
            wanted = _numbered(port, names) if port.shape else []
        for name in wanted or [port.name]:
            if len(mistakes) == MOST_MISTAKES:
                break
            if name not in counts:
                mistakes += _missing(request, table, port, name).diagnostics
            elif counts[name] > 1:
                mistakes += request.error(
                    f"{table.title} has {counts[name]} columns called `{name}`",
                    help="give them different names",
                ).diagnostics
        found[port.name] = wanted
    if mistakes:
        raise DataError(mistakes)
    return found


def _numbered(port: Port, names: list[str]) -> list[str]:
    """The columns `x_1`, `x_2`, .. of a port `x`, by number; empty where numbers are left out."""
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
    series, noun, help_ = "", "array", f"`numpy.savez(file, {port.name}=...)` names it so"
    if table.noun == "column":
        noun = "column"
        wide = bool(port.shape)
        series = f", nor `{name}_1`, `{name}_2`, .." if wide and name == port.name else ""
        help_ = "the first line of the file names the columns"
    if request.is_in_a_file:  # and no file given to `predict`
        help_ = f'the setting `{port.name} = "{near or "..."}"` of `{request.call.word}` names it'
        if is_chosen and near:
            help_ = ""
        if series and not near and port.kind == "float" and port.role == "input":
            help_ = (
                f'`columns = "a, b, .."` of `{request.call.word}` lists those of an input, or'
                f" `column {port.name} = rest` takes all that are left"
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
    """The column that goes by another name for the same: `y_train` for `label`."""

    def plain(each: str) -> str:
        return re.sub(r"^(train|test|val)_|_(train|test|val)$", "", each.lower())

    alike = {each for group in SYNONYMS if plain(name) in group for each in group} | {plain(name)}
    return next((each for each in names if plain(each) in alike), None)
