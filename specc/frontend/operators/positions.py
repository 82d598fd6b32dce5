"""Values read at indices: `x[c, 2 * i + u, :]`, `E[text[t], i]`.

    read_at(frame, x, [PlaceRead({c: 1}, 0), PlaceRead({i: 2, u: 1}, 0), (None, None, None)], span)

Raises `Mistake`, whose `argument` is the position of the wrong item.
"""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.operators.products import slice_of
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.mistakes import Mistake
from specc.frontend.scope.values import RunningIndex, Sequence, Tensor, Value
from specc.ir import sizes
from specc.ir.sizes import Size
from specc.ops.contract import Affine
from specc.ops.gather import Take
from specc.ops.read import read
from specc.ops.shape import Transpose
from specc.source import Span
from specc.system.records import dataclass


@dataclass(frozen=True)
class PlaceRead:
    """A position on an axis: a sum of indices with integer factors, and an offset."""

    terms: dict[RunningIndex, Size]
    constant: Size


Item: TypeAlias = PlaceRead | Tensor | tuple[Value | None, ...]
"""An item in brackets: a position, a class, or the start, stop and step of a slice."""


def read_at(frame: BodyFrame, value: Tensor, items: list[Item], span: Span) -> Tensor:
    """Return the elements of a value at the items; the axes after them are kept."""
    sequence = value.sequence
    sees_steps = sequence is not None and sequence.name not in frame.hidden
    axes = len(value.shape) + sees_steps
    if len(items) > axes:
        raise Mistake(
            "shape-mismatch",
            f"{sizes.show(value.shape)} has {axes} axes, and here are {len(items)} indices",
            argument=axes,
        )
    of_steps: PlaceRead | None = None
    if sees_steps and items:
        of_steps = _of_steps(items[0], sequence)
        items = items[1:]
    first = int(sees_steps)
    entries: list[PlaceRead | None] = []
    classes: list[tuple[int, Tensor]] = []
    for axis, item in enumerate(items):
        if isinstance(item, tuple):
            value = slice_of(frame, value, axis, item, axis + first, span)
        elif isinstance(item, Tensor):
            classes.append((axis, item))
        entries.append(item if isinstance(item, PlaceRead) else None)
    entries += [None] * (len(value.shape) - len(entries))
    for axis, item in classes:
        value, entries = _chosen(frame, value, entries, axis, item, axis + first, span)
        if of_steps is None:
            continue
        if set(of_steps.terms) & set(item.indices):
            # the class has the time step's index: one choice per time step
            value = _read(frame, value, of_steps, [None] * len(value.shape), span)
            of_steps = None
    return _read(frame, value, of_steps, entries, span)


def _of_steps(item: Item, sequence: Sequence | None) -> PlaceRead | None:
    """Return the time steps of a sequence that are read; None for all of them."""
    if isinstance(item, PlaceRead):
        return item
    if isinstance(item, tuple) and item == (None, None, None):
        return None
    raise Mistake(
        "not-yet",
        f"the steps of `{sequence.name if sequence else ''}` are chosen by an index, a number, or"
        " all of them by `:`",
        argument=0,
    )


def _chosen(
    frame: BodyFrame,
    value: Tensor,
    entries: list[PlaceRead | None],
    axis: int,
    item: Tensor,
    position: int,
    span: Span,
) -> tuple[Tensor, list[PlaceRead | None]]:
    """Return the value indexed by a class along one axis, and the positions still to read on
    its other axes."""
    shared = [
        each if each is not None and set(each.terms) & set(item.indices) else None
        for each in entries
    ]
    if any(each is not None for each in shared):
        value = _read(frame, value, None, shared, span)
        entries = [e for e, s in zip(entries, shared, strict=True) if s is None]
        axis -= sum(each is not None for each in shared[:axis])
    value = as_kind(frame, value, "float", span)
    if axis:
        order = (axis, *(k for k in range(len(value.shape)) if k != axis))
        value = frame.apply(Transpose(order), value, span=span)
    if item.shape:
        raise Mistake("not-yet", "a class in brackets must be a single one here", argument=position)
    try:
        value = frame.apply(Take(), value, item, span=span)
    except Mistake as mistake:
        raise Mistake(mistake.name, mistake.message, argument=position) from None
    return value, entries[:axis] + entries[axis + 1 :]


def _read(
    frame: BodyFrame,
    value: Tensor,
    of_steps: PlaceRead | None,
    entries: list[PlaceRead | None],
    span: Span,
) -> Tensor:
    """Return a value read at a position on each of its axes; axes with None are kept."""
    if of_steps is None and not any(each is not None for each in entries):
        return value
    if of_steps is not None:
        frame.context.sees_steps = True
    new = [each for place in (of_steps, *entries) if place is not None for each in place.terms]
    indices = tuple(sorted({*value.indices, *new}, key=lambda each: each.order))
    extents: list[Size] = []
    places: list[Affine] = []
    if value.sequence is not None and of_steps is None:
        extents.append(value.sequence.size)
        places.append(Affine(((0, 1),)))
    at = {each: len(extents) + k for k, each in enumerate(indices)}
    extents += [each.size for each in indices]
    if of_steps is not None:
        places.append(_affine(of_steps, at, value.over.size))
    places += [Affine(((at[each], 1),)) for each in value.indices]
    kept = []
    for axis, (entry, size) in enumerate(zip(entries, value.shape, strict=True)):
        if entry is not None:
            places.append(_affine(entry, at, size))
            continue
        kept.append(axis)
        places.append(Affine(((len(extents), 1),)))
        extents.append(size)
    node = read(value.node, tuple(extents), tuple(places), frame.origin(span))
    within = tuple(value.within[axis] for axis in kept) if value.within else ()
    return Tensor(
        node,
        value.provenance,
        value.sequence if of_steps is None else None,
        indices=indices,
        within=within if any(within) else (),
    )


def _affine(place: PlaceRead, at: dict[RunningIndex, int], size: Size) -> Affine:
    """Return a position as an expression of axes: an index stands for start + axis position."""
    constant = place.constant
    for each, factor in place.terms.items():
        constant = constant + factor * each.start
    terms = tuple(sorted((at[each], factor) for each, factor in place.terms.items()))
    if not terms and isinstance(constant, int) and constant < 0:
        constant = constant + size
    known = not terms and isinstance(constant, int) and isinstance(size, int)
    if known and not 0 <= constant < size:
        raise Mistake("shape-mismatch", f"an axis of {size} has the indices 0 to {size - 1}")
    return Affine(terms, constant)  # type: ignore[arg-type]  # `read` takes sizes
