"""Hashes of what a run was made from. run.json keeps them, and later commands compare them.

    pins.parts["validation"] == values(data.validation, data.vocabularies)

The values of the examples are hashed after reading. A file may therefore be moved, renamed or
compressed again, and rows may be added to it, as long as the rows that the run was trained and
validated on stay the same. All hashes are SHA-256, in hex.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import field, fields, replace
from pathlib import Path
from typing import Any

import numpy as np

from specc.recipe import DataCall, Recipe
from specc.runtime.data import DataPart
from specc.runtime.data.handed import mapped
from specc.runtime.data.shards import expanded
from specc.system.records import dataclass

SPLIT = "the last of permutation(seed, SPLIT, count), or of a text its end"  # order.py
UNKNOWN = ""
"""Stands for the hash of values that are still to come."""
CHUNK = 2**24  # bytes of a column that are gathered and hashed at once
SOME = 1024  # rows by which machines compare their data


@dataclass
class Pins:
    """The hashes of a run, and the machine and versions it was trained with.

    `texts` has the hashes of model.dl and the files that it uses, by their paths in the run's
    folder; `files` those of the data files, by their paths in model.dl. `parts` has the hashes of
    the training and the validation values, by port. `counts` has the number of examples of each
    source ("data", "validate"), or of symbols in each of its texts; with the seed and the rule
    `split` they determine the rows of the validation part. `versions` has specc and the packages it
    builds on, `machine` the processor. `starts` has the hashes of the files
    of weights that training began with; runs of older versions have none.
    """

    texts: dict[str, str] = field(default_factory=dict)
    files: dict[str, str] = field(default_factory=dict)
    parts: dict[str, dict[str, str]] = field(default_factory=dict)
    counts: dict[str, list[int]] = field(default_factory=dict)
    split: str = ""
    versions: dict[str, str] = field(default_factory=dict)
    machine: dict[str, str] = field(default_factory=dict)
    starts: dict[str, str] = field(default_factory=dict)


def rule(recipe: Recipe) -> str:
    """Return the rule by which rows were divided into parts; empty if they were not."""
    if recipe.folds is None and not any(
        isinstance(each, float) for each in (recipe.validate, recipe.test)
    ):
        return ""
    split = recipe.split
    by = "" if split.by == "random" else f"; {split.by} by `{split.column}`"
    fold = "" if recipe.folds is None else f"; fold {recipe.fold or 1} of {recipe.folds}"
    return f"{SPLIT}{by}{fold}"


def is_pins(value: object) -> bool:
    """Return whether a value of run.json has the form of `Pins`, or is null as in older runs."""

    def is_table(value: object, is_right: Callable[[Any], bool]) -> bool:
        return isinstance(value, dict) and all(map(is_right, value.values()))

    def is_text(value: object) -> bool:
        return isinstance(value, str)

    def is_counts(value: object) -> bool:
        return isinstance(value, list) and all(type(each) is int and each >= 0 for each in value)

    if value is None:
        return True
    if not isinstance(value, dict) or {*value, "starts"} != {each.name for each in fields(Pins)}:
        return False
    return (
        is_text(value["split"])
        and is_table(value["counts"], is_counts)
        and is_table(value["parts"], lambda part: is_table(part, is_text))
        and all(
            is_table(value.get(name, {}), is_text)
            for name in ("texts", "files", "versions", "machine", "starts")
        )
    )


def text(content: str) -> str:
    """Return the hash of a text with the line ends of a `Source`."""
    return hashlib.sha256(content.encode()).hexdigest()


def some(part: DataPart, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the hashes of `values`, but read at most `SOME` rows of an array on the disk."""
    found = {}
    for name, column in part.columns.items():
        rows = part.numbers
        if mapped(column.array) is not None and len(rows) > SOME:
            rows = rows[np.linspace(0, len(rows) - 1, SOME).astype(np.int64)]
        own = replace(part, columns={name: column}, rows=rows)
        found[name] = f"{len(part)} {values(own, vocabularies)[name]}"
    return found


def values(part: DataPart, vocabularies: Mapping[str, Sequence[str]]) -> dict[str, str]:
    """Return the hash of each column of a part: its values in the part's rows, in their order."""
    found = {}
    for name, column in part.columns.items():
        array = column.array
        if any(each.is_source_of(array) and not each.is_complete for each in part.waiting):
            found[name] = UNKNOWN
            continue
        words = list(vocabularies.get(name, ()))
        form = [array.dtype.str, array.shape[1:], len(part), column.scale, column.shift, words]
        hashed = hashlib.sha256(json.dumps(form).encode())
        if part.stored is not None:
            hashed.update(part.stored.hashes[name].encode())
            found[name] = hashed.hexdigest()
            continue
        size = max(1, array.dtype.itemsize * int(np.prod(array.shape[1:])))
        step = max(1, CHUNK // size)
        for start in range(0, len(part), step):
            rows = np.ascontiguousarray(array[part.rows[start : start + step]])
            hashed.update(rows.reshape(-1).view(np.uint8).data)
        found[name] = hashed.hexdigest()
    return found


def files(recipe: Recipe, folder: Path) -> dict[str, str]:
    """Return the hash of each existing data file that a recipe names."""
    found = {}
    for call in (recipe.data, recipe.validate, recipe.test):
        for given in expanded(call, folder).arguments if isinstance(call, DataCall) else ():
            if not isinstance(given, str):
                continue  # an object from Python
            path = folder / Path(given).expanduser()
            if path.is_file() and given not in found:
                try:
                    with path.open("rb") as file:
                        found[given] = hashlib.file_digest(file, "sha256").hexdigest()
                except OSError:
                    continue  # reading the data reports this error
    return found


def files_meanwhile(recipe: Recipe, folder: Path) -> Future[dict[str, str]]:
    """Return the future result of `files`, computed in a thread of its own."""
    pool = ThreadPoolExecutor(1)
    future = pool.submit(files, recipe, folder)
    pool.shutdown(wait=False)
    return future
