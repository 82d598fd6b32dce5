"""Cells: a formula for one time step, applied to all steps of a sequence.

    cell rnn(x: float[n]; units: int > 0) {
      state h: float[units] = 0
      let h2 = tanh(concat(x, h) -> dense(units))
      next h = h2
      return h2
    }

The body is walked once, for one time step, with its inputs and states as leaves. Then the formula
is lifted to all steps, with the step axis in front (`specc.ops.steps`). The leaves are replaced by
the sequence and by the states of the previous step, and `next` closes the cycle
(`specc.ops.carry`). A cell in the body of a cell runs one step in each step of the outer one, which
carries its states.
"""

from __future__ import annotations

from dataclasses import field, replace
from itertools import zip_longest

from specc.diagnostics import Label
from specc.frontend.elaborate import definitions
from specc.frontend.elaborate.dispatch import BoundCall, evaluate, gives_body
from specc.frontend.elaborate.patterns import declared_type
from specc.frontend.operators.arithmetic import as_kind, spread
from specc.frontend.scope import provenance
from specc.frontend.scope.errors import Misfit, OperandError
from specc.frontend.scope.frame import BodyFrame, callers, common_sequence
from specc.frontend.scope.values import (
    POISON,
    Given,
    Sequence,
    Several,
    Tensor,
    Value,
    describe,
    is_static,
)
from specc.frontend.syntax import ast
from specc.frontend.words.signatures import signature_of
from specc.ir import sizes
from specc.ir.graph import Node, Origin, apply, serving, topological
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast
from specc.ops.carry import Carry, varying
from specc.ops.elementwise import select
from specc.ops.leaf import Input, Role, leaf
from specc.ops.shape import Reshape, Slice
from specc.ops.steps import NoStep, lift
from specc.source import Span
from specc.system.records import dataclass


@dataclass(eq=False)
class _State:
    """A state of a cell: its leaf in the formula of one step, and its initial value."""

    statement: ast.State
    path: str
    type: Type
    leaf: Node
    initial: Node
    origin: Origin  # of the cell
    within: tuple[Sequence | None, ...]  # the axes that run over time steps, of the initial value
    next: Node | None = None


@dataclass(eq=False)
class _CellWalk:
    """The walk through the body of a cell."""

    given: dict[str, Given]  # initial states passed to the cell
    origin: Origin
    outer: _CellWalk | None  # of the cell in whose body this one stands
    over: str | None = None  # the sequence to whose steps it is applied
    leaves: dict[Node, Node] = field(default_factory=dict)  # leaf of one step to the whole sequence
    states: dict[str, _State] = field(default_factory=dict)
    joined: list[_State] = field(default_factory=list)  # the states of cells in the body
    returned: list[Tensor] | None = None

    @property
    def carried(self) -> list[_State]:
        return [*self.states.values(), *self.joined]

    def waits(self, node: Node) -> bool:
        """Return whether a value depends on an input or a state of a time step."""
        walk: _CellWalk | None = self
        own: set[Node] = set()
        while walk is not None:
            own.update(walk.leaves, (each.leaf for each in walk.carried))
            walk = walk.outer
        return any(each in own for each in topological([node]))


def _has_indices(value: Value) -> bool:
    return isinstance(value, Tensor) and bool(value.indices)


