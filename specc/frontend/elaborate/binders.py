"""The names that a formula binds as indices, and their occurrences in brackets.

affine(frame, tree of `2 * i + u - 1`, names)     # {i: 2, u: 1}, -1
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field
from itertools import count
from typing import Any

from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.provenance import excerpt
from specc.frontend.scope.values import IndexPart, RunningIndex, Sequence, Tensor, describe
from specc.frontend.syntax import ast
from specc.ir.graph import apply
from specc.ir.sizes import Polynomial, Size
from specc.ops import elementwise as ops
from specc.ops.broadcast import Broadcast
from specc.ops.leaf import Iota, constant, leaf
from specc.source import Span
from specc.system.records import dataclass

_numbers = count()


@dataclass(eq=False)
class Binder:
    """A name that a formula binds; `bind` has its range, and is None if a condition binds it."""

    name: str
    span: Span
    bind: ast.Bind | None
    is_axis: bool  # whether it is bound on the left of a `let`
    order: int = field(default_factory=lambda: next(_numbers))
    start: Size = 0
    size: Size | None = None
    sequence: Sequence | None = None
    source: Occurrence | None = None  # the occurrence that determines its size
    places: list[Occurrence] = field(default_factory=list)
    index: RunningIndex | None = None


@dataclass(eq=False)
class Occurrence:
    """An item in brackets that contains indices: their factors, and an offset."""

    terms: dict[Binder | RunningIndex | IndexPart, int | Polynomial]
    constant: Size
    axis: int
    size: Size
    sequence: Sequence | None
    span: Span
    value: ast.Expression

    @property
    def alone(self) -> Binder | None:
        """Return the index if the item is a single index, otherwise None."""
        if len(self.terms) == 1 and self.constant == 0:
            ((name, factor),) = self.terms.items()
            return name if factor == 1 and isinstance(name, Binder) else None
        return None


class NotAffine(Exception):
    """Raised for an item in brackets that is not a sum of indices and numbers."""


Names = Mapping[str, Any]
"""The names of indices at a point of a formula, with their binders; None for the number of a copy.
"""


class bound_names:
    """A context manager in which the names of some binders mean their indices."""

    def __init__(self, frame: BodyFrame, binders) -> None:
        self.frame, self.binders = frame, list(binders)

    def __enter__(self) -> None:
        for each in self.binders:
            if each.index is None:
                each.index = RunningIndex(
                    each.name, each.size, each.start, each.order, each.sequence
                )
            self.frame.names[each.name] = counter(self.frame, each.index, each.span)
            self.frame.running[each.name] = each.index

    def __exit__(self, *_) -> None:
        for each in self.binders:
            self.frame.names.pop(each.name, None)
            self.frame.running.pop(each.name, None)


def counter(frame: BodyFrame, index: RunningIndex, span: Span) -> Tensor:
    """Return the value of an index: start, start + 1, ... along its own axis."""
    node = apply(ops.ToFloat(), leaf(Iota(index.size), frame.origin(span)))
    if index.start != 0:
        start = float(index.start) if isinstance(index.start, int) else index.start
        number = apply(Broadcast((index.size,)), constant(start))
        node = ops.add(node, number)
    return Tensor(node, indices=(index,), counter=index)


def axes_of(frame: BodyFrame, value: Tensor) -> list[tuple[Size, Sequence | None]]:
    """Return the axes that brackets after a value index; the axis of a sequence comes first."""
    axes: list[tuple[Size, Sequence | None]] = []
    sequence = value.sequence
    if sequence is not None and sequence.name not in frame.hidden:
        axes.append((sequence.size, sequence))
    within = value.within or (None,) * len(value.shape)
    return axes + list(zip(value.shape, within, strict=True))


def affine(frame: BodyFrame, item: ast.Expression, names: Names) -> tuple[dict, Size]:
    """Return an item as factors of indices and an offset. Raises `NotAffine`."""
    if not occurs_in(item, names):
        value = frame.known.get(item)
        if value is None:
            value = frame.known[item] = evaluate(frame, item)
        if isinstance(value, bool) or not isinstance(value, (int, Polynomial)):
            raise NotAffine(f"{describe(value)} is not whole")
        return {}, value
    if isinstance(item, ast.Path) and len(item.names) == 1:
        return {names[item.text]: 1}, 0
    if isinstance(item, ast.Unary) and item.operator.text == "-":
        terms, constant = affine(frame, item.operand, names)
        return {k: -v for k, v in terms.items()}, -constant
    if isinstance(item, ast.Binary) and item.operator.text in ("//", "%"):
        return {_part(frame, item, names): 1}, 0
    if not isinstance(item, ast.Binary) or item.operator.text not in ("+", "-", "*"):
        used_sign = item.operator.text if isinstance(item, ast.Binary | ast.Unary) else ""
        raise NotAffine(f"it has `{used_sign}` of an index" if used_sign else "it is computed")
    left, right = affine(frame, item.left, names), affine(frame, item.right, names)
    if item.operator.text == "*":
        if left[0] and right[0]:
            raise NotAffine("it multiplies indices")
        (terms, constant), (_, factor) = (left, right) if left[0] else (right, left)
        return {k: factor * v for k, v in terms.items()}, factor * constant
    sign = 1 if item.operator.text == "+" else -1
    terms = dict(left[0])
    for key, factor in right[0].items():
        terms[key] = terms.get(key, 0) + sign * factor
    return {k: v for k, v in terms.items() if v != 0}, left[1] + sign * right[1]


def _part(frame: BodyFrame, item: ast.Binary, names: Names) -> IndexPart:
    """Return the index that `i // 2` or `i % 2` is; raises `NotAffine`."""
    sign = item.operator.text
    if not isinstance(item.left, ast.Path) or not occurs_in(item.left, names):
        raise NotAffine(f"it has `{sign}` of what is not a single index")
    terms, by = affine(frame, item.right, names)
    if terms or not isinstance(by, int) or by < 1:
        raise NotAffine(f"it has `{sign}` of an index by what is no number above 0")
    index = names[item.left.text]
    if index is None:
        raise NotAffine(f"it has `{sign}` of a number of a copy")
    return IndexPart(index, by, sign == "%")


def paths_in(node: ast.Node) -> Iterator[ast.Path]:
    for each in ast.walk(node):
        if isinstance(each, ast.Path) and len(each.names) == 1:
            yield each


def occurs_in(node: ast.Node, names: Names) -> bool:
    return bool(names) and any(each.text in names for each in paths_in(node))


def used(node: ast.Node, names: Names) -> list[Binder | None]:
    return [names[each.text] for each in paths_in(node) if each.text in names]


def base(place: Occurrence) -> str:
    return f"`{excerpt(place.value.span, 32)}`"


def shown(place: Occurrence) -> str:
    return f"{excerpt(place.value.span, 32)}[... {place.span.text} ...]"
