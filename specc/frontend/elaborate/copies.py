"""Copies of a layer: with the same weights but no gradient, or with their moving mean.

    layer critic = dense(64) -> relu -> dense(1)
    layer judge  = fixed(critic)                   # gradients reach x, but not critic
    layer slow   = running(critic; rate = 0.005)   # weights that follow the weights of critic

A copy applies the stages of its original, with each parameter replaced: detached, or by a state
that `Program.averages` updates after each training step.
"""

from __future__ import annotations

from dataclasses import replace

from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.names import resolve
from specc.frontend.scope.frame import BodyFrame, LayerCopy, SharedLayer
from specc.frontend.scope.values import POISON, Poison, describe, is_number
from specc.frontend.syntax import ast
from specc.frontend.words.signatures import Primitive
from specc.ir.graph import Node, Origin, apply
from specc.ir.program import Average, Parameter, State
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast
from specc.ops.elementwise import Detach, select
from specc.ops.leaf import Input, Role, constant, leaf

WORDS = ("fixed", "running")


def copied(frame: BodyFrame, statement: ast.Layer) -> SharedLayer | Poison | None:
    """Return the copy that a layer is declared to be; None if it is not a copy."""
    stages = statement.stages
    call = stages[0]
    if len(stages) > 1 or not isinstance(call, ast.Call) or call.word.text not in WORDS:
        return None
    word = frame.scope.word(call.word.text)
    if word is None or not isinstance(word.definition, Primitive):
        return None  # a definition of the user with that name
    kind = call.word.text
    original = _original(frame, call, kind)
    if original is None:
        return POISON
    rate = _rate(frame, call) if kind == "running" else 0.0
    if rate is None:
        return POISON
    name = statement.name.text
    copy = LayerCopy(kind, original, frame.naming.within(name), rate)
    return replace(original, name=name, copy=copy)


def _original(frame: BodyFrame, call: ast.Call, kind: str) -> SharedLayer | None:
    """Return the layer that is copied; None after an error."""
    given = [each for each in (*call.inputs, *call.settings) if each.name is None]
    if len(given) != 1 or (kind == "fixed" and len(call.inputs) + len(call.settings) > 1):
        rate = "; rate = 0.005" if kind == "running" else ""
        frame.error(
            "wrong-arguments",
            f"`{kind}` copies one layer",
            call.span,
            help=f"write `layer copy = {kind}(tower{rate})`",
        )
        return None
    tree = given[0].value
    value = resolve(frame, tree) if isinstance(tree, ast.Path) else evaluate(frame, tree)
    if value is POISON:
        return None
    if not isinstance(value, SharedLayer):
        frame.error(
            "wrong-kind",
            f"`{kind}` copies a layer, not {describe(value)}",
            tree.span,
            help="declare a layer with a name: `layer tower = dense(64) -> relu`",
        )
        return None
    if value.copy is not None:
        frame.error(
            "wrong-kind",
            f"`{value.name}` is itself a copy",
            tree.span,
            help=f"copy its original: `{kind}({value.copy.original.name})`",
        )
        return None
    return value


def _rate(frame: BodyFrame, call: ast.Call) -> float | None:
    """Return the update rate of a moving mean; None after an error."""
    rate = 0.005
    for each in (*call.inputs, *call.settings):
        if each.name is None:
            continue
        if each.name.text != "rate":
            frame.error(
                "unknown-setting",
                f"`running` has no setting `{each.name.text}`",
                each.name.span,
                help="its setting is `rate: float > 0 <= 1 = 0.005`",
            )
            return None
        value = evaluate(frame, each.value)
        if value is POISON:
            return None
        if not is_number(value) or not 0 < value <= 1:
            frame.error(
                "bad-setting",
                f"`rate` must be a number above 0 and at most 1, not {describe(value)}",
                each.value.span,
            )
            return None
        rate = float(value)
    return rate


def copy_of(owner: SharedLayer | None) -> LayerCopy | None:
    """Return the copy that encloses a body, or None."""
    while owner is not None:
        if owner.copy is not None:
            return owner.copy
        namer = owner.frame.namer
        owner = namer.owner if namer is not None else None
    return None


def parameter(frame: BodyFrame, path: str) -> Node:
    """Return a parameter as the body sees it: itself, or replaced by a copy of its layer."""
    node = frame.context.leaves[path]
    copy = copy_of(frame.naming.owner)
    if copy is None:
        return node
    if copy.kind == "fixed":
        return apply(Detach(), node, origin=node.origin)
    parameter = frame.context.parameters[path]
    own = copy.path + path[len(copy.original.path) :]
    mean = leaf(Input(Role.STATE, own, parameter.type), node.origin)
    if own not in frame.context.states:
        frame.context.states[own] = State(
            own, parameter.type, parameter.initial, None, copy_span(frame)
        )
        frame.context.averages[own] = Average(own, path, constant(copy.rate))
    return mean


def copy_span(frame: BodyFrame):
    """Return the span of the declaration of a body's layer."""
    owner = frame.naming.owner
    return owner.statement.span if owner is not None else None


def state_path(frame: BodyFrame, name: str) -> str:
    """Return the path of a running statistic; a `running` copy has separate statistics."""
    path = frame.naming.within(name)
    copy = copy_of(frame.naming.owner)
    if copy is None or copy.kind == "fixed":
        return path
    return copy.path + path[len(copy.original.path) :]


def advanced(state: State, node: Node, origin: Origin) -> Node:
    """Return a state as the next use of its layer sees it: in training, already updated."""
    if state.next is None:
        return node
    mode: Node = leaf(Input(Role.MODE, "training", Type("bool")), origin)
    if state.type.shape:
        mode = apply(Broadcast(state.type.shape), mode)
    return select(mode, state.next, node)


def averages(parameters: list[Parameter], share: float) -> tuple[list[State], list[Average]]:
    """Return the moving means of parameters for evaluation: `average = 0.999`.

    mean <- mean + rate * (w - mean), with the rate (1 - share) / (1 - share^t) at step t = 1, 2,
    ..., so the initial weights do not contribute (as in Kingma and Ba, Adam, 2015).
    """
    from specc.ops.elementwise import add, div, sub
    from specc.ops.functions import power

    step = leaf(Input(Role.SCHEDULE, "step", Type("float")), Origin(name="step"))
    past = power(constant(share), add(step, 1.0))
    rate = div(1 - share, sub(1.0, past))
    states, found = [], []
    for each in parameters:
        path = f"{each.path}.average"
        states.append(State(path, each.type, each.initial, None, each.span))
        found.append(Average(path, each.path, rate))
    return states, found
