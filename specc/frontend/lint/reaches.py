"""How far the outputs reach that a loss compares with a target: the data must not lie beyond.

    loss mse(h -> dense(1) -> sigmoid, y)       # {"y": Reach("`sigmoid` gives", 0, 1)}

Read off the tree: the word that a value comes from, and the targets of the model.
"""

from __future__ import annotations

import math
from collections.abc import Iterator

from specc.frontend.lint.lint import maker
from specc.frontend.syntax import ast
from specc.sources import Reach

REACHES = {
    "sigmoid": (0, 1), "softmax": (0, 1), "tanh": (-1, 1), "relu": (0, math.inf),
    "softplus": (0, math.inf),
}  # fmt: skip
COMPARING = ("mse", "mae", "huber", "distance")


def reaches(file: ast.File) -> dict[str, Reach]:
    """How far each `float` target may reach that a loss compares with a word of `REACHES`."""
    model = next((each for each in file.definitions if isinstance(each, ast.Model)), None)
    if model is None:
        return {}
    own = {each.name.text for each in file.definitions if isinstance(each, (ast.Fn, ast.Block))}
    values = {
        s.names[0].text: s.value for s in model.body if isinstance(s, ast.Let) and len(s.names) == 1
    }
    targets = {
        s.name.text for s in model.body if isinstance(s, ast.Target) and s.type.kind.text == "float"
    }
    found: dict[str, Reach] = {}
    for statement in model.body:
        if not isinstance(statement, ast.Loss):
            continue
        for word, first, second in _pairs(statement.value):
            if word.text in own or word.text not in (*COMPARING, "kl"):
                continue
            for value, target in ((first, second), (second, first)):
                if not isinstance(target, ast.Path) or target.text not in targets:
                    continue
                if word.text == "kl":
                    if target is first:
                        found.setdefault(target.text, Reach("`kl` takes", 0, 1, word.span))
                    continue
                made_by = maker(value, values)
                if made_by is not None and made_by.text in REACHES and made_by.text not in own:
                    low, high = REACHES[made_by.text]
                    found.setdefault(
                        target.text, Reach(f"`{made_by}` gives", low, high, made_by.span)
                    )
    return found


def _pairs(value: ast.Expression) -> Iterator[tuple[ast.Path, ast.Expression, ast.Expression]]:
    """Each use of a word with two inputs."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and len(node.inputs) == 2:
            yield node.word, node.inputs[0].value, node.inputs[1].value
        elif isinstance(node, ast.Pipeline):
            before: ast.Expression = node.value
            for place, stage in enumerate(node.stages):
                if place:
                    before = ast.Pipeline(node.value, node.stages[:place], node.span)
                if isinstance(stage, ast.Call) and len(stage.inputs) == 1:
                    yield stage.word, before, stage.inputs[0].value
