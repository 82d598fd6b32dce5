"""The text of formulas with indices, from their JSON form: `let y[k] = ...`, `sum(i: ...)`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Protocol

from specc.diagnostics import SpecError
from specc.frontend.jsonform.shapes import SUM
from specc.frontend.syntax import ast


class RecordWriter(Protocol):
    """A checker of records that writes their values as text."""

    def wrong(self, pointer: str, message: str) -> SpecError: ...

    def fields(self, record: Any, pointer: str, classes: tuple[type, ...]) -> type: ...

    def value(self, record: Any, name: str, pointer: str, least: int = ...) -> str: ...

    def expression(self, record: Any, pointer: str, least: int = ...) -> str: ...


def bind(writer: RecordWriter, record: Any, pointer: str) -> str:
    """Return the text of an index, with its range if it has one: `i`, `i in 0:3`."""
    writer.fields(record, pointer, (ast.Bind,))
    ends = [name for name in ("start", "stop") if name in record]
    if len(ends) == 1:
        raise writer.wrong(pointer, "a range needs a `start` and a `stop`")
    shown = [writer.value(record, name, pointer, SUM) for name in ends]
    return f"{record['name']} in {shown[0]}:{shown[1]}" if ends else record["name"]


def over(writer: RecordWriter, record: Any, pointer: str) -> str:
    """Return the text of a reduction over indices: `sum(i, j; i != j: formula)`."""
    lists: list[list[str]] = []
    for name in ("indices", "conditions"):
        lists.append([])
        for place, each in enumerate(record.get(name, ())):
            at = f"{pointer}/{name}/{place}"
            is_bind = isinstance(each, Mapping) and each.get("kind") == "Bind"
            lists[-1].append(bind(writer, each, at) if is_bind else writer.expression(each, at))
    front = "; ".join(", ".join(each) for each in lists if each)
    return f"{record['word']}({front}: {writer.value(record, 'value', pointer)})"


def let(writer: RecordWriter, record: Any, pointer: str) -> str:
    found = enumerate(record.get("indices", ()))
    indices = [bind(writer, each, f"{pointer}/indices/{place}") for place, each in found]
    if indices and len(record["names"]) > 1:
        raise writer.wrong(f"{pointer}/indices", "a value with indices must have one name")
    axes = f"[{', '.join(indices)}]" if indices else ""
    return f"let {', '.join(record['names'])}{axes} = {writer.value(record, 'value', pointer)}"
