"""The calls of ops that have a kernel of their own, a function in the language of kernels.

own_kernel(shard, step)              # KernelCall(kernel of `op.kernel(...)`, its arguments)
"""

from __future__ import annotations

from collections.abc import Iterator

from specc.backend.emit.calls import ELEMENT, Address, KernelCall, Value
from specc.backend.emit.shard import Shard
from specc.backend.llvm import printer
from specc.backend.machine import this_machine
from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.op import WithKernel
from specc.ir.plan import Allocation, Mode, Step
from specc.ops.gather import Put
from specc.ops.kernels.gather import put_rows
from specc.ops.leaf import REPEATED
from specc.target import parse


def own_kernel(shard: Shard, step: Step) -> KernelCall:
    (node,) = step.group.nodes
    ((_, allocation),) = step.stores
    types = tuple(each.type for each in node.inputs)
    lanes = shard.plan.lanes if any(type_.batched for type_ in (node.type, *types)) else 1
    width = this_machine().lanes(shard.dtype) if lanes > 1 else 1  # lanes in a vector
    op = node.op
    assert isinstance(op, WithKernel)
    function = op.kernel(types, lanes, width)
    numbers = {"skipped": 0, **op.arguments(types, lanes), "vector": width}
    numbers["item"] = shard.item(node)
    addresses = []
    for each in () if op.awaits_only else node.inputs:
        addresses.append(shard.viewed(each))
    addresses.append(shard.address(node, allocation))
    numbers["first_example"] = shard.first_example
    if step.mode == Mode.SPLIT:  # the op treats every channel separately
        channels = numbers["channels"]
        start, numbers["channels"] = shard.part(channels)
        numbers["skipped"] += start
        values = (node,) if op.awaits_only else (*node.inputs, node)
        addresses = [
            address.moved(
                each.type.bound_elements
                // channels
                * start
                * shard.lane_step(each)
                * shard.item(each)
            )
            for address, each in zip(addresses, values, strict=True)
        ]
    arguments: list[tuple[str, Value]] = []
    arrays = iter(addresses)
    known: dict[str, Value] = {
        **numbers,
        "frame": Address("frame"),
        "examples": shard.plan.examples,
    }
    for name in parse.parameters(function):
        if name != "control":
            arguments.append((name, known[name] if name in known else next(arrays)))
    sizes_ = {"width": width, "vector": width, "repeated": REPEATED[shard.dtype]}
    own = {"dtype": shard.dtype, "element": ELEMENT[node.type.kind], **sizes_}
    constants = {name: own[name] for name in parse.constants(function)}
    # LLVM vectorizes a loop over the lanes of a vector, but first it would unroll one of 8 lanes
    unroll = "vector" not in constants
    kernel = printer.written(function, function.__name__, shard.dtype, 0, unroll, **constants)
    return KernelCall(kernel, tuple(arguments), step.phase, (node,))


def put_rows_calls(
    shard: Shard, node: Node, allocation: Allocation, phase: int, start: int, rows: int
) -> Iterator[KernelCall]:
    """Yield the calls that compute `rows` rows of a Put over all shards, one call per shard."""
    dy, index = node.inputs
    op = node.op
    assert isinstance(op, Put), op
    rest, lanes = sizes.count(node.type.shape[1:]), shard.plan.lanes
    width, item = this_machine().lanes(shard.dtype), shard.item(node)
    numbers = {
        "start": start,
        "rows": rows,
        "count": index.type.bound_elements,
        "each": int(not op.same),
        "rest": rest,
        "squares": rest // width if lanes % width == 0 else 0,
        "lanes": lanes,
        "item": item,
    }
    kernel = printer.written(
        put_rows, put_rows.__name__, shard.dtype, dtype=shard.dtype, width=width
    )
    out = shard.address(node, allocation).moved(start * rest * item)
    scratch = lanes * rest * item
    for number in range(shard.plan.arenas if rows else 0):
        known: dict[str, Value] = {
            **numbers,
            "fresh": int(number == 0),
            "dy": shard.viewed(dy, number),
            "index": shard.viewed(index, number),
            "out": out,
            "scratch": Address("scratch"),
        }
        names = parse.parameters(put_rows)
        arguments = tuple((name, known[name]) for name in names)
        yield KernelCall(kernel, arguments, phase, (node,), scratch)