@gives_body(ast.Cell)
def cell(use: BoundCall) -> Value:
    """Return the values of a cell at every time step."""
    caller, frame, values, span = use.caller, use.frame, use.values, use.span
    definition = use.word.definition
    assert isinstance(definition, ast.Cell)
    named = zip(signature_of(definition).inputs, values, strict=False)
    first_states = {
        declared.name: each for declared, each in named if each is not None and declared.is_optional
    }
    given = [
        each
        for each in values
        if each is not None and isinstance(each.value, Tensor) and each not in first_states.values()
    ]
    name = definition.name.text
    try:
        tensors = [each.value for each in given if isinstance(each.value, Tensor)]
        sequence = common_sequence(tensors, allow_constants=True)
    except Misfit as error:
        help_ = "a cell reads another sequence as an axis of a value: `let m[i, u] = x[u, i]`"
        return caller.error(error.name, error.message, span, help=error.help or help_)
    indexed = next((each for each in given if _has_indices(each.value)), None)
    if indexed is not None:
        return caller.error(
            "not-yet",
            f"the cell `{name}` cannot run for each value of an index yet",
            indexed.span,
            help="apply it to the whole sequence, before or after the formula with indices",
        )
    outer = next((each.walk for each in callers(caller) if each.walk is not None), None)
    if sequence is None and outer is None:
        return caller.error(
            "wrong-kind",
            f"the cell `{name}` runs over a sequence, but this is"
            f" {describe(given[0].value) if given else 'no tensor'}",
            given[0].span if given else span,
            help=(
                "declare a sequence with `seq`: `seq time = 50`, `input x: float[time, 3]`; or"
                " repeat a value at every step with `along(time)`"
            ),
        )
    within = outer if sequence is None else None
    over = sequence.name if sequence is not None else outer.over if outer is not None else None
    walk = frame.walk = _CellWalk(first_states, frame.origin(span), within, over)
    frame.hidden &= {over}  # a formula of the body may run over another sequence
    frame.body = definition.body
    if sequence is None:
        return _one_step(caller, frame, definition, walk, span)
    for key, value in list(frame.names.items()):
        if key not in first_states and isinstance(value, Tensor) and value.sequence is not None:
            node = leaf(
                Input(Role.STEP, f"{frame.naming.path}.{key}", value.type), value.node.origin
            )
            walk.leaves[node] = value.node
            frame.names[key] = Tensor(node, value.provenance, within=value.within)
    first_layer = len(frame.context.layers)
    if not _statements(frame, caller, definition, walk):
        return POISON
    return _unrolled(caller, frame, walk, sequence, span, first_layer)


def _one_step(
    caller: BodyFrame, frame: BodyFrame, definition: ast.Cell, walk: _CellWalk, span: Span
) -> Value:
    """Return the values of a cell at one time step of the cell in whose body it stands."""
    if not _statements(frame, caller, definition, walk):
        return POISON
    assert walk.outer is not None and walk.returned, "a cell has a value; please report this"
    walk.outer.joined += walk.carried
    frame.context.joined += len(walk.carried)
    if len(walk.returned) > 1:
        return Several(tuple(walk.returned))
    now = [
        Tensor(
            each.next,
            provenance.Derivation(caller.location(span), name, each.type.shape),
            within=each.within,
        )
        for name, each in walk.states.items()
        if each.next is not None
    ]
    return replace(walk.returned[0], finals=tuple(now))


def _statements(frame: BodyFrame, caller: BodyFrame, definition: ast.Cell, walk: _CellWalk) -> bool:
    """Walk the statements. Return False after an error."""
    good = True
    nexts: dict[str, ast.Next] = {}
    for statement in definition.body:
        if walk.returned is not None:
            frame.error("misplaced", "nothing may follow `return`", statement.span)
            return False
        match statement:
            case ast.State():
                good = _state(frame, caller, statement, walk) and good
            case ast.Next():
                good = definitions.is_first(frame, statement, nexts) and good
                nexts[statement.name.text] = statement
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
                frame.error("misplaced", "this is not allowed in a cell", statement.span)
                good = False
    misspelled = set(nexts) - {
        each.name.text for each in definition.body if isinstance(each, ast.State)
    }
    for name, state in walk.states.items():
        if name not in nexts:
            good = False
            if not misspelled:
                frame.error(
                    "misplaced",
                    f"the state `{name}` has no `next`: it would never change",
                    state.statement.name.span,
                    help=f"write `next {name} = ...`",
                )
    if walk.returned is None:
        frame.error(
            "misplaced",
            f"`{definition.name.text}` has no `return`: it gives no value",
            definition.name.span,
        )
        good = False
    return good


def _returned(frame: BodyFrame, expression: ast.Expression) -> Tensor | None:
    value = evaluate(frame, expression)
    if value is POISON:
        return None
    if is_static(value):
        value = as_kind(frame, value, "float", expression.span)
    if not isinstance(value, Tensor):
        frame.error("wrong-kind", f"a cell returns tensors, not {describe(value)}", expression.span)
        return None
    return _of_one_step(value)


def _of_one_step(value: Tensor) -> Tensor:
    """Return a value of one step of the cell; a sequence of its own, over a memory, is an axis."""
    if value.sequence is None:
        return value
    within = (value.sequence, *(value.within or (None,) * len(value.shape)))
    return replace(value, sequence=None, within=within)


