"""Gradients of several objectives: each optimizer's parameters are trained on its own losses.

    found = by_objective(graph, program, leaves, in_turn=True)
    found.gradients     # {"critic.dense1.weight": d, ...}

Within a step the objectives take turns, as in Goodfellow et al., Generative adversarial networks,
2014: an objective sees the weights that the updates before it have left, and draws random numbers
of its own. The graph of its loss is written a second time over those weights. So it is for rules
that take the gradient at another place, `gradient_at(v)`, with the same random numbers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import NamedTuple

from specc.ir.graph import Graph, Node, apply, rewrite
from specc.ir.names import OutputKind, kind_of
from specc.ir.program import Objective, Program, Update
from specc.ops.broadcast import broadcast_scalar
from specc.ops.carry import Carry, closed, following
from specc.ops.elementwise import Detach, add
from specc.ops.leaf import Input, Role
from specc.ops.random import Uniform
from specc.passes.autodiff import gradients
from specc.passes.clip import clipped
from specc.recipe import Recipe


class Differentiated(NamedTuple):
    """Gradients by the paths of parameters, those of `gradient_at`, and more nodes "carry"."""

    gradients: dict[str, Node]
    again: dict[str, Node]
    loops: dict[str, Node]


class AtOtherPlaces(NamedTuple):
    """Gradients of `gradient_at`, more nodes "carry", and what streams leave for the next batch."""

    gradients: dict[str, Node]
    loops: dict[str, Node]
    slots: dict[str, Node]


def by_objective(
    graph: Graph, program: Program, leaves: Mapping[str, Node], in_turn: bool
) -> Differentiated:
    """Return the gradient of each parameter that is trained.

    `leaves` are the inputs of the parameters. Unless the objectives take turns (`in_turn`), all of
    them see the weights as they are, and no rule takes a gradient a second time.
    """
    found: dict[str, Node] = {}
    again: dict[str, Node] = {}
    loops: dict[str, Node] = {}
    moved: dict[str, Node] = {}
    for number, objective in enumerate(program.objectives):
        loss = of_losses(graph, objective)
        turn = str(number) if number else ""
        draws = turn if in_turn else ""
        seen = _written_again(loss, turn, draws, moved, loops)
        wanted = [leaves[path] for path in objective.paths]
        derived, through_time = gradients(seen.outputs["loss"], wanted, following(seen))
        loops.update({**following(seen), **through_time})
        own = dict(zip(objective.paths, derived, strict=True))
        found.update(own)
        if not in_turn:
            continue
        updates = [each for each in program.updates if each.path in own]
        second = at_other_places(loss, updates, own, loops, turn, draws, moved)
        again.update(second.gradients)
        loops.update(second.loops)
        if number + 1 < len(program.objectives):
            after = _after_step(updates, own, second.gradients, program.recipe)
            moved.update({path: apply(Detach(), node) for path, node in after.items()})
    return Differentiated(found, again, loops)


def at_other_places(
    graph: Graph,
    updates: Iterable[Update],
    gradient: Mapping[str, Node],
    loops: Mapping[str, Node],
    turn: str = "",
    draws: str = "",
    moved: Mapping[str, Node] = {},
) -> AtOtherPlaces:
    """Return the gradients that rules take with `gradient_at`.

    All these rules move their parameters at once, by the gradients as they are, not clipped; other
    parameters stay, or are where they have `moved`. `loops` are the nodes "carry" of the graph and
    of its gradients. `turn` and `draws` tell this evaluation from those of other objectives.
    """
    rules = {each.path: each.again for each in updates if each.again is not None}
    if not rules:
        return AtOtherPlaces({}, {}, {})
    places = {path: apply(Detach(), node) for path, node in updated(rules, gradient).items()}
    kept = {name: node for name, node in graph.outputs.items() if _is_evaluated_again(name)}
    whole = closed(kept, following(graph))
    seen = _written_again(whole, f"{turn}again", draws, {**moved, **places}, loops)
    found, through_time = gradients(seen.outputs["loss"], [*places.values()], following(seen))
    slots = {name: seen.outputs[name] for name in kept if name != "loss"}
    again = dict(zip(places, found, strict=True))
    return AtOtherPlaces(again, {**following(seen), **through_time}, slots)


def _is_evaluated_again(name: str) -> bool:
    return name == "loss" or kind_of(name) == OutputKind.SLOT


def _after_step(
    updates: Iterable[Update],
    gradient: Mapping[str, Node],
    again: Mapping[str, Node],
    recipe: Recipe,
) -> dict[str, Node]:
    """Return the values of some parameters after the step."""
    bounded = clipped({**gradient, **again}, recipe)
    first = {path: gradient[path] if path in again else d for path, d in bounded.items()}
    return updated({each.path: each.next for each in updates}, first, bounded)


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


def of_losses(graph: Graph, objective: Objective) -> Graph:
    """Return the graph of the sum of an objective's losses."""
    total: Node | None = None
    for name in objective.losses:
        term = graph.outputs[f"loss.{name}"]
        total = term if total is None else add(total, term)
    assert total is not None, "an objective has a loss; please report this"
    return closed({"loss": total}, following(graph))


def _written_again(
    graph: Graph,
    turn: str,
    draws: str,
    moved: Mapping[str, Node],
    loops: Mapping[str, Node],
) -> Graph:
    """Return the graph over weights that have `moved`, with loops of its own, named by the `turn`.

    Without a `turn` it is the graph as it is. With `draws` it has random numbers of its own.
    `loops` are the nodes "carry" that `moved` needs.
    """
    if not turn:
        return graph

    changed = set(moved.values())

    def rule(node: Node) -> Node:
        op = node.op
        if isinstance(op, Input) and op.role == Role.PARAM:
            return moved.get(op.label, node)
        if isinstance(op, Carry) or (isinstance(op, Uniform) and draws):
            suffix = turn if isinstance(op, Carry) else draws
            op = replace(op, label=f"{op.label}'{suffix}")
        elif changed.isdisjoint(node.inputs):
            return node
        made = Node(op, node.inputs, node.type, replace(node.origin, again=True))
        changed.add(made)
        return made

    new = rewrite(graph, rule)
    renamed = {f"{label}'{turn}": node for label, node in following(new).items()}
    outputs = {
        name: node for name, node in new.outputs.items() if kind_of(name) != OutputKind.CARRY
    }
    return closed(outputs, {**loops, **renamed})
