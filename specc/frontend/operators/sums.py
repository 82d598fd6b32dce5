"""Sums over indices: a sum of products is a contraction, whatever indices its factors have.

    summed(node, (1, 2), masks)     # the sum of a node over its axes 1 and 2

The product is split into factors: `W[k, c, u] * x[c, i + u]` has two, each read at affine positions
of the product's indices. These positions are the index maps of one `Contract`. More than two
factors are multiplied pair by pair, the cheapest pair first. A factor counts as 0 where its mask is
false.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations

from specc.ir import sizes
from specc.ir.graph import Node, Origin, apply
from specc.ir.sizes import Shape, Size
from specc.ops import elementwise as ops
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.contract import Affine, Contract, Map
from specc.ops.contract import index as at
from specc.ops.elementwise import Div, Mul, Neg
from specc.ops.leaf import constant
from specc.ops.read import ReadAt, read
from specc.ops.shape import Slice, Transpose
from specc.system.records import dataclass

UNKNOWN = 64
"""The size that stands for a symbolic size when the costs of products are compared."""


@dataclass(frozen=True, eq=False)
class Factor:
    """`node[places]` in a product; a place is an affine expression of the product's axes."""

    node: Node
    places: Map

    @property
    def axes(self) -> set[int]:
        """Return the axes of the product that the factor depends on."""
        return {i for place in self.places for i, _ in place.terms}

    @property
    def is_plain(self) -> bool:
        """Return whether each axis of the factor is one axis of the product."""
        alone = [place.terms for place in self.places]
        return all(len(each) == 1 and each[0][1] == 1 for each in alone) and not any(
            place.constant for place in self.places
        )


@dataclass(eq=False)
class FactorList:
    """The factors of a product, and the numbers that multiply and divide it."""

    factors: list[Factor]
    times: list[Node]
    over: list[Node]
    is_negative: bool = False


def summed(node: Node, axes: Sequence[int], masks: Sequence[Factor], origin: Origin) -> Node:
    """Return the sum of a node over some axes, of the elements where all masks are true."""
    shape = node.type.shape
    product = FactorList([], [], [])
    _take_apart(node, tuple(at(k) for k in range(len(shape))), product)
    every = set(range(len(shape)))
    factors = [each for each in product.factors if each.axes]
    is_elementwise = len(factors) < 2 or all(
        each.is_plain and each.axes == every for each in factors
    )
    is_window = len(factors) == 1 and not factors[0].is_plain
    if (is_elementwise and not (is_window and not masks)) or not factors:
        for mask in masks:
            node = ops.select(_spread(mask, shape), node, constant(0.0))
        return apply(Sum(tuple(sorted(axes))), node, origin=origin)
    product.times += [each.node for each in product.factors if not each.axes]
    factors = _masked(factors, masks, shape)
    total = _multiplied(factors, set(axes), shape, origin)
    return _scaled(total, product, origin)


def _take_apart(node: Node, places: Map, product: FactorList) -> None:
    """Add the factors of a node that is read at given places of a product."""
    op = node.op
    if isinstance(op, Mul):
        for each in node.inputs:
            _take_apart(each, places, product)
    elif isinstance(op, Neg):
        product.is_negative = not product.is_negative
        _take_apart(node.inputs[0], places, product)
    elif isinstance(op, Div) and (number := _scalar_of(node.inputs[1])) is not None:
        product.over.append(number)
        _take_apart(node.inputs[0], places, product)
    elif (inner := _seen_through(node, places)) is not None:
        _take_apart(node.inputs[0], inner, product)
    else:
        product.factors.append(Factor(node, places))


def _scalar_of(node: Node) -> Node | None:
    """Return the scalar that was broadcast to a node; None if it was not."""
    while isinstance(node.op, Broadcast):
        node = node.inputs[0]
    return node if not node.type.shape else None


