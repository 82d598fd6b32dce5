"""The body of a primitive, which is built in Python; its errors are reported here."""

from __future__ import annotations

from specc.diagnostics import Edit, Fix
from specc.frontend.elaborate.dispatch import BoundCall, gives_body
from specc.frontend.scope import provenance
from specc.frontend.scope.errors import OperandError, undecided
from specc.frontend.scope.values import Tensor, Value
from specc.frontend.words.signatures import Primitive
from specc.ir.sizes import Undecided
from specc.source import Span


@gives_body(Primitive)
def primitive(use: BoundCall) -> Value:
    """Return the value that a primitive builds from its inputs and settings."""
    definition = use.word.definition
    assert isinstance(definition, Primitive)
    operands = [each.value if each is not None else None for each in use.values]
    settings = {each.name: use.frame.names[each.name] for each in definition.signature.settings}
    try:
        return definition.build(use.frame, use.span, *operands, **settings)
    except OperandError as error:
        return _report(use, error)
    except Undecided as error:  # a symbolic dimension among the settings
        return _report(use, undecided(error.size))


def _report(use: BoundCall, error: OperandError) -> Value:
    """Report an error of a primitive."""
    frame, span = use.caller, use.span
    at = error.argument
    place = span
    notes: list[str] = []
    given = [each for each in use.values if each is not None]
    if at is not None and at < len(given) and error.name == "wrong-kind":
        place = given[at].span
    if error.name in ("shape-mismatch", "window-does-not-fit"):
        for each in given:
            if not isinstance(each.value, Tensor):
                continue
            what = (
                f"`{provenance.excerpt(each.span, 32)}`"
                if each.expression is not None
                else "its input"
            )
            if frame.call is not None:
                what = f"the input of `{provenance.excerpt(frame.call, 32)}`"
            note = provenance.story(what, each.value.shape, each.value.provenance)
            if note is not None and note not in notes:
                notes.append(note)
            if frame.call is not None:
                break  # the other operands belong to the library
    labels, help_ = frame.open_labels(error.open_sizes)
    fixes = _rounding(frame.location(span)) if error.name == "window-does-not-fit" else []
    return frame.error(
        error.name,
        error.message,
        place,
        labels=labels,
        notes=notes,
        help=error.help or help_,
        fixes=fixes,
    )


def _rounding(span: Span) -> list[Fix]:
    """Return the fix that makes a window ignore leftover elements."""
    if span.text.endswith(")"):
        at = Span(span.source, span.end - 1, span.end - 1)
        return [Fix("ignore leftover elements", (Edit(at, ", round=floor"),))]
    return []
