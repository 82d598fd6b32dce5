"""Warnings about results of softmax or sigmoid in a loss that applies the function itself.

    loss cross_entropy(softmax(scores), label)      # warning[double-softmax]

A loss states what it takes: "Takes raw scores, not the result of `softmax`."
"""

from __future__ import annotations

from specc.diagnostics import Label, Report
from specc.frontend.lint.uses import WordUse, maker, named_values, uses
from specc.frontend.scope.scope import Scope
from specc.frontend.syntax import ast
from specc.frontend.words.facts import facts_of


def double_softmax(model: ast.Model, scope: Scope, report: Report) -> None:
    """Report losses and metrics of raw scores that are given what an activation makes of them."""
    values = named_values(model)
    for statement in model.body:
        if not isinstance(statement, ast.Loss | ast.Metric | ast.Let):
            continue
        for use in uses(statement.value):
            made_by = _wrong_maker(use, values, scope)
            if made_by is None:
                continue
            help_ = f"give `{use.word}` the scores before `{made_by}`"
            if isinstance(statement, ast.Loss):
                help_ += f"; you can keep `output {made_by}(...)`"
            report.warning(
                "double-softmax",
                f"`{use.word}` takes raw scores (logits), but gets the output of `{made_by}`",
                use.inputs[0].value.span,
                labels=[Label(made_by.span, f"`{made_by}` here")],
                help=help_,
            )


def _wrong_maker(use: WordUse, values: dict[str, ast.Expression], scope: Scope) -> ast.Path | None:
    """Return the word that made the scores of a use, if they must not come from it."""
    word = scope.word(use.word.text) if use.inputs else None
    not_after = facts_of(word.definition).not_after if word is not None else ()
    made_by = maker(use.inputs[0].value, values) if not_after else None
    made = scope.word(made_by.text) if made_by is not None else None
    if word is None or made is None:
        return None
    # the loss's definition names functions that its own file knows
    home = word.scope or scope
    known = [home.word(name) for name in not_after]
    is_one = any(each is not None and each.definition is made.definition for each in known)
    return made_by if is_one else None
