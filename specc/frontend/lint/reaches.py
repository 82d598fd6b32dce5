"""The ranges of outputs that a loss compares with a target, which the target must not leave.

    loss mse(h -> dense(1) -> sigmoid, y)       # {"y": Reach("`sigmoid` gives", 0, 1)}

Read off the tree: the word that a value comes from, and the targets of the model. Words state the
range of their values, "Its values are from 0 to 1.", and losses what they compare, "Compares `y`
with `t`."
"""

from __future__ import annotations

from specc.frontend.lint.uses import WordUse, maker, named_values, uses
from specc.frontend.scope.scope import Scope
from specc.frontend.syntax import ast
from specc.frontend.words.facts import Facts, facts_of
from specc.frontend.words.signatures import signature_of
from specc.recipe.data_warnings import Reach


def reaches(file: ast.File, scope: Scope) -> dict[str, Reach]:
    """Return the range of each `float` target, as stated by the functions it is compared with."""
    model = next((each for each in file.definitions if isinstance(each, ast.Model)), None)
    if model is None:
        return {}
    targets = {
        s.name.text for s in model.body if isinstance(s, ast.Target) and s.type.kind.text == "float"
    }
    values = named_values(model)
    found: dict[str, Reach] = {}
    for statement in model.body:
        for use in uses(statement.value) if isinstance(statement, ast.Loss) else ():
            word = scope.word(use.word.text)
            if word is None:
                continue
            stated = facts_of(word.definition)
            inputs = use.named(signature_of(word.definition).input_names)
            for target, reach in _compared(stated, inputs, values, scope) + _taken(
                use, stated, inputs
            ):
                if target.text in targets:
                    found.setdefault(target.text, reach)
    return found


def _compared(
    stated: Facts,
    inputs: dict[str, ast.Expression],
    values: dict[str, ast.Expression],
    scope: Scope,
) -> list[tuple[ast.Path, Reach]]:
    """Return each input that is compared with a value whose word states its range."""
    if stated.compares is None or not all(name in inputs for name in stated.compares):
        return []
    found = []
    first, second = (inputs[name] for name in stated.compares)
    for value, target in ((first, second), (second, first)):
        made_by = maker(value, values)
        made = scope.word(made_by.text) if made_by is not None else None
        results = facts_of(made.definition).results if made is not None else None
        if isinstance(target, ast.Path) and made_by is not None and results is not None:
            found.append((target, Reach(f"`{made_by}` gives", *results, made_by.span)))
    return found


def _taken(
    use: WordUse, stated: Facts, inputs: dict[str, ast.Expression]
) -> list[tuple[ast.Path, Reach]]:
    """Return each input whose range the loss states."""
    return [
        (target, Reach(f"`{use.word}` takes", *reach, use.word.span))
        for name, reach in stated.inputs.items()
        if isinstance(target := inputs.get(name), ast.Path)
    ]
