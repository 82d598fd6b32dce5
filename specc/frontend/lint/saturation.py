"""Warnings about many saturating activations in a row, through which the gradient vanishes.

let h = x -> 6 * (dense(8) -> tanh)     # warning[deep-saturation]
"""

from __future__ import annotations

from specc.diagnostics import Report
from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ops.elementwise import Detach
from specc.ops.functions import Sigmoid, Tanh
from specc.ops.leaf import Input, Role
from specc.source import Source

SATURATED = 6
"""The points from which a stack of activations is reported: a sigmoid has 2, a tanh 1."""


def deep_saturation(source: Source, program: Program, report: Report) -> None:
    if any("norm" in layer.path for layer in program.layers):
        return
    nodes = program.loss_nodes or topological(term.node for term in program.outputs)
    if not any(isinstance(node.op, (Sigmoid, Tanh)) for node in nodes):
        return
    points: dict[Node, int | None] = {}  # None: no input of the model reaches it
    for node in nodes:
        if isinstance(node.op, Input):
            points[node] = 0 if node.op.role == Role.INPUT else None
            continue
        before = [p for each in node.inputs if (p := points[each]) is not None]
        if not before or isinstance(node.op, Detach):
            points[node] = None
            continue
        reached = min(before) + 2 * isinstance(node.op, Sigmoid) + isinstance(node.op, Tanh)
        points[node] = reached
        span = node.origin.span
        is_new = reached >= SATURATED > min(before)
        if is_new and span is not None and span.source is source:
            word = "sigmoid" if isinstance(node.op, Sigmoid) else "tanh"
            report.warning(
                "deep-saturation",
                f"too many saturating activations precede this `{word}`, so the gradient almost"
                " vanishes",
                span,
                help=(
                    "use `relu`, put `batchnorm` before them, or add the layer's input to its"
                    " result"
                ),
            )
            return
