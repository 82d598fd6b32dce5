"""Streams: cells carry their states from each batch to the next.

A batch holds one window of the data in each slot. The state of a cell is initialized to its value
at the end of the slot's previous window, or anew if the port "NAME.begin" is true. Earlier windows
enter as plain inputs, so gradients stop at the edge of a window: truncated backpropagation through
time (Williams and Peng, An efficient gradient-based algorithm for on-line training of recurrent
network trajectories, 1990).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast
from specc.ops.carry import Carry, closed, following
from specc.ops.elementwise import select
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Reshape, Slice


def streamed(graph: Graph, begins: Mapping[str, str]) -> Graph:
    """Return the graph with the states of `begins`, label -> port, carried from window to window.

    The graph reads a state from Input(Role.SLOT, LABEL), and has its new value as the output
    "slot.LABEL".
    """
    present = {
        node.op.label
        for node in graph.nodes
        if isinstance(node.op, Carry) and node.op.label in begins
    }
    if not present:
        return graph

    def rule(node: Node) -> Node:
        op = node.op
        if not isinstance(op, Carry) or op.label not in present:
            return node
        slot = leaf(Input(Role.SLOT, op.label, Type("float", op.shape, True)), node.origin)
        begin = leaf(Input(Role.INPUT, begins[op.label], Type("bool", (), True)), node.origin)
        anew = apply(Broadcast(op.shape), begin) if op.shape else begin
        return replace(node, inputs=(select(anew, node.inputs[0], slot),))

    graph = rewrite(graph, rule)
    finals = {}
    for node in graph.nodes:
        if isinstance(node.op, Carry) and node.op.label in present:
            then = graph.outputs[f"carry.{node.op.label}"]
            last = apply(Slice(0, node.op.steps - 1, 1), then)
            finals[f"slot.{node.op.label}"] = apply(Reshape(node.op.shape), last)
    return closed({**graph.outputs, **finals}, following(graph))
