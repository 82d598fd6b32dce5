"""Copies of a layer: the same weights without a gradient, or their moving mean.

    layer critic = dense(64) -> relu -> dense(1)
    layer judge  = fixed(critic)                   # judge(x) trains x, and not critic
    layer slow   = running(critic; rate = 0.005)   # weights that follow those of critic

A copy applies the stages of its original. Each parameter that they ask for is seen through the
copy: detached, or as a state that `Program.averages` moves after each step.
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
    """Return the copy that a layer is declared to be; None of a layer that is none."""
    stages = statement.stages
    call = stages[0]
    if len(stages) > 1 or not isinstance(call, ast.Call) or call.word.text not in WORDS:
        return None
    word = frame.scope.word(call.word.text)
    if word is None or not isinstance(word.definition, Primitive):
        return None  # the user's own
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
    """Return the layer that is copied; None after a mistake."""
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
            help="a layer with a name is declared so: `layer tower = dense(64) -> relu`",
        )
        return None
    if value.copy is not None:
        frame.error(
            "wrong-kind",
            f"`{value.name}` is a copy itself",
            tree.span,
            help=f"copy its original: `{kind}({value.copy.original.name})`",
        )
        return None
    return value


def _rate(frame: BodyFrame, call: ast.Call) -> float | None:
    """Return the share of the way that a moving mean goes in a step; None after a mistake."""
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
                f"`rate` is a number above 0 and at most 1, not {describe(value)}",
                each.value.span,
            )
            return None
        rate = float(value)
    return rate


def copy_of(owner: SharedLayer | None) -> LayerCopy | None:
    """Return the copy that the parameters of a body belong to, if a layer around it is one."""
    while owner is not None:
        if owner.copy is not None:
            return owner.copy
        namer = owner.frame.namer
        owner = namer.owner if namer is not None else None
    return None


def parameter(frame: BodyFrame, path: str) -> Node:
    """Return a parameter as the body sees it: itself, or through a copy of its layer."""
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
    """Return where the layer of a body is declared."""
    owner = frame.naming.owner
    return owner.statement.span if owner is not None else None


def state_path(frame: BodyFrame, name: str) -> str:
    """Return the path of a running state: a moving mean has statistics of its own."""
    path = frame.naming.within(name)
    copy = copy_of(frame.naming.owner)
    if copy is None or copy.kind == "fixed":
        return path
    return copy.path + path[len(copy.original.path) :]


def advanced(state: State, node: Node, origin: Origin) -> Node:
    """Return a state as a further use of its layer sees it: while training, what the use before
    has left."""
    if state.next is None:
        return node
    mode: Node = leaf(Input(Role.MODE, "training", Type("bool")), origin)
    if state.type.shape:
        mode = apply(Broadcast(state.type.shape), mode)
    return select(mode, state.next, node)


def averages(parameters: list[Parameter], share: float) -> tuple[list[State], list[Average]]:
    """Return the moving means of parameters, for evaluation: those of `average = 0.999`.

    mean <- mean + rate * (w - mean), with the rate (1 - share) / (1 - share^t) at step t = 1, 2,
    ..., so that the weights before the first step do not count (as in Kingma and Ba, Adam, 2015).
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
