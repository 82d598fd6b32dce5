"""Opens the source that a call names.

request = request_of(recipe.data, ports, folder)
table = table_of_source(request)             # the source is `csv` or another one
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

from specc.diagnostics import closest
from specc.recipe import ColumnRule, DataCall, Port, Recipe
from specc.recipe.sources import FRAME, SOURCES
from specc.runtime.data import frames, match, shards
from specc.runtime.data.request import Request, listed
from specc.runtime.data.sources import arrow, cifar10, csv, digits, idx, images, jsonl, npz
from specc.runtime.data.table import Table
from specc.runtime.errors import data_error

READERS: dict[str, Callable[[Request], Table]] = {
    "digits": digits.table,
    "idx": idx.table,
    "csv": csv.table,
    "tsv": csv.table,
    "jsonl": jsonl.table,
    "parquet": arrow.table,
    "feather": arrow.table,
    "images": images.table,
    "cifar10": cifar10.table,
    "mnist": idx.table,
    "fashion_mnist": idx.table,
    FRAME: frames.table,
    "npz": npz.table,
    "npy": npz.table,
}


def table_of_source(request: Request) -> Table:
    """Return the table of a call's source. Raises `DataError` if it cannot be read."""
    word = request.call.word
    if word not in READERS:
        near = closest(word, SOURCES)
        raise request.error(
            f"unknown data source `{word}`",
            help=f"did you mean `{near}`?" if near else f"there are {listed(SOURCES)}",
        )
    if word in shards.WORDS and len(request.call.arguments) > 1:
        return shards.joined(request, READERS[word])
    return READERS[word](request)


def split_columns(recipe: Recipe, request: Request, table: Table) -> list[str]:
    """Return the column that a split depends on. Raises `DataError` if it does not exist.

    The recipe names a column, a target or an input.
    """
    name = recipe.split.column
    if recipe.split.by == "random":
        return []
    if name in table.names:
        return [name]
    port = next((each for each in request.ports if each.name == name), None)
    rule = next((each for each in request.rules if each.name == name), None)
    if rule is not None:
        return [
            each.value
            for each in rule.formula.walk()
            if each.word == "name" and each.value in table.names
        ][:1]
    if port is not None:
        found = match.names(request, table, request.settings()).get(name, [])
        return found[:1]
    near = closest(name, table.names)
    raise data_error(
        f"{table.title} has no {table.noun} `{name}`, which `{recipe.split.by}` needs",
        recipe.split.span or request.call.span,
        help=f"did you mean `{near}`?" if near else f"it has {listed(table.names)}",
    )


def request_of(
    call: DataCall,
    ports: Sequence[Port],
    folder: Path,
    limit: int | None = None,
    rules: Sequence[ColumnRule] = (),
) -> Request:
    """Return the request for a source; ports derived from other ports are kept apart."""
    derived = tuple(port for port in ports if port.length_of or port.begin_of)
    own = tuple(port for port in ports if port not in derived)
    return Request(shards.expanded(call, folder), own, folder, derived, limit, tuple(rules))
