"""Warnings about models that predict the next symbol of a text, and read it.

let h = text -> embed(32) -> attention     # warning[looks-ahead]
"""

from __future__ import annotations

from specc.diagnostics import Report
from specc.ir import sizes
from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ir.sizes import Shape
from specc.recipe import Port
from specc.source import Source


def looks_ahead(source: Source, program: Program, report: Report) -> None:
    """Report a step that depends on later ones, if the data are a text and its next symbols."""
    data = program.recipe.data
    if data is None or data.word != "text":
        return
    texts = {port.role: port for port in program.ports if _is_text(port)}
    if set(texts) != {"input", "target"}:
        return
    text, carries = texts["input"], dict(program.carries)
    ends = [*program.scores, *(term.node for term in program.outputs)]
    ends = [node for node in ends if _runs_over(node, text.shape)]
    if not ends:
        return
    from specc.ops.causal import dependence_of

    nodes = topological([*ends, *carries.values()])
    found = dependence_of(nodes, carries, text.name)
    if all(found[node].is_causal(0) for node in ends):
        return
    needed = set(topological(ends))
    first = next(
        (
            node
            for node in nodes
            if node in needed
            and found[node].steps is None
            and all(found[each].steps is not None for each in node.inputs)
        ),
        None,
    )
    span = None if first is None else first.origin.span
    if span is None or span.source is not source:
        span = next((node.origin.span for node in ends if node.origin.span), None)
    if span is None:
        return
    report.warning(
        "looks-ahead",
        f"a step depends on later steps of `{text.name}`, but the model is to predict the next one",
        span,
        help=(
            "let a step read itself and earlier ones: `attention(causal=true)`, or the condition"
            " `if u <= t then .. else -inf` in a formula"
        ),
    )


def _is_text(port: Port) -> bool:
    return port.kind == "class" and port.sequence is not None and len(port.shape) == 1


def _runs_over(node: Node, shape: Shape) -> bool:
    return bool(node.type.shape) and bool(sizes.same(node.type.shape[0], shape[0]))
