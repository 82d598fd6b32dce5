"""The inputs and settings of a function, for definitions in .dl and for primitives.

fn f(x: float[n], y; m = 1)      ->      Signature((x, y), (m,))
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from specc.frontend.syntax import ast
from specc.frontend.words.settings import Declared, declared
from specc.system.records import dataclass


@dataclass(frozen=True)
class InputDeclared:
    """An input. If it is optional, `default` is the input that replaces it."""

    name: str
    type: ast.Type | None = None
    is_optional: bool = False
    span: Any = None
    default: str | None = None


@dataclass(frozen=True)
class Signature:
    """Inputs and settings; with `takes_more` the last input may occur any number of times."""

    inputs: tuple[InputDeclared, ...]
    settings: tuple[Declared, ...]
    takes_more: bool = False

    @property
    def setting_names(self) -> list[str]:
        return [each.name for each in self.settings]

    @property
    def input_names(self) -> list[str]:
        return [each.name for each in self.inputs]

    def setting(self, name: str) -> Declared | None:
        return next((each for each in self.settings if each.name == name), None)

    def __str__(self) -> str:
        """Return the signature as the language writes it: `(x: float[n]; units: int > 0)`."""
        inputs = ", ".join(
            each.name
            + (f": {' '.join(each.type.span.text.split())}" if each.type else "")
            + (f" = {each.default}" if each.default else "")
            for each in self.inputs
        )
        if self.takes_more:
            inputs += ", ..."
        settings = ", ".join(str(each) for each in self.settings)
        return f"({inputs}; {settings})" if settings else f"({inputs})"


@dataclass(frozen=True, eq=False)
class Primitive:
    """A function that is written in Python: `specc/frontend/primitives` builds its value."""

    name: str
    signature: Signature
    doc: str
    build: Callable[..., Any]


@cache
def from_tree(tree: ast.Signature) -> Signature:
    """Return the signature of a definition."""
    inputs = tuple(
        InputDeclared(
            each.name.text,
            each.type,
            each.default is not None,
            each.name.span,
            each.default.text if each.default else None,
        )
        for each in tree.inputs
    )
    return Signature(inputs, declared(tree))


def signature_of(definition: Any) -> Signature:
    """Return the signature of a definition or primitive."""
    found = definition.signature
    if isinstance(definition, ast.Cell):
        return _of_cell(definition)
    return from_tree(found) if isinstance(found, ast.Signature) else found


@cache
def _of_cell(cell: ast.Cell) -> Signature:
    """Return a cell's signature, with its initial states as inputs: `lstm(y, h=h, c=c; 256)`."""
    own = from_tree(cell.signature)
    states = tuple(
        InputDeclared(each.name.text, None, True, each.name.span)
        for each in cell.body
        if isinstance(each, ast.State)
    )
    return replace(own, inputs=own.inputs + states)
