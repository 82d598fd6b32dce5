"""Values read at indices: `x[c, 2 * i + u, :]`, `E[text[t], i]`.

    read_at(frame, x, [PlaceRead({c: 1}, 0), PlaceRead({i: 2, u: 1}, 0), (None, None, None)], span)

Raises `OperandError`, whose `argument` is the position of the wrong item.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TypeAlias

from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.operators.products import slice_of
from specc.frontend.operators.sequences import masked
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import IndexPart, RunningIndex, Sequence, Tensor, Value
from specc.ir import sizes
from specc.ir.graph import apply
from specc.ir.sizes import Size
from specc.ops.contract import Affine
from specc.ops.gather import Take
from specc.ops.read import read
from specc.ops.shape import Reshape, Transpose
from specc.source import Span
from specc.system.records import dataclass


@dataclass(frozen=True)
class AxisPosition:
    """A position on an axis: a sum of indices with integer factors, and an offset."""

    terms: dict[RunningIndex | IndexPart, Size]
    constant: Size


Positions: TypeAlias = dict[RunningIndex | IndexPart, tuple[tuple[int, int], ...]]
"""The axes, with factors, whose positions add up to that of an index."""


Item: TypeAlias = AxisPosition | Tensor | tuple[Value | None, ...]
"""An item in brackets: a position, a class, or the start, stop and step of a slice."""


def read_at(frame: BodyFrame, value: Tensor, items: list[Item], span: Span) -> Tensor:
    """Return the elements of a value at the items; the axes after them are kept."""
    sequence = value.sequence
    sees_steps = sequence is not None and sequence.name not in frame.hidden
    axes = len(value.shape) + sees_steps
    if len(items) > axes:
        raise OperandError(
            "shape-mismatch",
            f"{sizes.show(value.shape)} has {axes} axes, and here are {len(items)} indices",
            argument=axes,
        )
    of_steps: AxisPosition | None = None
    if sees_steps and items and isinstance(items[0], Tensor):
        value, sees_steps = _as_axis(frame, value, span), False  # a class chooses a step
    if sees_steps and items:
        of_steps = _of_steps(items[0], sequence)
        items = items[1:]
    first = int(sees_steps)
    entries: dict[int, AxisPosition] = {}
    classes: list[tuple[int, Tensor]] = []
    for axis, item in enumerate(items):
        if isinstance(item, tuple):
            value = slice_of(frame, value, axis, item, axis + first, span)
        elif isinstance(item, Tensor):
            classes.append((axis, item))
        else:
            entries[axis] = item
    left = list(range(len(value.shape)))  # the axes that are still there
    for axis, item in classes:
        value = _chosen(frame, value, entries, left, axis, item, axis + first, span)
        if of_steps is None:
            continue
        if _indices(of_steps) & set(item.indices):
            # the class has the time step's index: one choice per time step
            value = _read(frame, value, of_steps, [None] * len(value.shape), span)
            of_steps = None
    return _read(frame, value, of_steps, [entries.get(axis) for axis in left], span)


def _as_axis(frame: BodyFrame, value: Tensor, span: Span) -> Tensor:
    """Return a sequence with its steps as an axis; those past the end are 0."""
    value = as_kind(frame, value, "float", span)
    within = (None, *value.within) if value.within else ()
    node = masked(value.node, value.over)
    if value.indices:  # their axes come first
        order = (*range(1, value.lead), 0, *range(value.lead, node.type.rank))
        node = apply(Transpose(order), node, origin=frame.origin(span))
    return replace(value, node=node, sequence=None, within=within, finals=())


def _indices(place: AxisPosition) -> set[RunningIndex]:
    return {each.of if isinstance(each, IndexPart) else each for each in place.terms}


def _of_steps(item: Item, sequence: Sequence | None) -> AxisPosition | None:
    """Return the time steps of a sequence that are read; None for all of them."""
    if isinstance(item, AxisPosition):
        return item
    if isinstance(item, tuple) and item == (None, None, None):
        return None
    raise OperandError(
        "not-yet",
        f"the steps of `{sequence.name if sequence else ''}` are chosen by an index, a number or a"
        " class, or all of them by `:`",
        argument=0,
    )


def _chosen(
    frame: BodyFrame,
    value: Tensor,
    entries: dict[int, AxisPosition],
    left: list[int],
    axis: int,
    item: Tensor,
    position: int,
    span: Span,
) -> Tensor:
    """Return a value with the elements that a class chooses along an axis.

    `left` are the axes that the value has, and `entries` the places where some of them are to be
    read: those that are read here, and the axis itself, are taken out.
    """
    shared = [each for each in entries if _indices(entries[each]) & set(item.indices)]
    if shared:
        at = [entries.pop(each) if each in shared else None for each in left]
        value = _read(frame, value, None, at, span)
        left[:] = [each for each in left if each not in shared]
    value = as_kind(frame, value, "float", span)
    at_axis = left.index(axis)
    if at_axis:
        order = (at_axis, *(k for k in range(len(value.shape)) if k != at_axis))
        value = frame.apply(Transpose(order), value, span=span)
    if item.shape:
        raise OperandError(
            "not-yet", "a class in brackets must be a single one here", argument=position
        )
    try:
        value = frame.apply(Take(), value, item, span=span)
    except OperandError as error:
        raise OperandError(error.name, error.message, argument=position) from None
    left.remove(axis)
    return value


def _read(
    frame: BodyFrame,
    value: Tensor,
    of_steps: AxisPosition | None,
    entries: list[AxisPosition | None],
    span: Span,
) -> Tensor:
    """Return a value read at a position on each of its axes; axes with None are kept."""
    if of_steps is None and not any(each is not None for each in entries):
        return value
    given = [place for place in (of_steps, *entries) if place is not None]
    new = [each for place in given for each in _indices(place)]
    indices = tuple(sorted({*value.indices, *new}, key=lambda each: each.order))
    extents: list[Size] = []
    places: list[Affine] = []
    if value.sequence is not None and of_steps is None:
        extents.append(value.sequence.size)
        places.append(Affine(((0, 1),)))
    cut = _cut(given)
    at: Positions = {}
    for each in indices:
        by = cut.get(each)
        if by is None:
            at[each] = ((len(extents), 1),)
            extents.append(each.size)
            continue
        at[IndexPart(each, by, is_rest=False)] = ((len(extents), 1),)
        at[IndexPart(each, by, is_rest=True)] = ((len(extents) + 1, 1),)
        at[each] = ((len(extents), by), (len(extents) + 1, 1))
        extents += [each.size // by, by]
    if of_steps is not None:
        places.append(_affine(of_steps, at, value.over.size))
    places += [Affine(at[each]) for each in value.indices]
    kept = []
    for axis, (entry, size) in enumerate(zip(entries, value.shape, strict=True)):
        if entry is not None:
            places.append(_affine(entry, at, size))
            continue
        kept.append(axis)
        places.append(Affine(((len(extents), 1),)))
        extents.append(size)
    node = read(value.node, tuple(extents), tuple(places), frame.origin(span))
    if cut:
        whole = extents[: len(extents) - len(kept) - len(indices) - len(cut)]
        whole += [each.size for each in indices] + [value.shape[axis] for axis in kept]
        node = apply(Reshape(tuple(whole)), node, origin=frame.origin(span))
    within = tuple(value.within[axis] for axis in kept) if value.within else ()
    return Tensor(
        node,
        value.provenance,
        value.sequence if of_steps is None else None,
        indices=indices,
        within=within if any(within) else (),
    )


def _cut(places: list[AxisPosition]) -> dict[RunningIndex, int]:
    """Return the indices of which places have parts, such as `i // 2`, and the size of a part."""
    found: dict[RunningIndex, int] = {}
    for place in places:
        for each in place.terms:
            if isinstance(each, IndexPart) and found.setdefault(each.of, each.by) != each.by:
                message = f"`{each.of.name}` is cut into parts of {found[each.of]} and of {each.by}"
                raise OperandError("not-yet", message)
    return found


def _affine(place: AxisPosition, at: Positions, size: Size) -> Affine:
    """Return a position as an expression of axes: an index stands for start + axis position."""
    constant = place.constant
    for each, factor in place.terms.items():
        constant = constant + factor * each.start
    factors: dict[int, Size] = {}
    for each, factor in place.terms.items():
        for axis, own in at[each]:
            factors[axis] = factors.get(axis, 0) + factor * own
    terms = tuple(sorted(factors.items()))
    if not terms and isinstance(constant, int) and constant < 0:
        constant = constant + size
    known = not terms and isinstance(constant, int) and isinstance(size, int)
    if known and not 0 <= constant < size:
        raise OperandError("shape-mismatch", f"an axis of {size} has the indices 0 to {size - 1}")
    return Affine(terms, constant)  # type: ignore[arg-type]  # `read` takes sizes
