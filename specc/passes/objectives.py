"""Gradients of several objectives: each optimizer's parameters are trained on its own losses.

    by_objective(graph, program, leaves, in_turn=True)    # {"critic.dense1.weight": d, ...}

Within a step the objectives take turns, as in Goodfellow et al., Generative adversarial networks,
2014: an objective sees the weights that the updates before it have left, and draws random numbers
of its own. The graph of its loss is written a second time over those weights. So is that of all
losses for rules that take the gradient at another place, `gradient_at(v)`, with the same random
numbers.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.program import Objective, Program
from specc.ops.broadcast import broadcast_scalar
from specc.ops.carry import Carry, closed, following
from specc.ops.elementwise import Detach, add
from specc.ops.leaf import Input, Role
from specc.ops.random import Uniform
from specc.passes.autodiff import gradients
from specc.passes.clip import clipped


def by_objective(
    graph: Graph, program: Program, leaves: Mapping[str, Node], in_turn: bool
) -> tuple[dict[str, Node], dict[str, Node]]:
    """Return the gradient of each parameter that is trained, and more nodes "carry".

    `leaves` are the inputs of the parameters. Unless the objectives take turns (`in_turn`), all of
    them see the weights as they are.
    """
    found: dict[str, Node] = {}
    more: dict[str, Node] = {}
    moved: dict[str, Node] = {}
    updates = {each.path: each.next for each in program.updates}
    for number, objective in enumerate(program.objectives):
        seen = _written_again(_loss(graph, objective), number, moved, more, in_turn)
        wanted = [leaves[path] for path in objective.paths]
        derived, through_time = gradients(seen.outputs["loss"], wanted, following(seen))
        more.update({**following(seen), **through_time})
        found.update(zip(objective.paths, derived, strict=True))
        if in_turn and number + 1 < len(program.objectives):
            own = clipped({path: found[path] for path in objective.paths}, program.recipe)
            after = updated({path: updates[path] for path in objective.paths}, own)
            moved.update({path: apply(Detach(), node) for path, node in after.items()})
    return found, more


def at_other_places(
    graph: Graph, program: Program, gradient: Mapping[str, Node], loops: Mapping[str, Node]
) -> tuple[dict[str, Node], dict[str, Node]]:
    """Return the gradients that rules take with `gradient_at`, and more nodes "carry".

    All these rules move their parameters at once, by the gradients as they are, not clipped; other
    parameters stay. `loops` are the nodes "carry" of the graph and of its gradients.
    """
    places = {each.path: each.again for each in program.updates if each.again is not None}
    if not places:
        return {}, {}
    moved = {path: apply(Detach(), node) for path, node in updated(places, gradient).items()}
    loss = closed({"loss": graph.outputs["loss"]}, following(graph))
    seen = _written_again(loss, 1, moved, loops, in_turn=False)
    found, through_time = gradients(seen.outputs["loss"], [*moved.values()], following(seen))
    return dict(zip(moved, found, strict=True)), {**following(seen), **through_time}


def updated(
    updates: Mapping[str, Node],
    gradient: Mapping[str, Node],
    again: Mapping[str, Node] = {},
) -> dict[str, Node]:
    """Return what the rules of optimizers give, with the gradients in their places.

    `again` are those at other values of the parameters.
    """

    def insert(node: Node) -> Node:
        op = node.op
        if isinstance(op, Input) and op.role in (Role.GRADIENT, Role.GRADIENTS, Role.AGAIN):
            given = again if op.role == Role.AGAIN else gradient
            return broadcast_scalar(given[op.label], node.type.shape)
        return node

    return dict(rewrite(Graph(dict(updates)), insert).outputs)


def _loss(graph: Graph, objective: Objective) -> Graph:
    """Return the graph of the sum of an objective's losses."""
    total: Node | None = None
    for name in objective.losses:
        term = graph.outputs[f"loss.{name}"]
        total = term if total is None else add(total, term)
    assert total is not None, "an objective has a loss; please report this"
    return closed({"loss": total}, following(graph))


def _written_again(
    graph: Graph,
    number: int,
    moved: Mapping[str, Node],
    loops: Mapping[str, Node],
    in_turn: bool,
) -> Graph:
    """Return the graph over weights that have `moved`, with loops and random numbers of its own.

    The first objective has the graph as it is. `loops` are the nodes "carry" that `moved` needs.
    """
    if not number:
        return graph

    def rule(node: Node) -> Node:
        op = node.op
        if isinstance(op, Input) and op.role == Role.PARAM:
            return moved.get(op.label, node)
        if isinstance(op, Carry) or (isinstance(op, Uniform) and in_turn):
            again = replace(op, label=f"{op.label}'{number}")
            return Node(again, node.inputs, node.type, node.origin)
        return node

    new = rewrite(graph, rule)
    renamed = {f"{label}'{number}": node for label, node in following(new).items()}
    return closed({"loss": new.outputs["loss"]}, {**loops, **renamed})
