"""Formulas with indices: `let y[k] = sum(i: W[k, i] * x[i])`.

An index is an axis in front of a value, like the axis of a sequence. A formula over elements is
evaluated for all values of its indices at once, and a layer is applied for each of them with the
same weights. `ranges` determines the range of each index before the formula is evaluated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from collections.abc import Sequence as Sequence_
from contextlib import contextmanager

from specc.frontend.elaborate.binders import (
    Binder,
    NotAffine,
    affine,
    bound_names,
    occurs_in,
)
from specc.frontend.elaborate.dispatch import evaluate, evaluates
from specc.frontend.elaborate.formula import KEEPING
from specc.frontend.elaborate.misuse import report
from specc.frontend.elaborate.ranges import Ranges
from specc.frontend.operators import positions
from specc.frontend.operators.arithmetic import as_kind
from specc.frontend.operators.reductions import reduced
from specc.frontend.scope import provenance
from specc.frontend.scope.errors import OperandError, undecided
from specc.frontend.scope.frame import BodyFrame, name_result, widened
from specc.frontend.scope.values import (
    POISON,
    RunningIndex,
    Tensor,
    Value,
    describe,
    excess,
    is_static,
)
from specc.frontend.syntax import ast
from specc.frontend.syntax.build_indices import REDUCTIONS
from specc.ir.graph import apply
from specc.ir.sizes import Polynomial
from specc.ops.broadcast import Broadcast
from specc.ops.shape import Concat, Transpose

MOST_COPIES = 10_000


@contextmanager
def _formula(
    frame: BodyFrame, tree: ast.Expression, binds: Sequence_[ast.Bind] = ()
) -> Iterator[list[Binder] | None]:
    """A context manager in which the indices of a formula are bound; yields None after an error."""
    ranges = Ranges(frame)
    before = len(frame.context.report)
    names: dict[str, Binder | None] = {}
    for each in binds:
        binder = ranges.bound(each.name.text, each.name.span, each, names, is_axis=True)
        ranges.axes.append(binder)
        names[binder.name] = binder
    ranges.walk(tree, names)
    if ranges.is_good:
        ranges.resolve()
    if not ranges.is_good or len(frame.context.report) > before:
        frame.known.clear()
        yield None
        return
    earlier = frame.bound
    frame.bound = {**earlier, **ranges.of}
    with bound_names(frame, ranges.axes):
        yield ranges.axes
    frame.bound = earlier
    if not earlier:
        frame.known.clear()


def let_with_indices(frame: BodyFrame, statement: ast.Let) -> None:
    """Evaluate `let y[k, i] = ...`; the indices become the first axes of the result."""
    (name,) = statement.names
    result: Value = POISON
    with _formula(frame, statement.value, statement.indices) as axes:
        if axes is not None:
            value = evaluate(frame, statement.value)
            if value is not POISON:
                indices = tuple(each.index for each in axes if each.index is not None)
                result = _finished(frame, statement, value, indices)
    if isinstance(result, Tensor) and frame.call is None:
        name_result(result.node, name.text)
    frame.declare(name, result)


def _finished(
    frame: BodyFrame, statement: ast.Let, value: Value, indices: tuple[RunningIndex, ...]
) -> Value:
    """Return a value with its indices turned into axes."""
    span = statement.value.span
    if is_static(value):
        value = as_kind(frame, value, "float", span)
    if not isinstance(value, Tensor):
        return frame.error(
            "wrong-kind", f"a formula with indices gives one value, not {describe(value)}", span
        )
    wrong = excess((*(each.size for each in indices), *value.shape))
    if wrong is not None:
        return frame.error("too-large", wrong, span)
    # indices of an enclosing formula stay, in front of those of the `let`
    outer = tuple(each for each in value.indices if each not in indices)
    node = widened(value, value.sequence, outer + indices)
    sequence, rest = value.sequence, indices
    if sequence is None and indices and indices[0].sequence is not None:
        sequence, rest = indices[0].sequence, indices[1:]
        if outer:  # the axis of a sequence must come first
            count = len(outer)
            order = (count, *range(count), *range(count + 1, node.type.rank))
            node = apply(Transpose(order), node, origin=frame.origin(span))
    within = tuple(each.sequence for each in rest)
    if any(within) or any(value.within):
        within += value.within or (None,) * len(value.shape)
    else:
        within = ()
    shape = node.type.shape[(sequence is not None) + len(outer) :]
    name = f"{statement.names[0]}[{', '.join(each.name for each in indices)}]"
    step = provenance.Derivation(frame.location(statement.span), name, shape)
    return Tensor(node, step, sequence, indices=outer, within=within)


@evaluates(ast.Over)
def over(frame: BodyFrame, tree: ast.Over) -> Value:
    """Evaluate a reduction over indices: `sum(i, j; i != j: x[i, j])`."""
    if tree.word.text not in REDUCTIONS:
        return POISON  # the error was reported
    if tree.word.text == "concat":
        return _concat(frame, tree)
    if tree in frame.bound:
        return _reduced(frame, tree, frame.bound[tree])
    with _formula(frame, tree) as axes:
        return POISON if axes is None else _reduced(frame, tree, frame.bound[tree])


def _reduced(frame: BodyFrame, tree: ast.Over, binders: list[Binder]) -> Value:
    with bound_names(frame, binders):
        value = evaluate(frame, tree.value)
        trees = [each for each in tree.indices if not isinstance(each, ast.Bind)]
        trees += tree.conditions
        conditions: list[Tensor] = []
        is_good = value is not POISON
        for each in trees:
            condition = evaluate(frame, each)
            is_good = is_good and condition is not POISON
            if isinstance(condition, Tensor) and condition.type.kind == "bool":
                conditions.append(condition)
            elif condition is not POISON and condition is not True:
                is_good = False
                frame.error(
                    "wrong-kind",
                    f"a condition must be a boolean, not {describe(condition)}",
                    each.span,
                    help="use a comparison: `j <= i`",
                )
        indices = tuple(each.index for each in binders if each.index is not None)
        if tree.word.text in KEEPING:
            indices = tuple(
                known.counter
                for each in tree.indices
                if isinstance(each, ast.Bind)
                and isinstance(known := frame.names.get(each.name.text), Tensor)
                and known.counter is not None
            )
        if not is_good:
            return POISON
        try:
            if is_static(value):
                value = as_kind(frame, value, "float", tree.value.span)
            if not isinstance(value, Tensor):
                raise OperandError(
                    "wrong-kind",
                    f"`{tree.word.text}` takes numbers, not {describe(value)}",
                    argument=0,
                )
            return reduced(frame, tree.word.text, value, indices, conditions, tree.span)
        except OperandError as error:
            return report(frame, error, tree.span, [(tree.value, value)])


def _concat(frame: BodyFrame, tree: ast.Over) -> Value:
    """Evaluate `concat(h in 0:heads: head(x))`: the formula is expanded for each number."""
    first = tree.indices[0]
    if len(tree.indices) != 1 or tree.conditions or not isinstance(first, ast.Bind):
        return frame.index_error(
            "`concat` needs one name with a range",
            tree.span,
            help="write `concat(h in 0:4: head(x))`",
        )
    name = first.name
    if name.text in frame.names or name.text in frame.scope.number_names():
        return frame.error("duplicate-name", f"`{name}` is already defined", name.span)
    ends = [evaluate(frame, each) for each in (first.start, first.stop) if each is not None]
    if any(each is POISON for each in ends):
        return POISON
    for end in ends:
        if isinstance(end, Polynomial):
            return report(frame, undecided(end), first.span, [])
    numbers = [each for each in ends if isinstance(each, int) and not isinstance(each, bool)]
    if len(numbers) != 2 or not 0 < numbers[1] - numbers[0] <= MOST_COPIES:
        return frame.index_error(
            f"`{name}` needs a range of 1 to {MOST_COPIES} integers here",
            first.span,
            help=f"write `concat({name} in 0:4: ...)`",
        )
    inner = set(ast.walk(tree.value))
    parts: list[Tensor] = []
    for number in range(*numbers):
        frame.names[name.text] = number
        value = evaluate(frame, tree.value)
        del frame.names[name.text]
        for each in inner & frame.known.keys():
            del frame.known[each]
        if value is POISON:
            return POISON
        if not isinstance(value, Tensor) and not is_static(value):
            return frame.error(
                "wrong-kind", f"`concat` joins numbers, not {describe(value)}", tree.value.span
            )
        part = as_kind(frame, value, "float", tree.value.span)
        if not part.shape:
            part = frame.apply(Broadcast((1,)), part, span=tree.span)
        parts.append(part)
    try:
        return parts[0] if len(parts) == 1 else frame.apply(Concat(0), *parts, span=tree.span)
    except OperandError as error:
        error.argument = None
        return report(frame, error, tree.span, [(tree.value, parts[0])])


# Brackets


def reads_indices(frame: BodyFrame, tree: ast.Index, value: Value) -> bool:
    """Return whether brackets contain indices, or the value before them depends on indices."""
    names = frame.running
    if isinstance(value, Tensor) and value.within:
        return True
    return any(occurs_in(each, names) for each in tree.items)


def read_with_indices(frame: BodyFrame, tree: ast.Index, value: Value) -> Value:
    """Evaluate brackets with indices: `x[c, 2 * i + u, :]`, `E[text[t], i]`."""
    names = frame.running
    if value is POISON:
        return POISON
    if not isinstance(value, Tensor):
        return frame.error(
            "wrong-kind", f"{describe(value)} has no axes for an index", tree.value.span
        )
    items: list[positions.Item] = []
    for item in tree.items:
        found = _item(frame, item, names)
        if found is None:
            return POISON
        items.append(found)
    try:
        return positions.read_at(frame, value, items, tree.span)
    except OperandError as error:
        at = error.argument
        span = tree.items[at].span if at is not None else tree.span
        error.argument = None
        return report(frame, error, span, [(tree.value, value)])


def _item(
    frame: BodyFrame, item: ast.Expression | ast.Slice, names: Mapping[str, RunningIndex]
) -> positions.Item | None:
    """Return an item in brackets; None after an error."""
    if isinstance(item, ast.Slice):
        parts = (item.start, item.stop, item.step)
        ends = tuple(evaluate(frame, part) if part else None for part in parts)
        return None if POISON in ends else ends
    try:
        return positions.AxisPosition(*affine(frame, item, names))
    except NotAffine:
        pass
    value = frame.known.get(item)
    if value is None:
        value = evaluate(frame, item)
    if value is POISON:
        return None
    if isinstance(value, Tensor) and value.type.kind == "int":
        return value
    frame.index_error(
        "use indices, their sums with integer factors, numbers, slices or classes in brackets,"
        f" not `{provenance.excerpt(item.span, 32)}`",
        item.span,
        help="as in `x[c, 2 * i + u - 1, :]` and `E[word[t], i]`",
    )
    return None