def _seen_through(node: Node, places: Map) -> Map | None:
    """Return where a node that moves elements reads its input; None for other nodes."""
    op = node.op
    if isinstance(op, Broadcast):
        return tuple(places[axis] for axis in op.axes)
    if isinstance(op, Transpose):
        found: list[Affine] = [at(0)] * len(places)
        for axis, source in enumerate(op.order):
            found[source] = places[axis]
        return tuple(found)
    if isinstance(op, Slice) and op.step > 0 and isinstance(op.start, int):
        moved = _composed(Affine(((0, op.step),), op.start), (places[op.axis],))
        return (*places[: op.axis], moved, *places[op.axis + 1 :]) if moved else None
    if isinstance(op, ReadAt):
        through = [_composed(each, places) for each in op.positions]
        known = tuple(each for each in through if each is not None)
        return known if len(known) == len(through) else None
    return None


def _composed(outer: Affine, places: Map) -> Affine | None:
    """Substitute places into an affine expression; None for a factor that is not a number."""
    terms: dict[int, Size] = {}
    constant_: Size = outer.constant
    for k, factor in outer.terms:
        constant_ = constant_ + factor * places[k].constant
        for i, coefficient in places[k].terms:
            terms[i] = terms.get(i, 0) + factor * coefficient
    if not isinstance(constant_, int):
        return None
    return Affine(tuple(sorted(terms.items())), constant_)


def _spread(factor: Factor, shape: Shape) -> Node:
    """Return a plain factor broadcast over all axes of the product."""
    axes = tuple(place.terms[0][0] for place in factor.places)
    order = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    node = factor.node
    if order != tuple(range(len(order))):
        node = apply(Transpose(order), node)
    if len(axes) == len(shape):
        return node
    return apply(Broadcast(shape, tuple(sorted(axes))), node)


def _plain(factor: Factor, shape: Shape) -> Factor:
    """Return a factor whose axes are exactly the product's axes that it depends on."""
    if factor.is_plain and len(factor.axes) == len(factor.places):
        wanted = [shape[place.terms[0][0]] for place in factor.places]
        if all(sizes.same(a, b) for a, b in zip(factor.node.type.shape, wanted, strict=True)):
            return factor
    axes = sorted(factor.axes)
    places = tuple(
        Affine(tuple((axes.index(i), c) for i, c in place.terms), place.constant)
        for place in factor.places
    )
    node = read(factor.node, tuple(shape[k] for k in axes), places)
    return Factor(node, tuple(at(k) for k in axes))


def _masked(factors: list[Factor], masks: Sequence[Factor], shape: Shape) -> list[Factor]:
    """Return the factors; one that has all axes of a mask is set to 0 where the mask is false."""
    found = list(factors)
    for mask in masks:
        own = [k for k, each in enumerate(found) if mask.axes <= each.axes]
        for k in own:
            plain = _plain(found[k], shape)
            inner = tuple(shape[i] for i in sorted(plain.axes))
            axes = sorted(plain.axes)
            plain = _sorted(plain)
            within = Factor(mask.node, tuple(at(axes.index(p.terms[0][0])) for p in mask.places))
            node = ops.select(_spread(within, inner), plain.node, constant(0.0))
            found[k] = Factor(node, tuple(at(k) for k in axes))
        if not own:
            found.append(Factor(apply(ops.ToFloat(), mask.node), mask.places))
    return found


def _sorted(factor: Factor) -> Factor:
    """Return a plain factor with its axes in the product's order."""
    axes = [place.terms[0][0] for place in factor.places]
    order = tuple(sorted(range(len(axes)), key=axes.__getitem__))
    if order == tuple(range(len(order))):
        return factor
    node = apply(Transpose(order), factor.node)
    return Factor(node, tuple(at(axes[k]) for k in order))


