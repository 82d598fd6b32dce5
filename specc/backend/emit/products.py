"""A contraction of a plan as calls of kernels with register tiles, if a tile fits it.

calls = product_calls(node, shard, out, phase)      # pack the operands, then compute the product
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from specc.backend.contraction.plan import candidates, plan_contraction
from specc.backend.contraction.problem import Problem
from specc.backend.contraction.tiling import (
    PREFETCHED,
    WHOLE,
    ContractionPlan,
    Linear,
    Operand,
    Part,
    Within,
)
from specc.backend.emit.calls import Address, ConstantArray, KernelCall, Value
from specc.backend.emit.shard import Shard
from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Repeated
from specc.ir.sharing import share
from specc.ops.contract import Contract, index
from specc.ops.leaf import Input, Role
from specc.ops.shape import c_strides

MOST_KEPT = 8 << 20  # largest weight, in bytes, that is kept packed between runs


def product_calls(
    node: Node,
    shard: Shard,
    out: Address,
    phase: int,
    loop: Repeated | None = None,
    part: Part = WHOLE,
) -> list[KernelCall]:
    """Return the calls that compute a node; none if no tile fits it.

    `out` is the address of the result, and `part` the part of it that the calls compute. Weights
    that do not change within a `loop` are packed before the loop, into memory that nothing else
    uses. Weights that no run changes are packed before all runs.
    """
    operands, addresses = _operands(node, shard)
    step = shard.lane_step(node)
    strides = shard.plan.strides.get(node) or c_strides(node.type.bound_shape)
    result = Operand(tuple(stride * step for stride in strides), node.type.batched)
    left, right = operands
    lanes, used = shard.plan.lanes, shard.plan.examples
    of_two = left.batched == right.batched and (lanes == 1 or not left.batched)
    if of_two:
        # a product of values that the whole batch shares is computed as for a single example
        lanes, used = 1, 0
        result = replace(result, batched=True)
    ahead = (
        loop is not None
        and not (of_two and left.batched)
        and all(
            each.type.batched
            or (not address.stride and isinstance(shard.plan.views[each].root.op, Input))
            for each, address in zip(node.inputs, addresses, strict=True)
        )
    )
    once = _is_kept(node, shard)
    problem = Problem(
        node.op_as(Contract),
        left,
        right,
        result,
        lanes,
        shard.target,
        calls=loop.steps if loop is not None and ahead else 1,
        used=used,
        part=part,
        wanted=shard.common.parts_read.get(node),
        kept=once,
    )
    plan = _of_two(problem) if of_two else plan_contraction(problem)
    if plan is None:
        return []
    ahead = (ahead or once) and plan.packing is not None
    lasting = shard.lasting(plan.packed) if ahead else None
    return plan_calls(plan, node, addresses, out, phase, lasting, once=once)


def _of_two(problem: Problem) -> ContractionPlan | None:
    """Return the plan of a product of two weights, or of two values of one example.

    One of them takes the place of a batched value, and the other one that of weights. The faster
    choice for the first part is used for all parts, because they must be divided in the same way.
    """
    left, right = problem.left, problem.right
    both = [
        replace(problem, left=replace(left, batched=first), right=replace(right, batched=not first))
        for first in (True, False)
    ]
    first = [replace(each, part=replace(each.part, number=0)) for each in both]
    best = [min((each.cycles for _, each in candidates(each)), default=math.inf) for each in first]
    return plan_contraction(both[best[1] < best[0]])


def _is_kept(node: Node, shard: Shard) -> bool:
    """Return whether a product's weight is a parameter that stays packed between runs."""
    weights = [each for each in node.inputs if not each.type.batched]
    roots = [shard.plan.views[each].root for each in weights]
    return (
        shard.plan.keeps_weights
        and len(weights) == 1
        and all(
            isinstance(root.op, Input)
            and root.op.role == Role.PARAM
            and root.type.bound_elements * shard.item(root) <= MOST_KEPT
            for root in roots
        )
    )


