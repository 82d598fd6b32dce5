"""Reports operands that do not fit together, with their shapes and the origin of the shapes."""

from __future__ import annotations

from specc.diagnostics import Edit, Fix, Label
from specc.frontend.fix.fixes import wrapped
from specc.frontend.fix.operands import remedy
from specc.frontend.scope import provenance
from specc.frontend.scope.errors import Misfit, OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import Tensor, Value, describe
from specc.frontend.syntax import ast
from specc.ir import sizes
from specc.source import Span


def report(
    frame: BodyFrame, error: OperandError, span: Span, operands: list[tuple[ast.Expression, Value]]
) -> Value:
    """Report an error of an operation, with the shapes of its operands and their origin."""
    if error.name in ("wrong-kind", "bad-number") and error.argument is not None:
        at = error.argument
        return frame.error(error.name, error.message, operands[at][0].span, help=error.help)
    notes: list[str] = []
    labels, help_ = frame.open_labels(error.open_sizes)
    if error.name == "shape-mismatch":
        tensors = [(tree, value) for tree, value in operands if isinstance(value, Tensor)]
        for tree, value in tensors:
            labels.append(Label(tree.span, shape_label(value)))
        notes = stories(frame, tensors)
    fixes = padding(operands) if error.name == "shape-mismatch" else []
    help_ = error.help or help_
    if error.name == "shape-mismatch" and not fixes and help_ is None:
        help_, fixes = remedy(error.message, operands)
        fixes = fixes if frame.call is None else []
    place = next(
        (
            tree.span
            for tree, value in operands
            if isinstance(value, Tensor)
            and value.sequence is None
            and value.type.batched
            and value.shape
        ),
        None,
    )
    if isinstance(error, Misfit) and error.along and frame.call is None and place is not None:
        call = f"along({provenance.excerpt(place, 32)}; {error.along})"
        help_ = f"`{call}` repeats it at every time step"
        fixes = [Fix("repeat it at every time step", wrapped(place, "along(", f"; {error.along})"))]
    return frame.error(
        error.name, error.message, span, labels=labels, notes=notes, help=help_, fixes=fixes
    )


def padding(operands: list[tuple[ast.Expression, Value]]) -> list[Fix]:
    """Return fixes for two images of different size: `pad` for a convolution that shrank one."""
    tensors = [value for _, value in operands if isinstance(value, Tensor)]
    if len(operands) != 2 or len(tensors) != 2:
        return []
    small, large = sorted(tensors, key=lambda value: str(value.shape[1:]))
    if small.type.rank != 3 or large.type.rank != 3:
        return []
    missing = large.shape[1] - small.shape[1]
    if not isinstance(missing, int) or missing == 0:
        return []
    if missing < 0:
        small, large, missing = large, small, -missing
    fixes = []
    for step in reversed(provenance.steps(small.provenance)):
        if step.span is None or not step.note:
            continue
        text = step.span.text
        if (
            text.startswith("conv")
            and text.endswith(")")
            and "pad" not in text
            and missing % 2 == 0
        ):
            at = Span(step.span.source, step.span.end - 1, step.span.end - 1)
            pad = missing // 2
            message = (
                f"with `pad={pad}` on line {step.span.line} both are {sizes.show(large.shape)}"
            )
            fixes.append(Fix(message, (Edit(at, f", pad={pad}"),), explains=True))
    return fixes


def shape_label(value: Tensor) -> str:
    if value.type.kind == "int":
        return describe(value)
    each = f" at each step of `{value.sequence.name}`" if value.sequence is not None else ""
    return sizes.show(value.shape) + each


def stories(frame: BodyFrame, operands: list[tuple[ast.Expression, Tensor]]) -> list[str]:
    """Return a note for each operand about the origin of its shape."""
    notes = []
    for tree, value in operands:
        note = provenance.story(
            f"`{provenance.excerpt(tree.span, 32)}`", value.shape, value.provenance
        )
        if note is not None and note not in notes:
            notes.append(note)
    return notes
