"""The calls that read data before a step and write results after it.

list(inputs(shard))                  # one call for each input of the plan
"""

from __future__ import annotations

from collections.abc import Iterator

from specc.backend.emit import feed
from specc.backend.emit.calls import ELEMENT, Address, KernelCall, Value
from specc.backend.emit.shard import Shard
from specc.backend.machine import this_machine
from specc.ir.op import Kernel
from specc.ir.plan import Mode
from specc.ops.leaf import Input, Role

Arguments = tuple[tuple[str, Value], ...]

ANY = 1 << 31  # the number of classes if it is not known: every class index is valid

_GATHER: dict[str, Kernel] = {
    "float": feed.gather_float,
    "int": feed.gather_int,
    "bool": feed.gather_bool,
}


def inputs(shard: Shard) -> Iterator[KernelCall]:
    plan = shard.plan
    for node, allocation in plan.allocations.items():
        if not isinstance(node.op, Input):
            continue
        role, label = node.op.role, node.op.label
        out = shard.address(node, allocation)
        lanes = (("lanes", plan.lanes), ("examples", plan.examples))
        features = None
        if role in (Role.INPUT, Role.TARGET) and node.type.kind == "float":
            vector = this_machine().lanes(shard.dtype)
            features = plan.sharing.features(node.type.bound_elements, shard.shard, vector)
        if features is None and not plan.sharing.leads(shard.shard):
            continue
        if role in (Role.INPUT, Role.TARGET):
            gather = _GATHER[node.type.kind]
            skipped, size = features or (0, node.type.bound_elements)
            out = out.moved(skipped * shard.lane_step(node) * shard.item(node))
            arguments: Arguments = (
                ("frame", Address("frame")),
                ("out", out),
                ("port", Address("port", name=label)),
                ("size", size),
            )
            if node.type.kind == "float":
                arguments += (("skipped", skipped), ("first_example", shard.first_example))
            if node.type.kind == "int":
                classes = node.type.classes
                arguments += (("classes", classes if isinstance(classes, int) else ANY),)
            arguments += lanes
            yield KernelCall(
                feed.kernel(gather, shard.dtype, column=shard.columns[label]),
                arguments,
                0,
                (node,),
            )
        elif role == Role.WEIGHT_OF_EXAMPLE:
            arguments = (("frame", Address("frame")), ("out", out), *lanes)
            yield KernelCall(feed.kernel(feed.weigh_examples, shard.dtype), arguments, 0, (node,))
        elif role == Role.SETTING and shard.shard == 0:
            arguments = (
                ("frame", Address("frame")),
                ("out", out),
                ("number", int(label)),
                ("settings", Address("settings")),
            )
            yield KernelCall(feed.kernel(feed.read_setting, shard.dtype), arguments, 0, (node,))


def outputs(shard: Shard) -> Iterator[KernelCall]:
    plan = shard.plan
    if not plan.sharing.leads(shard.shard):
        return
    last = max((step.phase for step in plan.steps), default=0) + plan.sharing.completes_outputs
    if plan.records and shard.shard == 0:
        records = {node for name, node in plan.graph.outputs.items() if name in plan.records}
        # if another shard computes a part of a record, the record is complete after a barrier
        late = any(
            step.mode == Mode.SPLIT
            for step in plan.steps
            if records & {node for node, _ in step.stores}
        )
        arguments: Arguments = (
            ("frame", Address("frame")),
            ("values", Address("record")),
            ("records", plan.record_width),
        )
        yield KernelCall(feed.kernel(feed.write_record, shard.dtype), arguments, last + late)
    for name, node in plan.emits:
        arguments = (
            ("frame", Address("frame")),
            ("values", shard.viewed(node)),
            ("port", Address("port", name=name)),
            ("size", node.type.bound_elements),
            ("lanes", plan.lanes),
            ("examples", plan.examples),
        )
        width = this_machine().lanes(shard.dtype)
        squares = plan.lanes % width == 0 and node.type.bound_elements >= width
        transposed = squares and node.type.kind == "float" and shard.columns[name] == shard.dtype
        write = feed.write_transposed if transposed else feed.write_rows
        kernel = feed.kernel(
            write, shard.dtype, column=shard.columns[name], element=ELEMENT[node.type.kind]
        )
        yield KernelCall(kernel, arguments, last, (node,))