def _state(frame: BodyFrame, caller: BodyFrame, statement: ast.State, walk: _CellWalk) -> bool:
    """Declare `state h: float[units] = 0`; a call may pass another initial value."""
    name = statement.name
    given = walk.given.get(name.text)
    frame.names.pop(name.text, None)
    type_ = _state_type(frame, statement)
    start = None if type_ is None else _start(frame, caller, statement, type_, given, walk)
    if type_ is None or start is None:
        frame.declare(name, POISON)
        return False
    path = frame.naming.within(name.text)
    node = leaf(Input(Role.STEP, path, type_), frame.origin(statement.span))
    walk.states[name.text] = _State(
        statement, path, type_, node, start.node, walk.origin, start.within
    )
    hidden = frame.call is not None
    frame.declare(
        name,
        Tensor(
            node,
            provenance.Derivation(
                frame.location(statement.span), name.text, type_.shape, hidden=hidden
            ),
            within=start.within,
        ),
    )
    return True


def _state_type(frame: BodyFrame, statement: ast.State) -> Type | None:
    name = statement.name
    if statement.type is None:
        frame.error(
            "wrong-kind",
            f"the state `{name.text}` needs a type",
            name.span,
            help=f"write `state {name.text}: float[...] = ...`",
        )
        return None
    type_ = declared_type(frame, statement.type, batched=True)
    if type_ is not None and type_.kind != "float":
        frame.error("wrong-kind", "a state must have the type `float`", statement.type.span)
        return None
    return type_


def _start(
    frame: BodyFrame,
    caller: BodyFrame,
    statement: ast.State,
    type_: Type,
    given: Given | None,
    walk: _CellWalk,
) -> Tensor | None:
    """Return the initial value of a state: the declared one, or the one passed by the call."""
    name = statement.name.text
    value = given.value if given is not None else evaluate(frame, statement.value)
    at, place = (caller, given.span) if given is not None else (frame, statement.value.span)
    if value is POISON:
        return None
    if is_static(value):
        value = as_kind(frame, value, "float", place)
    help_ = None
    if not isinstance(value, Tensor) or value.type.kind != "float":
        help_ = "use a constant, a parameter, or a value of the example"
    elif value.sequence is not None and value.sequence.name == walk.over:
        help_ = "take one step of a sequence with `last(x)` or `first(x)`"
    elif walk.waits(value.node):
        at.error(
            "wrong-kind",
            f"the initial value of `{name}` cannot depend on a time step",
            place,
            help=f"pass it when you apply the cell: `({name}=first(x); ...)`"
            if given is None
            else f"the state is kept from step to step: leave `{name}` out, or take a parameter",
        )
        return None
    if help_ is not None or not isinstance(value, Tensor):
        at.error(
            "wrong-kind",
            f"the state `{name}` cannot be initialized to {describe(value)}",
            place,
            help=help_,
        )
        return None
    try:
        return spread(frame, _of_one_step(value), type_.shape, place)
    except OperandError as error:
        what = f"the state `{name}`" + (f" of `{frame.definition.name.text}`" if given else "")
        label = None if frame.call else statement.name.span
        _differs(at, error, what, "is initialized to", label, type_, value, place)
        return None


def _differs(
    frame: BodyFrame,
    error: OperandError,
    what: str,
    verb: str,
    declared: Span | None,
    type_: Type,
    value: Tensor,
    place: Span,
) -> None:
    """Report a value whose shape differs from its state's."""
    shape = sizes.show(type_.shape)
    note = provenance.story(f"`{provenance.excerpt(place, 32)}`", value.shape, value.provenance)
    frame.error(
        error.name,
        f"{what} is {shape}, but {verb} {sizes.show(value.shape)}",
        place,
        labels=[Label(declared, shape)] if declared else [],
        notes=[note] if note else [],
    )


