"""The loops of a nest as a tree: loads, formulas, partial sums and stores.

NestWriter(nest, extents=(64, 16), reduced=(False, True), in_lanes=False).function()
"""

from __future__ import annotations

import math
from collections.abc import Callable

from specc.backend.emit.access import Access, AccessMode, Nest, Read
from specc.backend.emit.calls import ELEMENT
from specc.target.expressions import (
    Call,
    Convert,
    Expression,
    Index,
    Integer,
    Name,
    Real,
    Stack,
    call,
    choose,
    differs,
    either,
    replaced,
)
from specc.target.statements import (
    Array,
    Assign,
    AugmentedAssign,
    For,
    Function,
    Int,
    KernelParameter,
    Statement,
    Store,
)

# The most terms of a long sum that are added up in the kernel's precision, with vectors of partial
# sums. The sums of these blocks are added up in float64, because a float32 sum of 10^6 terms loses
# four digits. Narrower vectors of float32 have fewer partial sums, and so shorter blocks.
BLOCK = 1024
_WIDEST = 16  # float32 numbers of the widest vectors
# The block size for sums along the lanes, where each lane has a single partial sum.
LANE_BLOCK = 128
# The most lanes whose partial sums are on the stack at a time. The larger number is for long rows,
# which are then read in few pieces, and for at most two sums, so that they fit in the L1 cache.
LANES, MORE_LANES = 1024, 4096

# The vectors of sums or maxima that are in registers at a time. LLVM unrolls a loop over so many,
# but not one that calls functions such as `exp`, which then has one vector.
IN_REGISTERS = 4

FIRST = {AccessMode.SUM: Real(0.0), AccessMode.MAX: Real(-math.inf)}


def _larger(a: Expression, b: Expression) -> Expression:
    return choose(either(b > a, differs(b, b)), b, a)


_JOIN: dict[AccessMode, Callable[[Expression, Expression], Expression]] = {
    AccessMode.SUM: lambda a, b: call("plus", a, b),
    AccessMode.MAX: _larger,
}


def suffix(reduced: tuple[bool, ...]) -> int:
    """Return the first of the trailing reduced axes, or the number of axes if there are none."""
    first = len(reduced)
    while first > 0 and reduced[first - 1]:
        first -= 1
    return first


def lanes_in_registers(
    nest: Nest, extents: tuple[int, ...], reduced: tuple[bool, ...], vector: int
) -> int:
    """Return the lanes whose results are in registers while the nest reduces other axes; 0: none.

    The reduced axes must be those directly before the last one, which whole vectors make up.
    """
    first = reduced.index(True) if any(reduced) else len(reduced)
    if reduced[-1] or not all(reduced[first:-1]) or first == len(reduced):
        return 0
    calls = any(_calls(formula) for _, formula in nest.body)
    sizes = (vector,) if calls else (IN_REGISTERS * vector, vector)
    return next((lanes for lanes in sizes if extents[-1] % lanes == 0), 0)


def _calls(tree: Expression) -> bool:
    """Return whether a formula calls a function."""
    found: list[Expression] = []
    replaced(tree, lambda part: found.append(part) if isinstance(part, Call) else None)
    return bool(found)


def _has_gaps(each: Access, extents: tuple[int, ...]) -> bool:
    """Return whether an array needs filling only between contiguous runs, stored in order."""
    if not each.fill or each.mode != AccessMode.STORE or each.strides[-1] != 1:
        return False
    steps = [*each.strides[:-1], extents[-1]]
    inner = [stride * size for stride, size in zip(each.strides[1:], extents[1:], strict=True)]
    return all(step >= size for step, size in zip(steps, inner, strict=False))


def _filled(each: Access, start: Expression, count: Expression) -> list[Statement]:
    """Return statements that fill `count` elements of an array."""
    first = each.filling
    if first is None:
        first = FIRST.get(each.mode, Real(0.0))
    name = f"{each.name}_fill"
    return [
        Assign(name, call("row", Name(each.name), start, count)),
        _loop("i", count, Store(Index(Name(name), (Name("i"),)), first)),
    ]