def plan_calls(
    plan: ContractionPlan,
    node: Node,
    addresses: list[Address],
    out: Address,
    phase: int,
    ahead: Address | None = None,
    prefetched: Sequence[Address] = (),
    prefetched_size: int = 0,
    once: bool = False,
) -> list[KernelCall]:
    """Return the calls of a plan.

    `ahead` is the address of weights that are packed before a loop, or before all runs with `once`.
    The product prefetches `prefetched_size` bytes at each of `prefetched`, for the next call.
    """
    packed = ahead or Address("scratch")
    own = Address("scratch", 0 if ahead else -(-plan.packed // ALIGNMENT) * ALIGNMENT)
    known: dict[str, Value] = {
        "left": addresses[0],
        "right": addresses[1],
        "out": out,
        "scratch": own,
        "packed": packed,
        "prefetched_size": prefetched_size,
    }
    prefetched = list(prefetched) or addresses[:1]
    known |= {name: prefetched[n % len(prefetched)] for n, name in enumerate(PREFETCHED[:-1])}
    scratch = own.offset + plan.scratch
    lasting = packed.offset + plan.packed if ahead else 0
    calls = []
    for each in plan.packing.in_order() if plan.packing is not None else ():
        arguments = _arguments(each, known)
        call = KernelCall(each.kernel, arguments, phase, (node,), scratch, packs=True)
        calls.append(replace(call, lasting=lasting, once=once, copied=each.copied))
    for each in plan.before:
        arguments = _arguments(each, known)
        call = KernelCall(each.kernel, arguments, phase, (node,), scratch, packs=True)
        calls.append(replace(call, copied=each.copied))
    kernel = plan.updating if prefetched_size and plan.updating is not None else plan.kernel
    calls.append(
        KernelCall(
            kernel, _arguments(plan, known), phase, (node,), scratch, prefetches=plan.prefetches
        )
    )
    return calls


def rows_calls(
    node: Node,
    shard: Shard,
    out: Address,
    phase: int,
    start: int,
    count: int,
    prefetched: Sequence[Address] = (),
    prefetched_size: int = 0,
) -> list[KernelCall]:
    """Return the calls for `count` rows from `start` on of a sum over the examples of all shards.

    The arenas of the shards are contiguous, so the shards are one more index that is summed over.
    For `prefetched` and `prefetched_size` see `plan_calls`.
    """
    op = node.op_as(Contract)
    operands, addresses = _operands(node, shard, 0)
    size = shard.item(node)
    from_shard = shard.plan.arena_bytes // size
    ((row, _),) = op.out[0].terms
    extents = [*op.extents, shard.plan.arenas]
    extents[row] = count
    every = (index(len(op.extents)),)
    part = replace(
        op,
        extents=tuple(extents),
        left=op.left + every,
        right=op.right + every,
        shape=(count, *op.shape[1:]),
    )
    for n, (map_, name) in enumerate(((op.left, "left"), (op.right, "right"))):
        step = Linear(map_, operands[n], name).step(row)
        addresses[n] = addresses[n].moved(start * step * size)
        operands[n] = Operand((*operands[n].strides, from_shard), True)
    strides = c_strides(node.type.bound_shape)
    result = Operand(strides, False)
    plan = _planned(part, operands, result, shard)
    out = out.moved(start * strides[0] * size)
    return plan_calls(plan, node, addresses, out, phase, None, prefetched, prefetched_size)


def own_rows_calls(node: Node, shard: Shard, out: Address, phase: int) -> list[KernelCall]:
    """Return the calls that sum over the shard's own rows of the weights: a partial result."""
    op = node.op_as(Contract)
    operands, addresses = _operands(node, shard)
    i = op.summed_row(not node.inputs[0].type.batched)
    assert i is not None, "a product by rows sums over the rows of its weights"
    start, count = share(op.bound_extents[i], shard.shard, shard.plan.shards)
    extents = [*op.extents]
    extents[i] = count
    part = Contract(
        tuple(extents), op.out, op.left, op.right, op.shape, op.sum_batch, rounded=op.rounded
    )
    for n, (map_, name) in enumerate(((op.left, "left"), (op.right, "right"))):
        addresses[n] = addresses[n].moved(
            start * Linear(map_, operands[n], name).step(i) * shard.item(node)
        )
    strides = tuple(stride * shard.lane_step(node) for stride in c_strides(node.type.bound_shape))
    result = Operand(strides, True)
    plan = _planned(part, operands, result, shard)
    return plan_calls(plan, node, addresses, out, phase)


def _planned(
    op: Contract, operands: Sequence[Operand], result: Operand, shard: Shard
) -> ContractionPlan:
    """Return the plan of a part of a contraction, for which there is always a plan."""
    left, right = operands
    used = shard.plan.examples
    plan = plan_contraction(
        Problem(op, left, right, result, shard.plan.lanes, shard.target, used=used)
    )
    assert plan is not None, "no kernel fits a part of a product (a bug of specc)"
    return plan


def repeats(call: KernelCall, before: KernelCall) -> bool:
    """Return whether a call packs the same data as the call `before`."""

    def same(a: Value, b: Value) -> bool:
        return a == b or (
            isinstance(a, ConstantArray)
            and isinstance(b, ConstantArray)
            and np.array_equal(a.array, b.array)
        )

    return (
        call.packs
        and before.packs
        and call.kernel == before.kernel
        and all(same(a, b) for (_, a), (_, b) in zip(call.arguments, before.arguments, strict=True))
    )


def _operands(
    node: Node, shard: Shard, number: int | None = None
) -> tuple[list[Operand], list[Address]]:
    """Return the strides and addresses of a node's inputs, in this shard or in shard `number`."""
    operands, addresses = [], []
    for each in node.inputs:
        seen = shard.plan.views[each]
        step = shard.lane_step(seen.root)
        operands.append(Operand(tuple(stride * step for stride in seen.strides), each.type.batched))
        address = shard.address(seen.root, shard=number)
        addresses.append(address.moved(seen.offset * step * shard.item(seen.root)))
    return operands, addresses


def _arguments(plan: ContractionPlan, known: dict[str, Value]) -> tuple[tuple[str, Value], ...]:
    known = {**known, **{name: ConstantArray(table) for name, table in plan.tables.items()}}

    def value(each: str | int | Within) -> Value:
        if isinstance(each, Within):
            start = known[each.space]
            assert isinstance(start, Address), "memory has an address"
            return start.moved(each.offset)
        return known[each] if isinstance(each, str) else each

    names = plan.kernel.parameters
    return tuple((name, value(each)) for name, each in zip(names, plan.parameters, strict=True))
