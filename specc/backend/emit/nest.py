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
from collections.abc import Hashable
from dataclasses import replace

from specc.backend.emit.access import Access, AccessMode, Nest
from specc.backend.emit.calls import Value
from specc.backend.emit.loops import (
    BLOCK,
    FIRST,
    NestWriter,
    lanes_in_registers,
    suffix,
)
from specc.backend.llvm import printer
from specc.backend.llvm.kernel import Kernel
from specc.backend.machine import this_machine


def kernel_of(
    nest: Nest,
    dtype: str,
    made_of: Hashable = None,
    known: dict[Hashable, Kernel] | None = None,
) -> tuple[Kernel, list[tuple[str, Value]]]:
    """Return the kernel of a nest, and its arguments in order.

    `made_of` identifies the nest's formulas. `known` maps formulas and shapes of nests to kernels,
    so that the shards of a plan print equal kernels only once.
    """
    extents, reduced = _order(nest, *_collapse(nest))
    in_lanes = _adds_in_lanes(nest, extents, reduced)
    overlaps = any(each.overlaps for each in nest.accesses)
    registers = (
        0 if overlaps else lanes_in_registers(nest, extents, reduced, this_machine().lanes(dtype))
    )
    for each in nest.accesses:
        if each.mode in FIRST and not any(reduced) and not each.overlaps:
            each.mode = AccessMode.STORE  # a sum or maximum of one term
        elif each.mode in FIRST and not (each.mode == AccessMode.SUM if in_lanes else registers):
            each.fill = each.fill or any(reduced[: suffix(reduced)])
    for each in nest.accesses:
        if not each.fill:
            # the array starts at the lowest element that is accessed, because Python counts
            # negative indices from the end
            lowest = sum(
                min(stride, 0) * (size - 1)
                for stride, size in zip(each.strides, extents, strict=True)
            )
            each.address = each.address.moved((each.start + lowest) * each.item)
            each.start = -lowest
    read = {_place(each): each.name for each in nest.accesses if each.mode == AccessMode.READ}
    for each in nest.accesses:
        if each.mode == AccessMode.STORE and not each.fill:
            each.over = read.get(_place(each), "")
    lanes = this_machine().lanes("float32")  # float64 has digits enough for blocks of any length
    writer = NestWriter(nest, extents, reduced, in_lanes, lanes, registers)
    kernel = None
    if known is not None:
        made = made_of, nest.title, extents, reduced, in_lanes, tuple(map(_shape, nest.accesses))
        kernel = known.get(made)
    if kernel is None:
        # a loop of few lanes must stay one, so that LLVM keeps their results in registers
        kernel = printer.kernel(writer.function(), dtype, unroll=not registers)
        if known is not None:
            known[made] = kernel
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
    return kernel, arguments


def _place(each: Access) -> Hashable:
    """Return what two accesses to the same elements of memory have in common."""
    return replace(each.address, name=""), each.strides


def _shape(each: Access) -> Hashable:
    """Return the properties of an access, except its formula, that the kernel depends on."""
    return (
        each.name,
        each.kind,
        each.mode,
        each.strides,
        each.fill,
        each.over,
        each.starts_within,
        each.overlaps,
    )


def _collapse(nest: Nest) -> tuple[tuple[int, ...], tuple[bool, ...]]:
    """Join neighboring axes that are contiguous in every access; drop axes of length 1."""
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
        axes = [(1, False, [1 if each.mode == AccessMode.STORE else 0 for each in nest.accesses])]
    for position, each in enumerate(nest.accesses):
        each.strides = tuple(strides[position] for _, _, strides in axes)
    return tuple(size for size, _, _ in axes), tuple(flag for _, flag, _ in axes)


def _terms(extents: tuple[int, ...], reduced: tuple[bool, ...]) -> int:
    """Return the number of terms that the nest adds up in memory.

    It is the product of the reduced extents before the trailing reduced axes.
    """
    first = suffix(reduced)
    return math.prod(size for size, flag in zip(extents[:first], reduced, strict=False) if flag)


def _order(nest: Nest, extents: tuple[int, ...], reduced: tuple[bool, ...]):
    """Move the axes of long sums to the end, except that the last axis stays last.

    Blocks of terms can then be added up in registers or on the stack, and not in memory.
    """
    if _terms(extents, reduced) <= BLOCK or any(each.overlaps for each in nest.accesses):
        return extents, reduced
    last = len(extents) - 1
    order = sorted(range(len(extents)), key=lambda axis: (axis == last, reduced[axis]))
    for each in nest.accesses:
        each.strides = tuple(each.strides[axis] for axis in order)
    return tuple(extents[axis] for axis in order), tuple(reduced[axis] for axis in order)


def _adds_in_lanes(nest: Nest, extents: tuple[int, ...], reduced: tuple[bool, ...]) -> bool:
    """Return whether the nest computes long sums that are contiguous along the last axis."""
    return (
        _terms(extents, reduced) > BLOCK
        and not reduced[-1]
        and not any(each.overlaps for each in nest.accesses)
    )
