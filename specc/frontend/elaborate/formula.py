"""Collects the indices of a formula and their occurrences."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import field

from specc.diagnostics import Label
from specc.frontend.elaborate.binders import (
    Binder,
    Names,
    NotAffine,
    Occurrence,
    affine,
    axes_of,
    occurs_in,
    paths_in,
)
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.names import is_unbound
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.provenance import excerpt
from specc.frontend.scope.values import POISON, IndexPart, Tensor, Value, describe
from specc.frontend.syntax import ast
from specc.source import Span
from specc.system.records import dataclass

KEEPING = ("softmax", "log_softmax")
"""Reductions whose result has the index too, such as `cumsum`; it is bound outside of them."""

COMPARISONS = ("==", "!=", "<", "<=", ">", ">=")


@dataclass(eq=False)
class FormulaWalk:
    """The indices of a formula: those of its `let` and of its reductions."""

    frame: BodyFrame
    axes: list[Binder] = field(default_factory=list)
    of: dict[ast.Over, list[Binder]] = field(default_factory=dict)
    places: list[Occurrence] = field(default_factory=list)
    pairs: list[tuple[Binder, Binder]] = field(
        default_factory=list
    )  # indices compared in a condition
    waiting: list[tuple[ast.Index, Names]] = field(default_factory=list)
    is_good: bool = True

    def error(self, name: str, message: str, span: Span, **more) -> None:
        self.is_good = False
        self.frame.error(name, message, span, **more)

    def index_error(self, message: str, span: Span, **more) -> None:
        self.is_good = False
        self.frame.index_error(message, span, **more)

    @property
    def binders(self) -> Iterator[Binder]:
        yield from self.axes
        for each in self.of.values():
            yield from each

    # Walking the formula

    def walk(self, node: ast.Node, names: Names) -> None:
        """Collect the indices that a formula binds, and their occurrences."""
        if isinstance(node, ast.Over):
            self._over(node, names)
        elif isinstance(node, ast.Index):
            self._index(node, names)
        elif isinstance(node, ast.Binary) and node.operator.text in COMPARISONS:
            self._compared(node, names)
            self.walk(node.left, names)
            self.walk(node.right, names)
        elif isinstance(node, ast.Conditional) and not occurs_in(node.condition, names):
            condition = self.known(node.condition)
            if isinstance(condition, bool):
                self.walk(node.value if condition else node.otherwise, names)
            else:
                self.walk(node.value, names)
                self.walk(node.otherwise, names)
        else:
            for each in ast.children(node):
                self.walk(each, names)

    def _compared(self, node: ast.Binary, names: Names) -> None:
        """Collect two indices that are compared with each other."""
        sides = [
            names.get(each.names[0].text)
            for each in (node.left, node.right)
            if isinstance(each, ast.Path) and len(each.names) == 1
        ]
        one, other = sides if len(sides) == 2 else (None, None)
        if one is not None and other is not None:
            self.pairs.append((one, other))

    def known(self, expression: ast.Expression) -> Value:
        """Return the value of a part of the formula, evaluated only once."""
        values = self.frame.known
        if expression not in values:
            values[expression] = evaluate(self.frame, expression)
        return values[expression]

    def _over(self, node: ast.Over, names: Names) -> None:
        inner = dict(names)
        own: list[Binder] = []
        for each in node.indices:
            if isinstance(each, ast.Bind) and node.word.text in KEEPING:
                if not self._kept(node, each, names):
                    inner[each.name.text] = None
            elif isinstance(each, ast.Bind) and node.word.text == "concat":
                inner[each.name.text] = None
            elif isinstance(each, ast.Bind):
                binder = self.bound(each.name.text, each.name.span, each, inner, is_axis=False)
                own.append(binder)
                inner[binder.name] = binder
        for each in node.indices:
            if isinstance(each, ast.Bind):
                continue
            for path in _new_names(self.frame, each, inner):
                binder = self.bound(path.text, path.span, None, inner, is_axis=False)
                own.append(binder)
                inner[binder.name] = binder
        if not own and node.word.text not in (*KEEPING, "concat"):
            self.index_error(
                f"`{node.word.text}` binds no index: all names before the `:` are already bound"
                " already",
                node.span,
                help=f"for example, `{node.word.text}(j <= i: x[j])` binds `j` if `i` is known",
            )
        self.of[node] = own
        for each in node.indices:
            if not isinstance(each, ast.Bind):
                self.walk(each, inner)
        for condition in node.conditions:
            self.walk(condition, inner)
        self.walk(node.value, inner)
        parts = [node.value, *node.conditions]
        parts += [each for each in node.indices if not isinstance(each, ast.Bind)]
        for binder in own:
            if not any(occurs_in(each, {binder.name: binder}) for each in parts):
                self.index_error(
                    f"the index `{binder.name}` is not used in the formula of `{node.word.text}`",
                    binder.span,
                    help="remove it, or use it in brackets: `x[" + binder.name + "]`",
                )

    def _kept(self, node: ast.Over, bind: ast.Bind, names: Names) -> bool:
        """Return whether the index of a reduction that keeps it is bound outside; else report."""
        name, word = bind.name.text, node.word.text
        if names.get(name) is None:
            known = self.frame.names.get(name)
            if isinstance(known, Tensor) and known.counter is not None:
                return True
            self.index_error(
                f"`{word}` keeps its index, but `{name}` is not bound outside of it",
                bind.span,
                help=f"bind it on the left: `let p[{name}] = {word}({name}: ...)`",
            )
            return False
        if bind.start is not None:
            self.index_error(
                f"`{word}` keeps its index, so its range is the range of `{name}` outside of it",
                bind.span,
                help=f"write `{word}({name}: ...)`",
            )
        return True

    def bound(
        self, name: str, span: Span, bind: ast.Bind | None, names: Names, is_axis: bool
    ) -> Binder:
        """Bind a new index; report an error if the name exists already."""
        frame = self.frame
        place = frame.spans.get(name)
        known = frame.names.get(name)
        if name in names or (isinstance(known, Tensor) and known.counter is not None):
            other = names.get(name)
            labels = [Label(other.span, "bound here")] if other is not None else []
            self.index_error(
                f"the index `{name}` is bound twice",
                span,
                labels=labels,
                help="use another name for one of them",
            )
        elif name in frame.names or name in frame.scope.number_names():
            labels = [Label(place, "first defined here")] if place is not None else []
            self.error(
                "duplicate-name",
                f"`{name}` is already defined, so it cannot be an index",
                span,
                labels=labels,
                help="use another name for the index",
            )
        return Binder(name, span, bind, is_axis)

    # Occurrences

    def _index(self, node: ast.Index, names: Names) -> None:
        for each in node.items:
            self.walk(each, names)
        outer = self.frame.names
        self.frame.names = {**outer, **dict.fromkeys(names, POISON)}
        if any([is_unbound(self.frame, each) for each in node.items]):
            self.is_good = False
        self.frame.names = outer
        if not self.is_good:
            return
        if occurs_in(node.value, names):
            self.walk(node.value, names)
            if any(occurs_in(each, names) for each in node.items):
                self.waiting.append((node, names))
        elif any(occurs_in(each, names) for each in node.items):
            self._read(node, self.known(node.value), names)

    def _read(self, node: ast.Index, value: Value, names: Names) -> None:
        """Collect the indices in the brackets after a value."""
        if value is POISON:
            self.is_good = False
            return
        if not isinstance(value, Tensor):
            self.error("wrong-kind", f"{describe(value)} has no axes for an index", node.value.span)
            return
        axes = axes_of(self.frame, value)
        if len(node.items) > len(axes):
            self.error(
                "shape-mismatch",
                f"`{excerpt(node.value.span, 32)}` is {describe(value)}, and here are"
                f" {len(node.items)} indices",
                node.items[len(axes)].span,
                help=_about_steps(self.frame, value),
            )
            return
        for axis, (item, (size, sequence)) in enumerate(zip(node.items, axes, strict=False)):
            if isinstance(item, ast.Slice) or not occurs_in(item, names):
                continue
            try:
                terms, constant = affine(self.frame, item, names)
            except NotAffine as reason:
                self._not_affine(item, reason)
                continue
            if any(each is None for each in terms):
                continue
            known = {k: v for k, v in terms.items() if k is not None}
            place = Occurrence(known, constant, axis, size, sequence, item.span, node.value)
            self.places.append(place)
            for each in known:
                whole = each.of if isinstance(each, IndexPart) else each
                if isinstance(whole, Binder):
                    whole.places.append(place)

    def _not_affine(self, item: ast.Expression, reason: NotAffine) -> None:
        """Report an item in brackets that is not affine, unless it may be a class index."""
        if any(isinstance(each, ast.Index | ast.Call | ast.Over) for each in ast.walk(item)):
            return  # it may be a class index, which is checked later
        self.index_error(
            f"`{excerpt(item.span, 32)}` is not a sum of indices with integer factors: {reason}",
            item.span,
            help="use sums such as `2 * i + u - 1`, parts such as `i // 2` and `i % 2`, numbers,"
            " slices or classes in brackets",
        )


def _new_names(frame: BodyFrame, condition: ast.Expression, names: Names) -> list[ast.Path]:
    """Return the names in a condition that have no meaning yet; the condition binds them."""
    words = {call.word for call in ast.walk(condition) if isinstance(call, ast.Call)}
    found: dict[str, ast.Path] = {}
    for each in paths_in(condition):
        is_known = each.text in names or each.text in frame.names or each in words
        if not is_known and each.text not in frame.scope.definitions and each.text != "inf":
            found.setdefault(each.text, each)
    return list(found.values())


def _about_steps(frame: BodyFrame, value: Tensor) -> str | None:
    sequence = value.sequence
    if sequence is not None and sequence.name in frame.hidden:
        return (
            f"here it is one time step of `{sequence.name}`; a function whose input has one more"
            " axis gets all steps"
        )
    return None