class NestWriter:
    """Builds the tree of one nest."""

    def __init__(
        self,
        nest: Nest,
        extents: tuple[int, ...],
        reduced: tuple[bool, ...],
        in_lanes: bool,
        lanes: int = _WIDEST,
        registers: int = 0,
    ):
        depth = len(extents)
        self.nest, self.depth, self.reduced = nest, depth, reduced
        self.name = nest.title
        # the trailing axes over which a reduction runs in a local variable
        self.suffix = suffix(reduced)
        self.reductions = [each for each in nest.accesses if each.mode in FIRST]
        # long sums are added up in blocks, into which a long innermost loop is cut; LLVM may have a
        # single partial sum if an array is accessed with a stride
        even = all(each.strides[-1] in (0, 1) for each in nest.accesses)
        self.terms = BLOCK // _WIDEST * min(lanes, _WIDEST) if even else LANE_BLOCK
        long = math.prod(extents[self.suffix :]) > self.terms and self.suffix < depth
        self.blocked = [each for each in self.reductions if each.mode == AccessMode.SUM and long]
        self.cut = bool(self.blocked) and extents[-1] > self.terms
        # sums along the lanes: `terms_from` is the first axis of their terms, and `block_axis` the
        # axis that is cut into blocks
        self.in_lanes = [
            each for each in self.reductions if each.mode == AccessMode.SUM and in_lanes
        ]
        self.terms_from = self.block_axis = depth
        # the sums and maxima of these lanes are in registers
        self.registers = registers
        self.held = self.reductions if registers and not in_lanes else []
        self.most_lanes = registers
        self.pieces = bool(self.held or self.in_lanes)  # whether the lanes come in pieces
        if self.pieces:
            self.terms_from = reduced.index(True)
        if self.in_lanes:
            self.block_axis = depth - 2
            while (
                self.block_axis > self.terms_from
                and math.prod(extents[self.block_axis : -1]) < LANE_BLOCK // 2
            ):
                self.block_axis -= 1
            inner = math.prod(extents[self.block_axis + 1 : -1])
            self.block = max(LANE_BLOCK // inner, 1)
            more = extents[-1] > LANES and len(self.in_lanes) <= 2
            self.most_lanes = registers or (MORE_LANES if more else LANES)
        self.count: Expression = Integer(registers) if registers else Name("count")

        # arrays that are filled only between the stored runs
        self.gapped = [
            each for each in nest.accesses if not self.reductions and _has_gaps(each, extents)
        ]

    def passed_strides(self, each: Access) -> list[int]:
        """Return the axes whose stride is an argument: not 0, and not 1 along the last axis."""
        last = self.depth - 1
        return [
            axis
            for axis in range(self.depth)
            if each.strides[axis] != 0 and not (axis == last and each.strides[axis] == 1)
        ]

    def function(self) -> Function:
        nest, depth = self.nest, self.depth
        passed = [each for each in nest.accesses if not each.over]
        parameters = [
            KernelParameter(each.name, Array(ELEMENT[each.kind], (Integer(1),))) for each in passed
        ]
        numbers = [f"n{axis}" for axis in range(depth)]
        for each in passed:
            numbers += [f"{each.name}{axis}" for axis in self.passed_strides(each)]
        for each in passed:
            numbers += [f"{each.name}_all"] if each.fill else []
            numbers += [f"{each.name}_from"] if each.starts_within else []
        parameters += [KernelParameter(name, Int()) for name in numbers]
        body: list[Statement] = []
        for each in nest.accesses:
            if each in self.gapped:
                body.append(Assign(f"{each.name}_done", Integer(0)))
            elif each.fill:
                body += _filled(each, Integer(0), Name(f"{each.name}_all"))
        for each in self.held or self.in_lanes:
            body.append(Assign(f"{each.name}_part", Stack(self.most_lanes, "real")))
        for each in self.in_lanes:
            body.append(Assign(f"{each.name}_total", Stack(self.most_lanes, "float64")))
        loads, names = self._hoisted(-1)
        body += [*loads, *self._loops(0, names)]
        for each in self.gapped:
            done = Name(f"{each.name}_done")
            body += _filled(each, done, Name(f"{each.name}_all") - done)
        return Function(self.name, tuple(parameters), tuple(body))

    def _index(self, each: Access, axes: range) -> Expression:
        found: Expression | None = Name(f"{each.name}_from") if each.starts_within else None
        for axis in axes:
            last = axis == self.depth - 1
            at: Expression = Name(f"i{axis}")
            if last and (self.pieces or self.cut):
                at = Name("first" if self.pieces else "block") + at
            if each.strides[axis] == 0:
                continue
            if not (each.strides[axis] == 1 and last):
                at = at * Name(f"{each.name}{axis}")
            found = at if found is None else found + at
        return Integer(0) if found is None else found

    def _place(self, each: Access, axes: range) -> Index:
        return Index(Name(each.name), (self._index(each, axes),))

    def _innermost(self, each: Access) -> int:
        """Return the last axis along which the access moves (-1: none)."""
        return max((axis for axis in range(self.depth) if each.strides[axis]), default=-1)

    def _hoisted(self, axis: int) -> tuple[list[Statement], dict[str, Expression]]:
        """Return the reads whose position is known within the loop of `axis`, and their values."""
        found: list[Statement] = []
        names: dict[str, Expression] = {}
        for each in self.nest.accesses:
            if (
                each.mode == AccessMode.READ
                and self._innermost(each) == axis
                and axis < self.depth - 1
            ):
                place = self._place(each, range(axis + 1))
                found.append(Assign(f"{each.name}_", self._loaded(each, place)))
                names[each.name] = Name(f"{each.name}_")
        return found, names

    @staticmethod
    def _loaded(each: Access, place: Expression) -> Expression:
        return differs(place, 0) if each.kind == "bool" else place

    def _loops(self, axis: int, names: dict[str, Expression]) -> list[Statement]:
        """Return the loop of an axis and the inner loops, with the statements around them."""
        last = self.depth - 1
        found: list[Statement] = []
        if axis == self.suffix:
            found += [
                Assign(f"{each.name}_total", Convert("float64", Integer(0)))
                if each in self.blocked
                else Assign(f"{each.name}_", FIRST[each.mode])
                for each in self.reductions
            ]
        if axis == last and self.pieces:
            rows, known = self._rows()
            found += rows
            found.append(_loop(f"i{last}", self.count, *self._body({**names, **known})))
        elif axis == last:
            found += self._innermost_loop(names)
        elif axis == self.block_axis:
            found.append(self._block_loop(axis, names))
        else:
            loads, known = self._hoisted(axis)
            inner = self._loops(axis + 1, {**names, **known})
            found.append(_loop(f"i{axis}", Name(f"n{axis}"), *loads, *inner))
        if axis == self.suffix:
            for each in self.reductions:
                value: Expression = Name(f"{each.name}_")
                if each in self.blocked:
                    value = Convert("real", Name(f"{each.name}_total"))
                place = self._place(each, range(self.suffix))
                found.append(Store(place, _JOIN[each.mode](place, value) if each.fill else value))
        if axis != self.terms_from:
            return found
        return self._held_loop(found) if self.held else self._lane_loop(found)

    def _innermost_loop(self, names: dict[str, Expression]) -> list[Statement]:
        """Return the loop of the last axis; if it is cut, within a loop over blocks."""
        last = self.depth - 1
        end = Name("count") if self.cut else Name(f"n{last}")
        rows, known = self._rows()
        found: list[Statement] = [Assign(f"{each.name}_", Real(0.0)) for each in self.blocked]
        found += [*rows, _loop(f"i{last}", end, *self._body({**names, **known}))]
        for each in self.blocked:
            value = Convert("float64", Name(f"{each.name}_"))
            found.append(AugmentedAssign(Name(f"{each.name}_total"), "+", value))
        if not self.cut:
            return found
        size = Name(f"n{last}")
        count = Assign("count", call("min", self.terms, size - Name("block")))
        return [For("block", Integer(0), size, Integer(self.terms), (count, *found))]

    def _block_loop(self, axis: int, names: dict[str, Expression]) -> Statement:
        """Return the loop of the axis that is cut into blocks, for sums along the lanes."""
        start, size = Name("block"), Name(f"n{axis}")
        loads, known = self._hoisted(axis)
        inner = (*loads, *self._loops(axis + 1, {**names, **known}))
        end = call("min", start + self.block, size)
        clear = self._each_lane(lambda part, total: Store(part, Real(0.0)))
        add = self._each_lane(
            lambda part, total: AugmentedAssign(total, "+", Convert("float64", part))
        )
        terms = For(f"i{axis}", start, end, Integer(1), inner)
        return For("block", Integer(0), size, Integer(self.block), (clear, terms, add))

    def _lane_loop(self, inner: list[Statement]) -> list[Statement]:
        """Return the loop over pieces of at most `most_lanes` lanes, for sums along the lanes."""
        size, at = Name(f"n{self.depth - 1}"), f"i{self.depth - 1}"
        count = [Assign("count", call("min", self.most_lanes, size - Name("first")))]
        clear = self._each_lane(lambda part, total: Store(total, Real(0.0)))
        write = [
            Store(
                self._place(each, range(self.depth)),
                Convert("real", Index(Name(f"{each.name}_total"), (Name(at),))),
            )
            for each in self.in_lanes
        ]
        body = (*(() if self.registers else count), clear, *inner, _loop(at, self.count, *write))
        return [For("first", Integer(0), size, Integer(self.most_lanes), body)]

    def _held_loop(self, inner: list[Statement]) -> list[Statement]:
        """Return the loop over pieces of the lanes, whose results are in registers."""
        at = f"i{self.depth - 1}"
        parts = [(each, Index(Name(f"{each.name}_part"), (Name(at),))) for each in self.held]
        clear = _loop(at, self.count, *(Store(part, FIRST[each.mode]) for each, part in parts))
        write = _loop(
            at, self.count, *(Store(self._place(each, range(self.depth)), p) for each, p in parts)
        )
        size, step = Name(f"n{self.depth - 1}"), Integer(self.registers)
        return [For("first", Integer(0), size, step, (clear, *inner, write))]

    def _each_lane(self, made: Callable[[Index, Index], Statement]) -> Statement:
        """Return a loop over the lanes of a piece, with a statement for every sum."""
        parts = [
            made(*(Index(Name(f"{each.name}_{part}"), (Name("i"),)) for part in ("part", "total")))
            for each in self.in_lanes
        ]
        return _loop("i", self.count, *parts)

    def _rows(self) -> tuple[list[Statement], dict[str, Expression]]:
        """Return assignments of the rows that the innermost loop accesses, and their elements."""
        last = self.depth - 1
        found: list[Statement] = []
        names: dict[str, Expression] = {}
        for each in self.nest.accesses:
            if each.mode in FIRST and (self.suffix < self.depth or self._is_apart(each)):
                continue
            if each.over:
                names[each.name] = names[each.over]
                continue
            stride = each.strides[last]
            if stride == 1:
                start = self._index(each, range(last))
                count: Expression = Name(f"n{last}")
                if each in self.gapped:
                    at, done = f"{each.name}_at", f"{each.name}_done"
                    found.append(Assign(at, start))
                    start = Name(at)
                    found += _filled(each, Name(done), start - Name(done))
                    found.append(Assign(done, start + count))
                if self.cut:
                    start, count = start + Name("block"), Name("count")
                elif self.pieces:
                    start, count = start + Name("first"), self.count
                found.append(Assign(f"{each.name}_", call("row", Name(each.name), start, count)))
                names[each.name] = Index(Name(f"{each.name}_"), (Name(f"i{last}"),))
            elif stride or each.mode != AccessMode.READ:
                names[each.name] = self._place(each, range(self.depth))
        return found, names

    def _body(self, names: dict[str, Expression]) -> list[Statement]:
        """Return the formulas, and the statements that store their values."""
        nest = self.nest
        reads = {
            each.name: names[each.name]
            if isinstance(names[each.name], Name)
            else self._loaded(each, names[each.name])
            for each in nest.accesses
            if each.mode == AccessMode.READ
        }

        def with_reads(tree: Expression) -> Expression:
            return replaced(
                tree, lambda part: reads[part.access] if isinstance(part, Read) else None
            )

        found: list[Statement] = [Assign(name, with_reads(formula)) for name, formula in nest.body]
        values = {
            each.name: with_reads(each.value) for each in nest.accesses if each.value is not None
        }
        if any(each.over for each in nest.accesses):
            for each in nest.accesses:  # compute all values before an array is overwritten
                if each.value is not None and not isinstance(each.value, Name):
                    found.append(Assign(f"{each.name}_now", values[each.name]))
                    values[each.name] = Name(f"{each.name}_now")
        for each in nest.accesses:
            if each.mode != AccessMode.READ:
                found.append(self._written(each, values[each.name], names))
        return found

    def _is_apart(self, each: Access) -> bool:
        """Return whether a result is in an array of its own until it is complete."""
        return each in self.held or each in self.in_lanes

    def _written(self, each: Access, value: Expression, names: dict[str, Expression]) -> Statement:
        if each.mode == AccessMode.STORE:
            stored = choose(value, 1, 0) if each.kind == "bool" else value
            return Store(_element(names[each.name]), stored)
        if self._is_apart(each):
            place = Index(Name(f"{each.name}_part"), (Name(f"i{self.depth - 1}"),))
            return Store(place, _JOIN[each.mode](place, value))
        if self.suffix < self.depth:
            return Assign(f"{each.name}_", _JOIN[each.mode](Name(f"{each.name}_"), value))
        place = _element(names[each.name])
        return Store(place, _JOIN[each.mode](place, value))


def _element(tree: Expression) -> Index:
    """Return a tree that is the element of an array."""
    assert isinstance(tree, Index), f"{tree!r} is not an element of an array"
    return tree


def _loop(index: str, end: Expression, *body: Statement) -> For:
    """Return a loop from 0 up to `end`."""
    return For(index, Integer(0), end, Integer(1), body)
