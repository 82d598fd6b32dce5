"""Cells: a formula for one step, carried over all steps of a sequence.

    cell rnn(x: float[n]; units: int > 0) {
      state h: float[units] = 0
      let h2 = tanh(concat(x, h) -> dense(units))
      next h = h2
      return h2
    }

The body is walked once, for one step: its inputs and states are leaves. Then the formula gets the axis
of the steps in front (`specc.ops.steps`), the leaves become the sequence and what the step before has
left, and `next` closes the circle (`specc.ops.carry`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

from specc.diagnostics import Label
from specc.frontend import ast, definitions, expressions, trail
from specc.frontend.arithmetic import as_kind, spread
from specc.frontend.patterns import declared_type
from specc.frontend.scope import Frame, Mistake, Misfit, common_sequence
from specc.frontend.values import POISON, Given, Sequence, Several, Tensor, Value, describe, is_static
from specc.ir import sizes
from specc.ir.graph import Node, apply
from specc.ir.op import ShapeError
from specc.ir.types import Type
from specc.ops.carry import Carry, varying
from specc.ops.elementwise import select
from specc.ops.leaf import Input, leaf
from specc.ops.shape import Broadcast, Reshape, Slice
from specc.ops.steps import lift
from specc.source import Span


@dataclass(eq=False)
class _State:
    """A state of a cell: its leaf in the formula of one step, and how it begins."""

    statement: ast.State
    type: Type
    leaf: Node
    initial: Node
    next: Node | None = None


@dataclass(eq=False)
class _Walk:
    """A body that is being walked."""

    states: dict[str, _State] = field(default_factory=dict)
    leaves: dict[Node, Node] = field(default_factory=dict)  # leaf of one step -> the whole sequence
    returned: list[Tensor] | None = None


def body(caller: Frame, frame: Frame, definition: ast.Cell, values: list[Given | None],
         span: Span) -> Value:
    """The values of a cell at every step."""
    given = [each for each in values if each is not None and isinstance(each.value, Tensor)]
    name = definition.name.text
    try:
        sequence = common_sequence([each.value for each in given], allow_constants=True)
    except Misfit as mistake:
        return caller.error(mistake.name, mistake.message, span, help=mistake.help)
    if sequence is None:
        what = describe(given[0].value) if given else "no tensor"
        return caller.error(
            "wrong-kind", f"the cell `{name}` runs over a sequence, and this is {what}",
            given[0].span if given else span,
            help="a sequence has an axis that `seq` names: `seq time = 50`, `input x: float[time, 3]`;"
            " `along(time)` gives one value to every step",
        )  # fmt: skip
    walk = _Walk()
    for key, value in list(frame.names.items()):
        if isinstance(value, Tensor) and value.sequence is not None:
            node = leaf(Input("step", f"{frame.namer.path}.{key}", value.type), value.node.origin)
            walk.leaves[node] = value.node
            frame.names[key] = Tensor(node, value.trail)
    frame.body = definition.body
    if not _statements(frame, definition, walk):
        return POISON
    return _unrolled(caller, frame, walk, sequence, span)


def _statements(frame: Frame, definition: ast.Cell, walk: _Walk) -> bool:
    """Walks the statements; False after a mistake."""
    good = True
    nexts: dict[str, ast.Next] = {}
    for statement in definition.body:
        if walk.returned is not None:
            frame.error("misplaced", "nothing may follow `return`", statement.span)
            return False
        match statement:
            case ast.State():
                good = _state(frame, statement, walk) and good
            case ast.Next():
                name = statement.name.text
                if name in nexts:
                    frame.error("duplicate-name", f"`next {name}` is already there", statement.name.span,
                                labels=[Label(nexts[name].name.span, "first here")])  # fmt: skip
                    good = False
                nexts[name] = statement
                good = _next(frame, statement, walk) and good
            case ast.Return():
                returned = [_returned(frame, each) for each in statement.values]
                good = good and None not in returned
                walk.returned = [each for each in returned if each is not None]
            case ast.Let() | ast.Layer() | ast.Param():
                definitions.STATEMENTS[type(statement)](frame, statement)
            case ast.Broken():
                definitions.broken(frame, statement)
                good = False
            case _:
                frame.error("misplaced", "this may not stand in a cell", statement.span)
                good = False
    for name, state in walk.states.items():
        if name not in nexts:
            frame.error("misplaced", f"the state `{name}` has no `next`: it would never change",
                        state.statement.name.span)  # fmt: skip
            good = False
    if walk.returned is None:
        frame.error("misplaced", f"`{definition.name.text}` has no `return`: it gives no value",
                    definition.name.span)  # fmt: skip
        good = False
    return good


def _returned(frame: Frame, expression: ast.Expression) -> Tensor | None:
    value = expressions.evaluate(frame, expression)
    if value is POISON:
        return None
    if is_static(value):
        value = as_kind(frame, value, "float", expression.span)
    if not isinstance(value, Tensor):
        frame.error("wrong-kind", f"a cell gives tensors, not {describe(value)}", expression.span)
        return None
    return value


def _state(frame: Frame, statement: ast.State, walk: _Walk) -> bool:
    """`state h: float[units] = 0`; the use of the cell may give another start."""
    name = statement.name
    given = frame.names.get(name.text) if name.text not in frame.places else None
    frame.names.pop(name.text, None)
    if statement.type is None:
        frame.error("wrong-kind", f"the state `{name.text}` needs a type", name.span,
                    help=f"write `state {name.text}: float[...] = ...`")  # fmt: skip
        frame.declare(name, POISON)
        return False
    type_ = declared_type(frame, statement.type, batched=True)
    if type_ is not None and type_.kind != "float":
        frame.error("wrong-kind", "a state is of type `float`", statement.type.span)
        type_ = None
    start = given if isinstance(given, Tensor) else expressions.evaluate(frame, statement.value)
    if type_ is None or start is POISON:
        frame.declare(name, POISON)
        return False
    if is_static(start):
        start = as_kind(frame, start, "float", statement.value.span)
    place = statement.value.span
    if not isinstance(start, Tensor) or start.type.kind != "float" or start.node in walk.leaves:
        frame.error("wrong-kind", f"the state `{name.text}` cannot begin as {describe(start)}", place,
                    help="it begins before the first step: as a number, a parameter, or a value of"
                    " the example")  # fmt: skip
        frame.declare(name, POISON)
        return False
    try:
        start = spread(frame, start, type_.shape, place)
    except Mistake as mistake:
        frame.error(mistake.name, f"the state `{name.text}`: {mistake.message}", place)
        frame.declare(name, POISON)
        return False
    path = frame.namer.within(name.text)
    node = leaf(Input("step", path, type_), frame.origin(statement.span))
    walk.states[name.text] = _State(statement, type_, node, start.node)
    hidden = frame.call is not None
    frame.declare(name, Tensor(node, trail.Step(frame.place(statement.span), name.text, type_.shape,
                                                hidden=hidden)))  # fmt: skip
    return True


def _next(frame: Frame, statement: ast.Next, walk: _Walk) -> bool:
    """`next h = h2`: h at the next step."""
    name = statement.name.text
    value = expressions.evaluate(frame, statement.value)
    state = walk.states.get(name)
    if state is None:
        if frame.names.get(name) is not POISON:
            frame.error("unknown-name", f"there is no state `{name}`", statement.name.span)
        return False
    if value is POISON:
        return False
    span = statement.value.span
    if is_static(value):
        value = as_kind(frame, value, "float", span)
    if not isinstance(value, Tensor) or value.type.kind != "float":
        frame.error("wrong-kind", f"`next {name}` is {describe(value)}", span)
        return False
    try:
        state.next = spread(frame, value, state.type.shape, span).node
    except Mistake as mistake:
        frame.error(mistake.name, f"`next {name}`: {mistake.message}", span)
        return False
    return True


def _unrolled(caller: Frame, frame: Frame, walk: _Walk, sequence: Sequence, span: Span) -> Value:
    """The values of one step for all steps, with the states tied to what the step before left."""
    context, size = frame.context, sequence.size
    origin = frame.origin(span)
    labels = {}
    sequences = dict(walk.leaves)
    for name, state in walk.states.items():
        label = context.carry_label(frame.namer.within(name))
        labels[name] = label
        op = Carry(label, size, state.type.shape)
        sequences[state.leaf] = apply(op, state.initial, origin=replace(origin, name=f"{name} before"))
    nexts = [state.next for state in walk.states.values()]
    try:
        lifted = lift([*nexts, *(each.node for each in walk.returned)], sequences, size, in_loop=True)
    except ShapeError as error:
        return caller.error("not-yet", f"within a cell, {error.message}", span)
    finals = []
    for (name, state), node in zip(walk.states.items(), lifted, strict=False):
        node = varying(node)
        if sequence.mask is not None:
            shape = (size, *state.type.shape)
            going = apply(Broadcast(shape, (0,)), sequence.mask) if len(shape) > 1 else sequence.mask
            node = select(going, node, sequences[state.leaf])
        context.carries[labels[name]] = node
        if sequence.begin is not None:
            context.streams[labels[name]] = sequence.begin
        last = apply(Slice(0, size - 1, 1), node, origin=replace(origin, name=name))
        final = apply(Reshape(state.type.shape), last, origin=replace(origin, name=name))
        finals.append(Tensor(final, trail.Step(caller.place(span), name, state.type.shape)))
    results = []
    for each, node in zip(walk.returned, lifted[len(nexts) :], strict=True):
        results.append(Tensor(node, each.trail, sequence))
    if len(results) > 1:
        return Several(tuple(results))
    return replace(results[0], finals=tuple(finals))
