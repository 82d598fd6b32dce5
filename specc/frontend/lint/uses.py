"""Uses of words, read off the tree of a model: what they are given, and what a value comes from.

uses(`mse(h -> dense(1) -> sigmoid, y)`)        # mse of two inputs, dense of one, sigmoid of one
maker(`h -> dense(1) -> sigmoid`, values)       # `sigmoid`
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from specc.frontend.syntax import ast


class WordUse(NamedTuple):
    """A use of a word; in a pipeline the value before the stage is the first input."""

    word: ast.Path
    inputs: tuple[ast.Argument, ...]

    def named(self, names: list[str]) -> dict[str, ast.Expression]:
        """Return the inputs by their names; those without take the names of a signature in
        order."""
        given = [each.value for each in self.inputs if each.name is None]
        named = {each.name.text: each.value for each in self.inputs if each.name is not None}
        return dict(zip(names, given, strict=False)) | named


def uses(value: ast.Expression) -> Iterator[WordUse]:
    """Yield each use of a word within an expression."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call):
            yield WordUse(node.word, node.inputs)
        elif isinstance(node, ast.Pipeline):
            before: ast.Expression = node.value
            for place, stage in enumerate(node.stages):
                if isinstance(stage, ast.Call):
                    if place:
                        before = ast.Pipeline(node.value, node.stages[:place], node.span)
                    first = ast.Argument(None, before, before.span)
                    yield WordUse(stage.word, (first, *stage.inputs))


def named_values(model: ast.Model) -> dict[str, ast.Expression]:
    """Return the expressions that `let` gives a single name."""
    lets = [each for each in model.body if isinstance(each, ast.Let) and len(each.names) == 1]
    return {each.names[0].text: each.value for each in lets}


def maker(
    value: ast.Expression, values: dict[str, ast.Expression], depth: int = 0
) -> ast.Path | None:
    """Return the word that a value comes from, if it comes from one."""
    if isinstance(value, ast.Pipeline):
        last = value.stages[-1]
        return last.word if isinstance(last, ast.Call) else None
    if isinstance(value, ast.Call):
        return value.word
    if isinstance(value, ast.Path) and value.text in values and depth < 50:
        return maker(values[value.text], values, depth + 1)
    return None
