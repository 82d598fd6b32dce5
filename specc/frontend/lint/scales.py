"""The inputs that go directly into products, so that gradients are proportional to their scale.

multiplied(program)     # {"image"}: `image -> flatten -> dense(10)`, but not `image / 255`
"""

from __future__ import annotations

from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ops.broadcast import Broadcast
from specc.ops.contract import Contract
from specc.ops.leaf import Input, Role
from specc.ops.shape import Concat, Pad, Reshape, Slice, Transpose

VIEWS = (Broadcast, Concat, Pad, Reshape, Slice, Transpose)
NORMALIZING = ("batchnorm", "layernorm")


def multiplied(program: Program) -> set[str]:
    """Return the names of "float" inputs that a product reads without any arithmetic before it.

    The products of a normalization do not count.
    """
    terms = (*program.losses, *program.outputs)
    plain: dict[Node, set[str]] = {}
    found: set[str] = set()
    for node in topological([term.node for term in terms]):
        if isinstance(node.op, Input):
            is_input = node.op.role == Role.INPUT and node.type.kind == "float"
            plain[node] = {node.op.label} if is_input else set()
        elif isinstance(node.op, VIEWS):
            plain[node] = set().union(*(plain.get(each, set()) for each in node.inputs))
        elif isinstance(node.op, Contract):
            word = node.origin.word.rpartition(".")[2].rstrip("0123456789")
            if word not in NORMALIZING:
                found = found.union(*(plain.get(each, set()) for each in node.inputs))
    return found
