"""Emit a loop nest: elementwise formulas, and the sums, maxima and placements that end them.

In: the formulas of a group, and for each value read or written a stride along every axis of the
domain. Out: a kernel whose extents and strides are run-time numbers, so that layers of every size
share it; only the shape of the loops and the formulas are in its text.

    def add_maximum(a: "float[1]", b: "float[1]", out: "float[1]", n0: "int", n1: "int", ...):
        for i0 in range(n0):
            b_ = b[i0 * b0]
            a_ = row(a, i0 * a0, n1)
            out_ = row(out, i0 * out0, n1)
            for i1 in range(n1):
                v0 = a_[i1] + b_
                out_[i1] = v0 if v0 > 0.0 else 0.0
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from specc.backend.emit.calls import ELEMENT, Address, Value
from specc.backend.toolchain.load import Kernel

IMPORTS = "from specc.backend.numba.memory import partial_sums, row"
# The most terms of a long sum that are added up in the kernel's precision, a vector of partial sums at a time;
# the sums of such blocks are added up in float64, as a float32 sum of 10^6 terms loses four digits.
BLOCK = 1024
# The same for sums side by side, each in a lane of its own, which has one partial sum.
LANE_BLOCK = 128
# How many lanes are added up side by side, with partial sums on the stack: long rows are read in few pieces, but
# several sums have to share the stack and the nearest cache.
LANES, MORE_LANES = 1024, 4096
_FIRST = {"sum": "0.0", "max": "-1e400"}
_JOIN = {"sum": "plus({0}, {1})", "max": "({1} if ({1} > {0} or {1} != {1}) else {0})"}


@dataclass(eq=False)
class Access:
    """An array of the nest. `strides` count elements, one for each axis of the domain.

    `mode`: "read", "store", or for a reduction "sum" or "max" (over the axes of stride 0 in
    `reduced`). `elements` is the length of the array where it must be filled first.
    """

    name: str
    kind: str
    address: Address
    strides: tuple[int, ...]
    mode: str = "read"
    value: str = ""  # what is stored: the name of a variable of the body
    elements: int = 0
    item: int = 4  # bytes of an element
    fill: bool = False  # set every element to the neutral one, or to `filling`, first
    filling: str = ""
    start: int = 0  # the element of the array that the domain's first point meets
    over: str = ""  # the name of the array read whose elements it takes the place of
    overlaps: bool = False  # several points of the domain may add to one element

    @property
    def starts_within(self) -> bool:
        """Whether the domain's first point may meet another element than the array's first."""
        return self.fill or any(stride < 0 for stride in self.strides)


@dataclass(eq=False)
class Nest:
    """`body` are lines `v0 = ...` over the reads' names in braces: `{a} + {b}`."""

    title: str
    extents: tuple[int, ...]
    accesses: list[Access]
    body: list[str] = field(default_factory=list)
    reduced: tuple[bool, ...] = ()


def kernel_of(nest: Nest, dtype: str) -> tuple[Kernel, list[tuple[str, Value]]]:
    """The kernel, and its arguments in order."""
    extents, reduced = _order(nest, *_collapse(nest))
    in_lanes = _adds_in_lanes(nest, extents, reduced)
    for each in nest.accesses:
        if each.mode in _FIRST and not any(reduced) and not each.overlaps:
            each.mode = "store"  # there is one term
        elif each.mode in _FIRST and not (in_lanes and each.mode == "sum"):
            each.fill = each.fill or any(reduced[: _suffix(reduced)])
    for each in nest.accesses:
        if not each.fill:
            # the array begins at the lowest element: Python counts negative indices from the end
            lowest = sum(
                min(stride, 0) * (size - 1)
                for stride, size in zip(each.strides, extents, strict=True)
            )
            each.address = each.address.moved((each.start + lowest) * each.item)
            each.start = -lowest
    read = {
        (each.address, each.strides): each.name for each in nest.accesses if each.mode == "read"
    }
    for each in nest.accesses:
        if each.mode == "store" and not each.fill:
            each.over = read.get((each.address, each.strides), "")
    writer = _Writer(nest, extents, reduced, in_lanes)
    source = writer.source(dtype)
    passed = [each for each in nest.accesses if not each.over]
    arguments: list[tuple[str, Value]] = [(each.name, each.address) for each in passed]
    arguments += [(f"n{axis}", size) for axis, size in enumerate(extents)]
    for each in passed:
        arguments += [
            (f"{each.name}{axis}", each.strides[axis]) for axis in writer.passed_strides(each)
        ]
    for each in passed:
        arguments += [(f"{each.name}_all", each.elements)] if each.fill else []
        arguments += [(f"{each.name}_from", each.start)] if each.starts_within else []
    imports = f"{IMPORTS}\nfrom numpy import {dtype} as real"
    return Kernel(writer.name, source, dtype, imports=imports), arguments