def _multiplied(factors: list[Factor], gone: set[int], shape: Shape, origin: Origin) -> Node:
    """Return the sum of a product over the axes `gone`; the result has the other axes."""
    unseen = gone.difference(*(each.axes for each in factors))
    while len(factors) > 2:
        _, one, other = min(
            (_cost(a, b, shape), i, j) for (i, a), (j, b) in combinations(enumerate(factors), 2)
        )
        pair = factors[one], factors[other]
        rest = [each for k, each in enumerate(factors) if k not in (one, other)]
        needed = set().union(*(each.axes for each in rest))
        kept = sorted(k for k in pair[0].axes | pair[1].axes if k not in gone or k in needed)
        node = _contracted(*pair, kept, shape, origin)
        factors = [*rest, Factor(node, tuple(at(k) for k in kept))]
    every = set().union(*(each.axes for each in factors))
    kept = sorted(every - gone)
    if len(factors) == 1:
        result = _contracted(Factor(constant(1.0), ()), factors[0], kept, shape, origin)
    else:
        one_factor, other_factor = factors
        result = _contracted(one_factor, other_factor, kept, shape, origin)
    repeats = sizes.product(shape[k] for k in unseen)
    wanted = [k for k in range(len(shape)) if k not in gone]
    if repeats != 1:
        result = ops.mul(result, _number(repeats, result))
    if wanted == kept:
        return result
    into = Broadcast(tuple(shape[k] for k in wanted), tuple(wanted.index(k) for k in kept))
    return apply(into, result, origin=origin)


def _number(value: Size, like: Node) -> Node:
    number = constant(value if not isinstance(value, int) else float(value))
    return apply(Broadcast(like.type.shape), number) if like.type.shape else number


def _cost(one: Factor, other: Factor, shape: Shape) -> int:
    total = 1
    for k in one.axes | other.axes:
        size = shape[k]
        total *= size if isinstance(size, int) else UNKNOWN
    return total


def _contracted(one: Factor, other: Factor, kept: list[int], shape: Shape, origin: Origin) -> Node:
    """Return the product of two factors, summed over their axes that are not kept."""
    left, right = _in_order(one, other, kept)
    axes = [*kept, *sorted((left.axes | right.axes) - set(kept))]
    if len(axes) == len(kept):  # nothing is summed
        return ops.mul(*(_kept(each, kept, shape) for each in (left, right)))
    maps = [
        tuple(
            Affine(tuple((axes.index(i), c) for i, c in place.terms), place.constant)
            for place in each.places
        )
        for each in (left, right)
    ]
    extents = tuple(shape[k] for k in axes)
    out = tuple(at(k) for k in range(len(kept)))
    op = Contract(extents, out, maps[0], maps[1], extents[: len(kept)])
    return apply(op, left.node, right.node, origin=origin)


def _kept(factor: Factor, kept: list[int], shape: Shape) -> Node:
    plain = _plain(factor, shape)
    places = tuple(at(kept.index(place.terms[0][0])) for place in plain.places)
    return _spread(Factor(plain.node, places), tuple(shape[k] for k in kept))


def _in_order(one: Factor, other: Factor, kept: list[int]) -> tuple[Factor, Factor]:
    """Return two factors in the order of a matrix product: weights first, else rows first."""
    if one.node.type.batched != other.node.type.batched:
        return (other, one) if one.node.type.batched else (one, other)
    alone = [k for k in kept if (k in one.axes) != (k in other.axes)]
    return (other, one) if alone and alone[0] in other.axes else (one, other)


def _scaled(total: Node, product: FactorList, origin: Origin) -> Node:
    """Multiply and divide a sum by the numbers of its product."""
    shape = total.type.shape

    def spread(number: Node) -> Node:
        return apply(Broadcast(shape), number) if shape else number

    for each in product.times:
        total = apply(Mul(), total, spread(each), origin=origin)
    for each in product.over:
        total = apply(Div(), total, spread(each), origin=origin)
    return apply(Neg(), total, origin=origin) if product.is_negative else total
