"""The steps that led to a value's shape, for the notes of a diagnostic.

    how `main` got [32, 12, 12]
        5  x                      [32, 14, 14]
        6  conv(32, kernel=3)     [32, 12, 12]    (14 - 3 + 2*0) / 1 + 1 = 12

A provenance is a linked list from a value's last step back to an input. It is built during
elaboration.
"""

from __future__ import annotations

from specc.ir.sizes import Shape, show
from specc.source import Span
from specc.system.records import dataclass

LONGEST = 10
"""The most steps in a note."""


@dataclass(frozen=True, slots=True, eq=False)
class Derivation:
    """A step. A hidden one is inside a library function; its note is shown at the user's call."""

    span: Span | None
    text: str
    shape: Shape
    note: str = ""
    previous: Derivation | None = None
    hidden: bool = False


def visible(last: Derivation | None, span: Span, shape: Shape) -> Derivation:
    """Replace the hidden steps at the end of `last` by one step of the user's call at `span`."""
    notes = []
    while last is not None and last.hidden:
        if last.note and last.note not in notes:
            notes.append(last.note)
        last = last.previous
    return Derivation(span, excerpt(span), shape, "; ".join(reversed(notes)), last)


def last_visible(last: Derivation | None) -> Derivation | None:
    while last is not None and last.hidden:
        last = last.previous
    return last


def steps(last: Derivation | None) -> list[Derivation]:
    """Return the steps that changed the shape, in order, and the last step."""
    found: list[Derivation] = []
    while last is not None:
        before = last_visible(last.previous)
        changed = last.note or before is None or before.shape != last.shape
        if not last.hidden and (changed or not found):
            found.append(last)
        last = before
    return found[::-1]


def story(what: str, shape: Shape, last: Derivation | None) -> str | None:
    """Return the note about the steps from `what` to `shape`; None if there are none."""
    found = steps(last)
    if not found or (len(found) == 1 and not found[0].note and found[0].text == what.strip("`")):
        return None
    lines = [f"how {what} got {show(shape)}"]
    if len(found) > LONGEST:
        lines.append(f"  ... {len(found) - LONGEST} steps before")
        found = found[-LONGEST:]
    numbers = [str(step.span.line) if step.span else "" for step in found]
    shapes = [show(step.shape) for step in found]
    number_width, text_width, shape_width = (
        max(map(len, column)) for column in (numbers, [step.text for step in found], shapes)
    )
    for step, number, shape_text in zip(found, numbers, shapes, strict=True):
        line = f"  {number:>{number_width}}  {step.text:<{text_width}}  {shape_text:<{shape_width}}"
        lines.append(f"{line}  {step.note}".rstrip())
    return "\n".join(lines)


def excerpt(span: Span, longest: int = 48) -> str:
    """Return the text of a span on one line."""
    text = " ".join(span.text.split())
    return text if len(text) <= longest else text[: longest - 3] + "..."
