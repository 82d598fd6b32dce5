"""Checks of a whole model: the dependencies of its losses, and its memory.

check_losses_reach(context, elaborated, training)
check_memory(context, elaborated, training, block)
"""

from __future__ import annotations

from specc.frontend.lint.signed import cancelling
from specc.frontend.program.model import Elaborated
from specc.frontend.program.training import TrainBlock
from specc.frontend.scope.scope import Context
from specc.frontend.scope.values import show_bytes
from specc.frontend.syntax import ast
from specc.ir import sizes
from specc.ir.graph import Node, topological
from specc.ir.types import element_bytes
from specc.ops.carry import Carry
from specc.ops.elementwise import Detach
from specc.ops.leaf import Input, Role
from specc.source import Span


def warn_of_signed_loss(context: Context, elaborated: Elaborated) -> None:
    """Warn about a loss in which errors of both signs cancel."""
    term = None if context.report.errors else cancelling(elaborated.losses)
    if term is not None and term.span is not None:
        context.report.warning(
            "signed-loss",
            f"positive and negative errors cancel in `{term.name}`, so the model cannot learn from"
            " its targets",
            term.span,
            help="`mse` and `mae` grow with every error; a `metric` may tell the sign of errors",
        )


MOST_BYTES = 2**37
"""The most bytes of all parameters in float32; training needs two to four times as much."""


def check_losses_reach(context: Context, elaborated: Elaborated, training: TrainBlock) -> None:
    """Report losses that have no gradient for any trained parameter."""
    trained = {each.path for each in training.updates}
    reached: set[Node] = set()
    waiting = [term.node for term in elaborated.losses]
    while waiting:
        node = waiting.pop()
        if node in reached or isinstance(node.op, Detach):
            continue
        reached.add(node)
        waiting += node.inputs
        if isinstance(node.op, Carry):  # the state from the previous step of a cell
            waiting.append(context.carries[node.op.label])
        if isinstance(node.op, Input) and node.op.role == Role.PARAM and node.op.label in trained:
            return
    first = elaborated.losses[0]
    assert first.span is not None, "a loss of the file has a location; please report this"
    context.error(
        "no-parameter",
        "no loss depends on a trained parameter",
        first.span,
        help="compare the model's output with a target: `loss mse(y, t)`",
    )


USUAL_BATCH = 4096


def check_memory(
    context: Context, elaborated: Elaborated, training: TrainBlock, block: ast.Train | None
) -> None:
    """Report a model, or a batch, that is too large for any machine."""
    counts = {path: each.type.elements for path, each in context.parameters.items()}
    known = {path: count for path, count in counts.items() if isinstance(count, int)}
    total = element_bytes("float") * sum(known.values())
    if total > MOST_BYTES:
        largest = context.parameters[max(known, key=known.__getitem__)]
        assert largest.span is not None, "a parameter has a location; please report this"
        context.error(
            "too-large",
            f"the parameters would take {show_bytes(total)}; at most {show_bytes(MOST_BYTES)} are"
            " possible",
            largest.span,
            help=(
                f"the largest is `{largest.path}` {sizes.show(largest.type.shape)},"
                f" {show_bytes(element_bytes('float') * known[largest.path])}"
            ),
        )
    batch = training.recipe.batch
    if batch <= USUAL_BATCH or context.report.errors:
        return
    nodes = topological(term.node for term in (*elaborated.losses, *elaborated.outputs))
    elements = [each.type.elements for each in nodes if each.type.batched]
    most = max((each for each in elements if isinstance(each, int)), default=0)
    taken = element_bytes("float") * most * batch
    if taken > MOST_BYTES and block is not None:
        place = next(
            (
                each.value.span
                for each in block.body
                if isinstance(each, ast.Setting) and each.name.text == "batch"
            ),
            head(block),
        )
        context.error(
            "too-large",
            f"a batch of {batch:,} examples would take {show_bytes(taken)} for one"
            f" value alone, which has {most:,} elements for each of them; at most"
            f" {show_bytes(MOST_BYTES)} are possible",
            place,
        )


def head(definition: ast.Model | ast.Train) -> Span:
    """Return the keyword of a definition, and its name."""
    if isinstance(definition, ast.Model):
        return definition.name.span
    return Span(definition.span.source, definition.span.start, definition.span.start + len("train"))
