"""The contraction: one op for all products of a network and for their gradients.

    out[map_out(i)] += left[map_left(i)] * right[map_right(i)]      for every index point i

An index point runs through the box of `extents`; each operand is addressed by one affine expression
of the indices per axis. Matrix product, convolution with any stride, dilation or groups, and outer
products are instances. Exchanging the roles of `out` and an operand gives the gradient for that
operand, so the op is closed under differentiation:

    dense          o, i            out[o]     left[o, i]          right[i]
    convolution    k, y, x, c, u, v  out[k, y, x]  left[k, c, u, v]  right[c, s*y + u, s*x + v]
"""

from __future__ import annotations

from collections.abc import Sequence, Set
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import Cut, Form, Gradients, Op, ShapeError, Types
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.rounding import Bfloat16
from specc.system.records import dataclass

BFLOAT16 = Bfloat16()

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Affine:
    """sum of coefficient * index + constant; indices are positions in `Contract.extents`."""

    terms: tuple[tuple[int, Size], ...]  # (index, coefficient), coefficients > 0
    constant: int = 0

    @property
    def bound_terms(self) -> tuple[tuple[int, int], ...]:
        """The terms, in a model whose sizes are all known."""
        return tuple((i, sizes.bound(coefficient)) for i, coefficient in self.terms)

    @property
    def sole_index(self) -> int | None:
        """The index, if the expression is nothing but one index."""
        is_sole = len(self.terms) == 1 and self.terms[0][1] == 1 and not self.constant
        return self.terms[0][0] if is_sole else None

    def __str__(self) -> str:
        return self.named([f"i{i}" for i in range(1 + max((i for i, _ in self.terms), default=0))])

    def named(self, names: Sequence[str]) -> str:
        """Return the expression with a name for each index."""
        parts = [names[i] if c == 1 else f"{c} * {names[i]}" for i, c in self.terms]
        if self.constant or not parts:
            parts.append(str(self.constant))
        return " + ".join(parts)

    def without(self, position: int) -> Affine:
        """Return the expression in a list of indices without the one at a position."""
        terms = tuple((i - (i > position), c) for i, c in self.terms if i != position)
        return Affine(terms, self.constant)


def index(position: int) -> Affine:
    """Return the expression that is just one index."""
    return Affine(((position, 1),))


Map = tuple[Affine, ...]


