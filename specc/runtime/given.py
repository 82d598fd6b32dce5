"""Data sources for objects and paths that Python code passes instead of the file's own data.

source(frame, recipe.data)            # DataCall("frame", (frame,), ...)
source("houses.csv", recipe.data)     # DataCall("csv", ("/home/.../houses.csv",), ...)
"""

from __future__ import annotations

import json
from collections.abc import Collection
from pathlib import Path

from specc.recipe import DataCall
from specc.recipe.sources import FRAME, source_of
from specc.runtime.errors import start_of

WORDS = {
    ".csv": "csv", ".tsv": "tsv", ".jsonl": "jsonl", ".parquet": "parquet",
    ".feather": "feather", ".npz": "npz", ".npy": "npz", ".txt": "text",
}  # fmt: skip
"""The source that reads files with a given suffix."""
TABLES = ("csv", "tsv", "jsonl", "parquet", "feather")
"""Sources whose columns have names, which settings may refer to."""


def source(data: object, own: DataCall | None, without: Collection[str] = ()) -> DataCall:
    """Return a data source for an object or a path.

    Settings of the file's own source apply to it too, except those that name the columns of the
    ports in `without`.
    """
    if isinstance(data, DataCall):
        return data
    is_path = isinstance(data, str | Path)
    word, arguments = (
        (_word(Path(str(data))), (str(Path(str(data)).resolve()),)) if is_path else (FRAME, (data,))
    )
    known = source_of(word).all_settings(())
    settings = {}
    if own is not None:
        own_settings = source_of(own.word).all_settings(())
        is_like = own.word == word or {own.word, word} <= {*TABLES, FRAME}
        settings = {
            name: value
            for name, value in own.settings.items()
            if name not in without and (name in known or (is_like and name not in own_settings))
        }
        scale = own_settings.get("scale")
        if scale is not None and "scale" in known and scale.default != known["scale"].default:
            settings.setdefault("scale", scale.default)
    place = start_of(str(data)) if is_path else start_of("data")
    return DataCall(word, arguments, settings, span=place)


def _word(path: Path) -> str:
    if path.is_dir():
        return "images"
    suffix = Path(path.stem).suffix if path.suffix in (".gz", ".zip") else path.suffix
    return WORDS.get(suffix, "idx")


def text_of(call: DataCall) -> str:
    """Return a data source's call in the syntax of a model file."""
    parts = [json.dumps(each, ensure_ascii=False) for each in call.arguments]
    named = [
        f"{name} = {json.dumps(value, ensure_ascii=False)}" for name, value in call.settings.items()
    ]
    return f"{call.word}({', '.join(parts)}{'; ' if named else ''}{', '.join(named)})"