def _collapse(nest: Nest) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Join axes that every access walks through as one; drop axes of length 1."""
    reduced = nest.reduced or (False,) * len(nest.extents)
    axes: list[tuple[int, bool, list[int]]] = []
    for axis, size in enumerate(nest.extents):
        if size == 1:
            continue
        strides = [each.strides[axis] for each in nest.accesses]
        if (
            axes
            and axes[-1][1] == reduced[axis]
            and all(
                outer == inner * size for outer, inner in zip(axes[-1][2], strides, strict=True)
            )
        ):
            axes[-1] = (axes[-1][0] * size, reduced[axis], strides)
        else:
            axes.append((size, reduced[axis], strides))
    if not axes:
        axes = [(1, False, [1 if each.mode == "store" else 0 for each in nest.accesses])]
    for position, each in enumerate(nest.accesses):
        each.strides = tuple(strides[position] for _, _, strides in axes)
    return tuple(size for size, _, _ in axes), tuple(flag for _, flag, _ in axes)


def _terms(extents: tuple[int, ...], reduced: tuple[bool, ...]) -> int:
    """How many terms the nest adds up in memory: the product of the extents before the suffix."""
    first = _suffix(reduced)
    return math.prod(size for size, flag in zip(extents[:first], reduced, strict=False) if flag)


def _order(nest: Nest, extents: tuple[int, ...], reduced: tuple[bool, ...]):
    """Very many terms that would be added up in memory: their axes come last, but for one that is kept, so that
    blocks of them can be added up one after another."""
    if _terms(extents, reduced) <= BLOCK or any(each.overlaps for each in nest.accesses):
        return extents, reduced
    last = len(extents) - 1
    order = sorted(range(len(extents)), key=lambda axis: (axis == last, reduced[axis]))
    for each in nest.accesses:
        each.strides = tuple(each.strides[axis] for axis in order)
    return tuple(extents[axis] for axis in order), tuple(reduced[axis] for axis in order)


def _adds_in_lanes(nest: Nest, extents: tuple[int, ...], reduced: tuple[bool, ...]) -> bool:
    """Whether sums of very many terms are side by side along the last axis, in blocks of their terms."""
    return (
        _terms(extents, reduced) > BLOCK
        and not reduced[-1]
        and not any(each.overlaps for each in nest.accesses)
    )


def _suffix(reduced: tuple[bool, ...]) -> int:
    """The first of the trailing axes that are reduced (the depth, where there are none)."""
    first = len(reduced)
    while first > 0 and reduced[first - 1]:
        first -= 1
    return first


class _Writer:
    """Writes the text of one nest."""

    def __init__(
        self, nest: Nest, extents: tuple[int, ...], reduced: tuple[bool, ...], in_lanes: bool
    ):
        depth = len(extents)
        self.nest, self.depth, self.reduced = nest, depth, reduced
        self.name = nest.title
        self.lines: list[str] = []
        # the trailing axes over which a reduction runs in a local variable
        self.suffix = _suffix(reduced)
        self.reductions = [each for each in nest.accesses if each.mode in _FIRST]
        # sums of many terms, which are added up in blocks; a long innermost loop is cut into blocks if the
        # rows that it runs through can be cut
        long = math.prod(extents[self.suffix :]) > BLOCK and self.suffix < depth
        self.blocked = [each for each in self.reductions if each.mode == "sum" and long]
        self.cut = (
            bool(self.blocked)
            and extents[-1] > BLOCK
            and all(each.strides[-1] in (0, 1) for each in nest.accesses)
        )
        # sums side by side; from which axis on their terms are added up, and by which they are cut into blocks
        self.in_lanes = [each for each in self.reductions if each.mode == "sum" and in_lanes]
        self.terms_from = self.block_axis = depth
        if self.in_lanes:
            self.terms_from = reduced.index(True)
            self.block_axis = depth - 2
            while (
                self.block_axis > self.terms_from
                and math.prod(extents[self.block_axis : -1]) < LANE_BLOCK // 2
            ):
                self.block_axis -= 1
            inner = math.prod(extents[self.block_axis + 1 : -1])
            self.block = max(LANE_BLOCK // inner, 1)
            self.most_lanes = (
                MORE_LANES if extents[-1] > LANES and len(self.in_lanes) <= 2 else LANES
            )

    def passed_strides(self, each: Access) -> list[int]:
        """The axes whose stride is an argument: all but the zeros, and but a 1 at the end."""
        last = self.depth - 1
        return [
            axis
            for axis in range(self.depth)
            if each.strides[axis] != 0 and not (axis == last and each.strides[axis] == 1)
        ]

    def source(self, dtype: str) -> str:
        nest, depth = self.nest, self.depth
        passed = [each for each in nest.accesses if not each.over]
        parameters = [f'{each.name}: "{ELEMENT[each.kind]}[1]"' for each in passed]
        parameters += [f'n{axis}: "int"' for axis in range(depth)]
        for each in passed:
            parameters += [f'{each.name}{axis}: "int"' for axis in self.passed_strides(each)]
        for each in passed:
            parameters += [f'{each.name}_all: "int"'] if each.fill else []
            parameters += [f'{each.name}_from: "int"'] if each.starts_within else []
        self.lines = [f"def {self.name}({', '.join(parameters)}):"]
        for each in nest.accesses:
            if each.fill:
                first = each.filling or _FIRST.get(each.mode, "0.0")
                self._put(1, f"{each.name}_fill = row({each.name}, 0, {each.name}_all)")
                self._put(1, f"for i in range({each.name}_all):")
                self._put(2, f"{each.name}_fill[i] = {first}")
        for each in self.in_lanes:
            self._put(1, f"{each.name}_part = partial_sums({self.most_lanes}, real)")
            self._put(1, f"{each.name}_total = partial_sums({self.most_lanes}, np.float64)")
        names = self._hoisted(1, -1)
        self._loops(0, 1, names)
        return "\n".join(self.lines) + "\n"

    def _put(self, level: int, text: str) -> None:
        self.lines.append("    " * level + text)

    def _index(self, each: Access, axes: range) -> str:
        terms = [f"{each.name}_from"] if each.starts_within else []
        for axis in axes:
            last = axis == self.depth - 1
            at = f"(first + i{axis})" if last and self.in_lanes else f"i{axis}"
            if each.strides[axis] == 1 and last:
                terms.append(at)
            elif each.strides[axis] != 0:
                terms.append(f"{at} * {each.name}{axis}")
        return " + ".join(terms) or "0"

    def _innermost(self, each: Access) -> int:
        """The last axis along which the access moves (-1: none)."""
        return max((axis for axis in range(self.depth) if each.strides[axis]), default=-1)

    def _hoisted(self, level: int, axis: int) -> dict[str, str]:
        """Reads that are known once the loop of `axis` is entered; name -> expression."""
        names = {}
        for each in self.nest.accesses:
            if each.mode == "read" and self._innermost(each) == axis and axis < self.depth - 1:
                place = f"{each.name}[{self._index(each, range(axis + 1))}]"
                self._put(level, f"{each.name}_ = {self._loaded(each, place)}")
                names[each.name] = f"{each.name}_"
        return names

    @staticmethod
    def _loaded(each: Access, place: str) -> str:
        return f"({place} != 0)" if each.kind == "bool" else place

    def _loops(self, axis: int, level: int, names: dict[str, str]) -> None:
        last = self.depth - 1
        if axis == self.terms_from:
            self._put(level, f"for first in range(0, n{last}, {self.most_lanes}):")
            level += 1
            self._put(level, f"count = min({self.most_lanes}, n{last} - first)")
            self._each_lane(level, "{0}_total[i] = 0.0")
        if axis == self.suffix:
            for each in self.reductions:
                if each in self.blocked:
                    self._put(level, f"{each.name}_total = np.float64(0)")
                else:
                    self._put(level, f"{each.name}_ = {_FIRST[each.mode]}")
        if axis == last and self.in_lanes:
            names = {**names, **self._rows(level)}
            self._put(level, f"for i{last} in range(count):")
            self._body(level + 1, names)
        elif axis == last:
            inner = level
            if self.cut:
                self._put(level, f"for block in range(0, n{axis}, {BLOCK}):")
                inner = level + 1
                self._put(inner, f"count = min({BLOCK}, n{axis} - block)")
            for each in self.blocked:
                self._put(inner, f"{each.name}_ = 0.0")
            names = {**names, **self._rows(inner)}
            self._put(inner, f"for i{axis} in range({'count' if self.cut else f'n{axis}'}):")
            self._body(inner + 1, names)
            for each in self.blocked:
                self._put(inner, f"{each.name}_total += np.float64({each.name}_)")
        elif axis == self.block_axis:
            self._put(level, f"for block in range(0, n{axis}, {self.block}):")
            self._each_lane(level + 1, "{0}_part[i] = 0.0")
            self._put(
                level + 1, f"for i{axis} in range(block, min(block + {self.block}, n{axis})):"
            )
            names = {**names, **self._hoisted(level + 2, axis)}
            self._loops(axis + 1, level + 2, names)
            self._each_lane(level + 1, "{0}_total[i] += np.float64({0}_part[i])")
        else:
            self._put(level, f"for i{axis} in range(n{axis}):")
            names = {**names, **self._hoisted(level + 1, axis)}
            self._loops(axis + 1, level + 1, names)
        if axis == self.terms_from:
            self._put(level, f"for i{last} in range(count):")
            for each in self.in_lanes:
                place = f"{each.name}[{self._index(each, range(self.depth))}]"
                self._put(level + 1, f"{place} = real({each.name}_total[i{last}])")
        if axis == self.suffix:
            for each in self.reductions:
                value = f"real({each.name}_total)" if each in self.blocked else f"{each.name}_"
                place = f"{each.name}[{self._index(each, range(self.suffix))}]"
                joined = _JOIN[each.mode].format(place, value) if each.fill else value
                self._put(level, f"{place} = {joined}")

    def _each_lane(self, level: int, line: str) -> None:
        """A line for every sum, of each of the lanes that are added up side by side."""
        self._put(level, "for i in range(count):")
        for each in self.in_lanes:
            self._put(level + 1, line.format(each.name))

    def _rows(self, level: int) -> dict[str, str]:
        """Names of the one-dimensional rows that the innermost loop runs through."""
        last = self.depth - 1
        names = {}
        for each in self.nest.accesses:
            if each.mode in _FIRST and (self.suffix < self.depth or each in self.in_lanes):
                continue
            if each.over:
                names[each.name] = names[each.over]
                continue
            stride = each.strides[last]
            if stride == 1:
                start = self._index(each, range(last))
                if self.cut or self.in_lanes:
                    start, count = f"{start} + {'block' if self.cut else 'first'}", "count"
                else:
                    count = f"n{last}"
                self._put(level, f"{each.name}_ = row({each.name}, {start}, {count})")
                names[each.name] = f"{each.name}_[i{last}]"
            elif stride or each.mode != "read":
                names[each.name] = f"{each.name}[{self._index(each, range(self.depth))}]"
        return names

    def _body(self, level: int, names: dict[str, str]) -> None:
        reads = {
            each.name: self._loaded(each, names[each.name])
            if names[each.name] != f"{each.name}_"
            else names[each.name]
            for each in self.nest.accesses
            if each.mode == "read"
        }
        for line in self.nest.body:
            self._put(level, line.format(**reads))
        in_place = any(each.over for each in self.nest.accesses)
        for each in self.nest.accesses if in_place else ():
            if each.mode != "read" and not each.value.isidentifier():  # before it is written over
                self._put(level, f"{each.name}_now = {each.value.format(**reads)}")
        for each in self.nest.accesses:
            value = each.value.format(**reads)
            if in_place and not each.value.isidentifier():
                value = f"{each.name}_now"
            if each.mode == "store":
                if each.kind == "bool":
                    value = f"1 if {value} else 0"
                self._put(level, f"{names[each.name]} = {value}")
            elif each in self.in_lanes:
                place = f"{each.name}_part[i{self.depth - 1}]"
                self._put(level, f"{place} = plus({place}, {value})")
            elif each.mode in _FIRST:
                if self.suffix < self.depth:
                    self._put(
                        level, f"{each.name}_ = {_JOIN[each.mode].format(each.name + '_', value)}"
                    )
                else:
                    place = names[each.name]
                    self._put(level, f"{place} = {_JOIN[each.mode].format(place, value)}")
