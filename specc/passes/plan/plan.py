"""Make the plan of a graph: its groups in order, phase by phase, and memory for every value.

plan(graph, groups=fuse(graph), division=division, bytes_of_float=4)
"""

from __future__ import annotations

from collections.abc import Collection

from specc.ir.graph import Graph, Node
from specc.ir.names import LEARNING, OVERWRITING, RECORDED, OutputKind, kind_of
from specc.ir.plan import Allocation, Group, Plan, Step
from specc.ops.shape import c_strides
from specc.ops.views import view
from specc.passes.division import Division
from specc.passes.layout import Layout, Packed
from specc.passes.plan.allocation import allocations_of, insides
from specc.passes.plan.meetings import meetings
from specc.passes.plan.phases import assign_phases, delay_rows, ordered
from specc.passes.plan.scheduled import Scheduled, is_partial, reads, set_once
from specc.passes.plan.sharing import sharing_of


def plan(graph: Graph, groups: tuple[Group, ...], division: Division, bytes_of_float: int) -> Plan:
    """Return the plan of a graph that is divided among shards and fused into groups.

    Outputs named "loss", "loss.*" and "mean.*" are recorded each step; "param.*" and "state.*" are
    written back; "gradient.*" go to arrays of their own; batched outputs are handed out.
    """
    sharing = sharing_of(division)
    views = {node: view(node) for node in graph.nodes}
    records = tuple(name for name in graph.outputs if kind_of(name) in RECORDED)
    targets = _targets(graph, records, bytes_of_float)
    scheduled = [Scheduled(group, sharing.mode(group), [], reads(group, views)) for group in groups]
    sharing.divide(scheduled, targets)
    keeps_weights = not any(kind_of(name) in LEARNING for name in graph.outputs)
    if keeps_weights:
        set_once(scheduled, {views[node].root for node in graph.outputs.values()})
    assign_phases(scheduled, sharing, targets)
    delay_rows(scheduled)
    layout = Layout(bytes_of_float, division.lanes)
    inside = insides(graph)

    def in_arena(root: Node) -> int:
        return layout.bytes(root) if root.type.batched or is_partial(root) else 0

    order = ordered(scheduled, in_arena)
    allocations_of(order, graph, views, targets, layout, sharing, inside)
    layout = Packed(layout)
    allocations = allocations_of(order, graph, views, targets, layout, sharing, inside)
    emits = tuple(
        (name, node)
        for name, node in graph.outputs.items()
        if node.type.batched and kind_of(name) not in (OutputKind.CARRY, OutputKind.SLOT)
    )
    return Plan(
        graph=graph,
        steps=tuple(
            Step(
                s.group,
                s.phase,
                s.mode,
                tuple(s.stores),
                tuple(s.steps),
                s.group.loop.steps if s.group.loop else 1,
                s.by_channels,
                s.phases,
                s.once,
            )
            for s in order
        ),
        views=views,
        allocations=allocations,
        shards=division.shards,
        lanes=division.lanes,
        examples=division.examples,
        arena_bytes=layout.arena,
        passing_bytes=layout.passing,
        shared_bytes=layout.shared,
        records=records,
        emits=emits,
        keeps_weights=keeps_weights,
        sharing=sharing,
        meetings=meetings(order, views, division),
        strides={node: c_strides(whole.type.bound_shape) for node, (whole, _) in inside.items()},
    )


def _targets(
    graph: Graph, records: Collection[str], bytes_of_float: int
) -> dict[Node, list[Allocation]]:
    """Return the memory outside of the program's own that each node's value must reach."""
    targets: dict[Node, list[Allocation]] = {}
    recorded = 0
    for name, node in graph.outputs.items():
        if name in records:
            allocation = Allocation("record", bytes_of_float * recorded)
            recorded += node.type.bound_elements
        elif kind_of(name) in OVERWRITING:
            allocation = Allocation(name)
        else:
            continue
        targets.setdefault(node, []).append(allocation)
    return targets
