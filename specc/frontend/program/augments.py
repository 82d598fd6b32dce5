"""Data augmentation, `augment NAME = formula`: inputs that are changed during training.

    augment image = image -> shift(1)     # let image = if training then shift(image; 1) else image

The formula belongs to the model: it is compiled, fused and seeded like everything in it.
"""

from __future__ import annotations

from collections.abc import Sequence

from specc.diagnostics import Label, closest, spelled
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Context
from specc.frontend.scope.values import POISON, Tensor, describe
from specc.frontend.syntax import ast
from specc.source import Span


def augments_of(
    context: Context, model: ast.Model, block: ast.Train | None
) -> tuple[ast.Augment, ...]:
    """Return the augments of a `train` block. Report those of unknown inputs, and duplicates."""
    found: dict[str, ast.Augment] = {}
    names = [each.name.text for each in model.body if isinstance(each, ast.Input | ast.Stream)]
    for statement in block.body if block is not None else ():
        if not isinstance(statement, ast.Augment):
            continue
        name = statement.name
        if name.text not in names:
            near = closest(name.text, names)
            context.error(
                "unknown-name",
                f"the model has no input `{name.text}` to augment",
                name.span,
                help=f"did you mean `{near}`?" if near else None,
                fixes=spelled(near, name.span),
            )
        elif name.text in found:
            context.error(
                "duplicate-name",
                f"`{name.text}` is already augmented",
                name.span,
                labels=[Label(found[name.text].name.span, "first augmented here")],
                help="join the stages: `augment image = image -> flip -> shift(2)`",
            )
        else:
            found[name.text] = statement
    return tuple(found.values())


def augment(frame: BodyFrame, port: ast.Statement, augments: Sequence[ast.Augment]) -> None:
    """Replace an input by its augmented value if it has an `augment`."""
    name = getattr(port, "name", None)
    statement = next(
        (each for each in augments if name is not None and each.name.text == name.text), None
    )
    if statement is None or name is None or frame.names.get(name.text, POISON) is POISON:
        return
    before = frame.names[name.text]
    assert before is not None, "an input has a value; please report this"
    tree, span = statement.value, statement.value.span
    value = evaluate(frame, tree)
    if value is POISON or value is None:
        frame.names[name.text] = POISON
        return
    if not _fits(value, before):
        frame.error(
            "shape-mismatch",
            f"`augment` keeps the shape of `{name.text}`, {describe(before)}, but makes"
            f" {describe(value)}",
            span,
            labels=[Label(name.span, f"`{name.text}` is declared here")],
        )
        frame.names[name.text] = POISON
        return
    place = Span(span.source, span.start, span.start)
    training = ast.Path((ast.Name("training", place),), place)
    own = ast.Path((ast.Name(name.text, place),), place)
    frame.names[_AUGMENTED] = value
    augmented = ast.Path((ast.Name(_AUGMENTED, place),), place)
    frame.names[name.text] = evaluate(frame, ast.Conditional(training, augmented, own, span))
    del frame.names[_AUGMENTED]


_AUGMENTED = "augmented value"  # has a space, so no name in a file equals it


def _fits(value: object, before: object) -> bool:
    if not isinstance(value, Tensor) or not isinstance(before, Tensor):
        return False
    return (
        value.shape == before.shape
        and value.type.kind == before.type.kind
        and (value.sequence is None) == (before.sequence is None)
    )