@dataclass(frozen=True)
class Contract(Op):
    """out[map] += left[map] * right[map] over the box of `extents`.

    If an operand is batched, the example is an index of its own: it is an axis of the result, or
    is summed over with `sum_batch`. With `rounded`, operands are rounded to bfloat16 as they are
    read. `shape` is the shape of the result; elements that no index point reaches are 0.
    """

    extents: tuple[Size, ...]
    out: Map
    left: Map
    right: Map
    shape: Shape
    sum_batch: bool = False
    rounded: bool = False
    form = Form.CONTRACTION

    def attributes(self) -> str:
        """Return the product as a formula: `[i] += [i, j] * [j], i < 8, j < 2`."""
        names = [chr(ord("i") + each) if each < 18 else f"i{each}" for each in range(self.rank)]
        maps = [
            f"[{', '.join(each.named(names) for each in map_)}]"
            for map_ in (self.out, self.left, self.right)
        ]
        ranges = [f"{name} < {size}" for name, size in zip(names, self.extents, strict=True)]
        flags = [name for name in ("sum_batch", "rounded") if getattr(self, name)]
        return ", ".join([f"{maps[0]} += {maps[1]} * {maps[2]}", *ranges, *flags])

    @property
    def rank(self) -> int:
        """How many indices there are."""
        return len(self.extents)

    @property
    def bound_extents(self) -> tuple[int, ...]:
        """The extents, in a model whose sizes are all known."""
        return tuple(map(sizes.bound, self.extents))

    def infer(self, left: Type, right: Type) -> Type:
        for position, (map_, operand) in enumerate(((self.left, left), (self.right, right))):
            if operand.kind != "float":
                raise ShapeError(f"a product needs float, not {operand}", position)
            self._check_bounds(map_, operand.shape, position)
        self._check_bounds(self.out, self.shape, None)
        batched = left.batched or right.batched
        if self.sum_batch and not batched:
            raise ShapeError("there is no batch to sum over", None)
        return Type("float", self.shape, batched and not self.sum_batch)

    def _check_bounds(self, map_: Map, shape: Shape, argument: int | None) -> None:
        if len(map_) != len(shape):
            raise ShapeError(f"needs {len(map_)} axes, but has {sizes.show(shape)}", argument)
        for axis, (expression, size) in enumerate(zip(map_, shape, strict=True)):
            last: Size = expression.constant
            for position, coefficient in expression.terms:
                last = last + coefficient * (self.extents[position] - 1)
            if isinstance(last, int) and isinstance(size, int) and last >= size:
                raise ShapeError(f"axis {axis} is {size}, but is read up to {last + 1}", argument)

    @property
    def overlaps(self) -> bool:
        """Whether several values of the indices in `out` may lead to the same element.

        An axis such as i + u in a transposed convolution makes them overlap. They do not overlap if
        the axis is 2 * i + u and u has two values, or if i also has an axis of its own.
        """
        known = {i for i, size in enumerate(self.extents) if size == 1}
        left = [expression for expression in self.out if expression.terms]
        while left:
            solved = [each for each in left if self._determines_indices(each, known)]
            if not solved:
                return True
            known.update(i for each in solved for i, _ in each.terms)
            left = [each for each in left if each not in solved]
        return False

    def _determines_indices(self, expression: Affine, known: Set[int]) -> bool:
        """Return whether an expression's value and the `known` indices give all its indices."""
        reach: Size = 0
        for i, coefficient in sorted(expression.terms, key=lambda term: term[1]):
            if i not in known:
                if coefficient <= reach:
                    return False
                reach = reach + coefficient * (self.extents[i] - 1)
        return True

    def summed_row(self, is_left: bool) -> int | None:
        """Return the index along the first axis of an operand, if the contraction sums over it."""
        rows = (self.left if is_left else self.right)[:1]
        i = rows[0].sole_index if rows else None
        return None if any(i in dict(each.terms) for each in self.out) else i

    def flops(self, node: Node) -> Size:
        return 2 * sizes.product(self.extents)

    @property
    def sums_batch(self) -> bool:
        return self.sum_batch

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op | None:
        if self.sum_batch:
            return None
        time = (index(len(self.extents)),)
        left, right = ((time if moves else ()) for moves in moving)
        return Contract(
            (*self.extents, steps),
            time + self.out,
            left + self.left,
            right + self.right,
            (steps, *self.shape),
        )

    def one_at(self, node: Node, axis: int) -> Cut | None:
        found = self._index_at(axis)
        if found is None or self.sum_batch:
            return None
        place, (left, right) = found

        def without(map_: Map, gone: int | None) -> Map:
            return tuple(each.without(place) for k, each in enumerate(map_) if k != gone)

        op = Contract(
            tuple(size for i, size in enumerate(self.extents) if i != place),
            without(self.out, axis),
            without(self.left, left),
            without(self.right, right),
            (*self.shape[:axis], *self.shape[axis + 1 :]),
            rounded=self.rounded,
        )
        return Cut(op, (left, right))

    def first_steps(self, node: Node, result: Type) -> Op | None:
        time = self._index_of_steps()
        if time is None or self.sum_batch:
            return None
        extents = (*self.extents[:time], result.shape[0], *self.extents[time + 1 :])
        return replace(self, extents=extents, shape=result.shape)

    def reads_step(self, position: int) -> bool:
        return bool(self.out) and (self.left, self.right)[position][:1] == self.out[:1]

    def _index_of_steps(self) -> int | None:
        """Return the index of the result's first axis, if it counts time steps and no other axis.

        It may be the first axis of the operands as well.
        """
        found = self._index_at(0) if self.out else None
        return found[0] if found is not None and set(found[1]) <= {0, None} else None

    def _index_at(self, axis: int) -> tuple[int, tuple[int | None, ...]] | None:
        """Return the index that is an axis of the result, and the axis that it is of each operand.

        None in place of such an axis: the operand does not depend on the index. None if the index
        is also a part of another place.
        """
        place = self.out[axis].sole_index
        if place is None or self.extents[place] != self.shape[axis]:
            return None
        reads = []
        for map_ in (self.out, self.left, self.right):
            at = [k for k, each in enumerate(map_) if place in dict(each.terms)]
            if len(at) > 1 or any(map_[k] != index(place) for k in at):
                return None
            reads.append(at[0] if at else None)
        return place, tuple(reads[1:])

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut | None:
        i = self.out[axis].sole_index
        return None if i is None else self._of_entries(i, count)

    def summand(self, node: Node, position: int, axis: int, count: int) -> Cut | None:
        i = (self.left, self.right)[position][axis].sole_index
        is_kept = i is None or any(i in dict(each.terms) for each in self.out)
        return None if i is None or is_kept else self._of_entries(i, count)

    def _of_entries(self, i: int, count: int) -> Cut | None:
        """Return the product for `count` values of an index; None if it shares an axis."""
        axes: list[int | None] = []
        for map_ in (self.out, self.left, self.right):
            found = [axis for axis, each in enumerate(map_) if i in dict(each.terms)]
            if len(found) > 1 or any(map_[axis].sole_index != i for axis in found):
                return None
            axes.append(found[0] if found else None)
        out, *read = axes
        extents = (*self.extents[:i], count, *self.extents[i + 1 :])
        shape = self.shape
        if out is not None:
            shape = (*shape[:out], count, *shape[out + 1 :])
        return Cut(replace(self, extents=extents, shape=shape), tuple(read))

    def vjp(self, node: Node, dy: Node) -> Gradients:
        left, right = node.inputs
        return (
            self._gradient(left, self.left, dy, right, self.right),
            self._gradient(right, self.right, dy, left, self.left),
        )

    def _gradient(self, operand: Node, map_: Map, dy: Node, other: Node, other_map: Map) -> Node:
        # d operand[map(i)] += dy[out(i)] * other[other_map(i)]
        sum_batch = not operand.type.batched and (dy.type.batched or other.type.batched)
        op = Contract(self.extents, map_, self.out, other_map, operand.type.shape, sum_batch)
        return apply(op, dy, other)

    def reference(self, types: Types, left: np.ndarray, right: np.ndarray) -> np.ndarray:
        import numpy as np

        if self.rounded:
            left, right = (BFLOAT16.reference((), each) for each in (left, right))
        operands, letters = [], []
        batch = len(self.extents)
        for map_, type_, array in ((self.left, types[0], left), (self.right, types[1], right)):
            gathered, used = self._gather(map_, array, type_.batched)
            operands.append(gathered)
            letters.append(([batch] if type_.batched else []) + used)
        batched = types[0].batched or types[1].batched
        used = sorted(set(letters[0] + letters[1]) - {batch})
        direct = [i for expression in self.out for i, _ in expression.terms]
        kept = ([batch] if batched and not self.sum_batch else []) + sorted(set(direct))
        total = np.einsum(
            operands[0],
            letters[0],
            operands[1],
            letters[1],
            [i for i in kept if i == batch or i in used],
            optimize=True,
        )
        # along an index of the result that no operand has, the values are equal
        for axis, i in enumerate(kept):
            if i != batch and i not in used:
                total = np.repeat(np.expand_dims(total, axis), sizes.bound(self.extents[i]), axis)
        repeats: Size = 1
        for i in range(len(self.extents)):
            if i not in used and i not in direct:
                repeats = repeats * self.extents[i]
        examples = total.shape[:1] if batch in kept else ()
        out = np.zeros((*examples, *map(sizes.bound, self.shape)), total.dtype)
        at: tuple[Any, ...] = self._positions(self.out, sorted(set(direct)))
        np.add.at(out, (*[slice(None)] * len(examples), *at), total * repeats)
        return out

    def _gather(self, map_: Map, array: np.ndarray, batched: bool) -> tuple[np.ndarray, list[int]]:
        """Return an operand with an axis for each index that it depends on, and those indices."""
        used = sorted({i for expression in map_ for i, _ in expression.terms})
        at = self._positions(map_, used)
        return array[((slice(None),) if batched else ()) + at], used

    def _positions(self, map_: Map, used: Sequence[int]) -> tuple[np.ndarray, ...]:
        import numpy as np

        grids = dict(
            zip(used, np.ix_(*(np.arange(sizes.bound(self.extents[i])) for i in used)), strict=True)
        )
        shape = tuple(sizes.bound(self.extents[i]) for i in used)
        return tuple(
            np.broadcast_to(
                sum(
                    (sizes.bound(c) * grids[i] for i, c in expression.terms),
                    np.array(expression.constant),
                ),
                shape,
            )
            for expression in map_
        )