def _next(frame: BodyFrame, statement: ast.Next, walk: _CellWalk) -> bool:
    """Set the value of a state at the next step: `next h = h2`."""
    name = statement.name.text
    value = evaluate(frame, statement.value)
    state = walk.states.get(name)
    if state is None:
        if frame.names.get(name) is not POISON:
            known = ", ".join(f"`{each}`" for each in walk.states)
            help_ = (
                f"its states: {known}" if known else f"declare it: `state {name}: float[...] = 0`"
            )
            frame.error(
                "unknown-name", f"the cell has no state `{name}`", statement.name.span, help=help_
            )
        return False
    if value is POISON:
        return False
    span = statement.value.span
    if is_static(value):
        value = as_kind(frame, value, "float", span)
    if not isinstance(value, Tensor) or value.type.kind != "float":
        frame.error(
            "wrong-kind",
            f"the state `{name}` cannot become {describe(value)}",
            span,
            help="a state must have the type `float`",
        )
        return False
    try:
        following = spread(frame, _of_one_step(value), state.type.shape, span)
    except OperandError as error:
        _differs(
            frame,
            error,
            f"the state `{name}`",
            "becomes",
            state.statement.name.span,
            state.type,
            value,
            span,
        )
        return False
    for each, own in zip_longest(following.within, state.within):
        if each is not None and each.mask is not None and each is not own:
            frame.index_error(
                f"an axis of the new value of `{name}` runs over `{each.name}`, whose length"
                " varies, and that of its initial value does not",
                span,
                help=f"pass an initial value over `{each.name}`: `let start[u] = 0 * x[u, 0]`",
            )
            return False
    state.next = following.node
    return True


def _unrolled(
    caller: BodyFrame,
    frame: BodyFrame,
    walk: _CellWalk,
    sequence: Sequence,
    span: Span,
    first_layer: int,
) -> Value:
    """Lift the values of one step to all steps, and connect the states to the previous step.

    The layers that the cell's body has listed, from `first_layer` on, are lifted too.
    """
    context, size = frame.context, sequence.size
    labels: list[str] = []
    sequences = dict(walk.leaves)
    for state in walk.carried:
        labels.append(context.carry_label(state.path, labels))
        op = Carry(labels[-1], size, state.type.shape)
        origin = replace(state.origin, name=f"{state.statement.name.text} before")
        sequences[state.leaf] = apply(op, state.initial, origin=origin)
    nexts = [state.next for state in walk.carried if state.next is not None]
    returned = walk.returned or []
    layers = context.layers
    inner = [at for at in range(first_layer, len(layers)) if walk.waits(layers[at].node)]
    roots = [*nexts, *(each.node for each in returned), *(layers[at].node for at in inner)]
    try:
        lifted = lift(roots, sequences, size, in_loop=True)
    except NoStep as error:
        return _of_the_batch(frame, error.node)
    for path, running in context.states.items():
        if running.next is not None and walk.waits(running.next):
            return _of_the_batch(
                frame, running.next, f" (its state `{path}` changes with every step)"
            )
    finals = []
    for state, label, node in zip(walk.carried, labels, lifted, strict=False):
        name, node = state.statement.name.text, varying(node)
        origin = replace(state.origin, name=name)
        if sequence.mask is not None:
            shape = (size, *state.type.shape)
            going = (
                apply(Broadcast(shape, (0,)), sequence.mask) if len(shape) > 1 else sequence.mask
            )
            with serving(origin):
                node = select(going, node, sequences[state.leaf])
        context.carries[label] = node
        if sequence.begin is not None:
            context.streams[label] = sequence.begin
        if state not in walk.states.values():
            continue  # of a cell in the body
        last = apply(Slice(0, size - 1, 1), node, origin=origin)
        final = apply(Reshape(state.type.shape), last, origin=origin)
        step = provenance.Derivation(caller.location(span), name, state.type.shape)
        finals.append(Tensor(final, step, within=state.within))
    for at, node in zip(inner, lifted[len(nexts) + len(returned) :], strict=True):
        layers[at] = replace(layers[at], node=node, sequence=sequence.name)
    results = []
    for each, node in zip(returned, lifted[len(nexts) :], strict=False):
        results.append(Tensor(node, each.provenance, sequence, within=each.within))
    if len(results) > 1:
        return Several(tuple(results))
    return replace(results[0], finals=tuple(finals))


def _of_the_batch(frame: BodyFrame, node: Node, why: str = "") -> Value:
    """Report an operation over the whole batch, which a cell cannot do."""
    place = node.origin.span
    assert place is not None, "a node of the user's has a place; please report this"
    return frame.error(
        "not-yet",
        f"`{provenance.excerpt(place, 32)}` reads the whole batch{why}, which a cell cannot do yet",
        place,
        help="apply it to the sequence, before or after the cell",
    )
