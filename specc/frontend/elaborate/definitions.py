"""Bodies of definitions, and the statements that models and blocks share: let, layer, param, state.

value(frame, block)      # walks the statements, and returns the value of `return`
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any

from specc.diagnostics import Label
from specc.frontend.elaborate import copies
from specc.frontend.elaborate.dispatch import BoundCall, evaluate, gives_body
from specc.frontend.elaborate.indices import let_with_indices
from specc.frontend.elaborate.initial import chosen, initial_value
from specc.frontend.elaborate.patterns import declared_type, sequence_name
from specc.frontend.operators.arithmetic import as_kind, spread
from specc.frontend.scope import provenance
from specc.frontend.scope.errors import OperandError
from specc.frontend.scope.frame import BodyFrame, SharedLayer, callers, name_result
from specc.frontend.scope.values import (
    POISON,
    Sequence,
    Several,
    Tensor,
    Value,
    describe,
    is_static,
)
from specc.frontend.syntax import ast
from specc.ir import sizes
from specc.ir.program import Parameter, State
from specc.ir.types import Type
from specc.ops.leaf import Input, Role, leaf
from specc.ops.peers import BATCH


@gives_body(ast.Fn, ast.Block)
def written(use: BoundCall) -> Value:
    """Return the value of a body written in the language: a formula, or statements."""
    definition = use.word.definition
    assert isinstance(definition, ast.Fn | ast.Block)
    return value(use.frame, definition)


def value(frame: BodyFrame, definition: ast.Fn | ast.Block) -> Value:
    """Return the value of a definition whose inputs and settings are bound in `frame`."""
    if isinstance(definition, ast.Fn) and definition.value is not None:
        return evaluate(frame, definition.value)
    result: Value = POISON
    returned = False
    frame.body = definition.body or ()
    for statement in frame.body:
        if returned:
            return frame.error("misplaced", "nothing may follow `return`", statement.span)
        if isinstance(statement, ast.Return):
            values = tuple(evaluate(frame, each) for each in statement.values)
            result = values[0] if len(values) == 1 else Several(values)
            if any(each is POISON for each in values):
                result = POISON
            returned = True
        elif (rule := STATEMENTS.get(type(statement))) is not None:
            rule(frame, statement)
        elif isinstance(statement, ast.Broken):
            broken(frame, statement)
            returned = returned or statement.keyword == "return"
        elif not isinstance(statement, ast.Next):
            frame.error("misplaced", f"this is not allowed in a {frame.kind}", statement.span)
    if isinstance(definition, ast.Block):
        _advance(frame, definition)
    if not returned:
        return frame.error(
            "misplaced",
            f"`{definition.name.text}` has no `return`: it gives no value",
            definition.name.span,
        )
    return result


def broken(frame: BodyFrame, statement: ast.Broken) -> None:
    """Declare the names of a statement with a syntax error, so that their uses are not reported."""
    for name in statement.names:
        frame.names.setdefault(name.text, POISON)
        frame.spans.setdefault(name.text, name.span)


def let(frame: BodyFrame, statement: ast.Let) -> None:
    """Evaluate `let a = x` or `let a, b = split(x; 2)`."""
    if statement.indices:
        let_with_indices(frame, statement)
        return
    value = evaluate(frame, statement.value)
    names = statement.names
    if len(names) == 1:
        if isinstance(value, Tensor) and frame.call is None:
            name_result(value.node, names[0].text)
        frame.declare(names[0], value)
        return
    items: tuple[Value, ...] = (POISON,) * len(names)
    if isinstance(value, Tensor) and value.finals:
        # the values of a cell at every step, followed by its last states
        value = Several((replace(value, finals=()), *value.finals))
    if isinstance(value, Several) and len(value.items) == len(names):
        items = value.items
    elif value is not POISON:
        help_ = None
        if isinstance(value, Tensor) and value.sequence is not None:
            help_ = (
                "only a cell also returns its last states: `let hs, h = x -> gru(64)`, and then `hs"
                " -> ...`"
            )
        frame.error(
            "wrong-arguments",
            f"this is {describe(value)}, but there are {len(names)} names for it",
            statement.value.span,
            help=help_,
        )
    for name, item in zip(names, items, strict=True):
        if isinstance(item, Tensor) and frame.call is None:
            name_result(item.node, name.text)
        frame.declare(name, item)


def _depends_on_batch(
    frame: BodyFrame, type_: Type, what: str, statement: ast.Param | ast.State
) -> bool:
    """Return whether a type depends on the batch size, which is reported as an error."""
    names: set[str] = set().union(*map(sizes.open_names, type_.shape))
    if names.isdisjoint(sizes.open_names(BATCH)):
        return False
    frame.error(
        "wrong-kind",
        f"a {what} cannot be {sizes.show(type_.shape)}: the batch size is not fixed",
        statement.type.span if statement.type is not None else statement.name.span,
        help="`mean(peers(x); axis=0)` has the shape of one example",
    )
    return True


def _may_have_weights(frame: BodyFrame, statement: ast.Layer | ast.Param) -> bool:
    """Return whether a body may have weights; report the statement if not."""
    if frame.namer is None:
        frame.error(
            "misplaced",
            f"a {frame.kind} cannot have weights",
            statement.span,
            help="write a `block`: it may hold layers and parameters",
        )
    return frame.namer is not None


def layer(frame: BodyFrame, statement: ast.Layer) -> None:
    """Declare `layer tower = dense(64) -> relu`, which is built at its first use."""
    if not _may_have_weights(frame, statement):
        return
    name = statement.name
    copy = copies.copied(frame, statement)
    if copy is None:
        copy = SharedLayer(name.text, frame.naming.within(name.text), statement, frame)
    frame.declare(name, copy)


def param(frame: BodyFrame, statement: ast.Param) -> None:
    """Declare `param W: float[n] = he`. With `= false` there is no parameter, and W is 0."""
    name = statement.name
    if not _may_have_weights(frame, statement):
        return
    in_cell = any(each.walk is not None for each in callers(frame))
    type_ = declared_type(frame, statement.type, batched=False, sequences=not in_cell)
    if type_ is not None and type_.kind != "float":
        frame.error("wrong-kind", "a parameter must have the type `float`", statement.type.span)
        type_ = None
    elif type_ is not None and _depends_on_batch(frame, type_, "parameter", statement):
        type_ = None
    if type_ is None:
        frame.declare(name, POISON)
        return
    context, path = frame.context, frame.naming.within(name.text)
    step = provenance.Derivation(
        frame.location(statement.span), path, type_.shape, hidden=frame.call is not None
    )
    existing = context.parameters.get(path)
    if existing is not None:
        if not _is_shared(frame, path, statement):
            frame.declare(name, POISON)
        elif existing.type != type_:
            _different_shapes(frame, path, existing, type_)
            frame.declare(name, POISON)
        else:
            frame.declare(name, _parameter(frame, statement.type, path, step))
        return
    start = chosen(frame, statement.value)
    if start is None or (isinstance(start, ast.Boolean) and not start.value):
        frame.declare(name, POISON if start is None else 0)  # `false`: left out
        return
    node = leaf(Input(Role.PARAM, path, type_), frame.origin(statement.span))
    initial = initial_value(frame, path, type_, node, name.text, start)
    if initial is None:
        frame.declare(name, Tensor(node, step))  # after an error
        return
    value, is_random = initial
    is_weight = (type_.rank >= 2 or is_random) and name.text not in NO_WEIGHTS
    span = frame.location(statement.span)
    context.parameters[path] = Parameter(path, type_, value, is_weight, span)
    context.paths.append(path)
    context.leaves[path] = node
    context.owners[path] = frame.naming.owner
    frame.declare(name, _parameter(frame, statement.type, path, step))


def _parameter(frame: BodyFrame, tree: ast.Type, path: str, step: provenance.Derivation) -> Tensor:
    """Return a parameter; if its first axis is one of time steps, it is a sequence."""
    value = Tensor(copies.parameter(frame, path), step)
    names = [sequence_name(frame, axis) for axis in tree.axes or ()]
    if not any(names) or len(names) != value.type.rank:
        return value
    pairs = zip(names, value.shape, strict=True)
    first, *rest = (None if name is None else Sequence(name, size) for name, size in pairs)
    within = tuple(rest) if any(rest) else ()
    if first is None:
        return replace(value, within=(None, *within))
    step = replace(step, shape=value.shape[1:])
    return replace(value, provenance=step, sequence=first, within=within)


NO_WEIGHTS = ("bias", "gamma", "beta")
"""Names of parameters that never count as weights: biases and normalization factors."""


def _is_shared(frame: BodyFrame, path: str, statement) -> bool:
    """Return whether an existing parameter path is shared; otherwise report the conflict."""
    context = frame.context
    if _same_layer(context.owners.get(path), frame.naming.owner):
        return True
    earlier = (context.parameters.get(path) or context.states[path]).span
    frame.error(
        "duplicate-name",
        f"there are two parameters `{path}`",
        statement.span,
        labels=[Label(earlier, "the first one")] if earlier else [],
        help="layers without a name are numbered (`dense1`): use another name for yours",
    )
    return False


def _same_layer(one: SharedLayer | None, other: SharedLayer | None) -> bool:
    """Return whether two shared layers have the same weights.

    A layer declared in a shared block is the same at each use of the block.
    """
    if one is None or other is None:
        return False
    one, other = one.base, other.base
    return one is other or (
        one.statement is other.statement
        and one.path == other.path
        and _same_layer(one.frame.naming.owner, other.frame.naming.owner)
    )


def _different_shapes(
    frame: BodyFrame, path: str, existing: Parameter | State, type_: Type
) -> None:
    owner = frame.naming.owner.base
    use = next(each for each in callers(frame) if each.shared and each.shared.base is owner)
    assert use.caller is not None and use.called_at is not None
    use.caller.error(
        "layer-mismatch",
        f"the layer `{owner.name}` has one set of weights: `{path}` is"
        f" {sizes.show(existing.type.shape)} since its first use, and would be"
        f" {sizes.show(type_.shape)} here",
        use.called_at,
        labels=[Label(frame.context.first_uses[owner], "the first use")],
        help="apply it to values of one shape, or declare a layer for each",
    )


def state(frame: BodyFrame, statement: ast.State) -> None:
    """Declare `state mean: float[c] = 0` of a block, kept from one training step to the next."""
    name = statement.name
    if frame.kind != "block":
        frame.error("misplaced", f"a {frame.kind} cannot have a state", statement.span)
        return
    if statement.type is None:
        frame.error(
            "wrong-kind",
            f"the state `{name.text}` needs a type",
            name.span,
            help=f"write `state {name.text}: float[...] = ...`",
        )
        frame.declare(name, POISON)
        return
    type_ = declared_type(frame, statement.type, batched=False)
    context, path = frame.context, copies.state_path(frame, name.text)
    if type_ is None or _depends_on_batch(frame, type_, "state", statement):
        frame.declare(name, POISON)
        return
    origin = frame.origin(statement.span)
    node = leaf(Input(Role.STATE, path, type_), origin)
    if (known := context.states.get(path)) is not None:
        step = provenance.Derivation(frame.location(statement.span), path, type_.shape)
        if not _is_shared(frame, path, statement):
            frame.declare(name, POISON)
        elif known.type != type_:
            _different_shapes(frame, path, known, type_)
            frame.declare(name, POISON)
        else:
            frame.declare(name, Tensor(copies.advanced(known, node, origin), step))
        return
    initial = initial_value(frame, path, type_, node, name.text, statement.value)
    frame.declare(
        name, Tensor(node, provenance.Derivation(frame.location(statement.span), path, type_.shape))
    )
    if initial is not None:
        context.states[path] = State(path, type_, initial[0], None, frame.location(statement.span))
        context.owners[path] = frame.naming.owner


def is_first(frame: BodyFrame, statement: ast.Next, nexts: Mapping[str, ast.Next]) -> bool:
    """Return whether a `next` is the first one of its state; report it if not."""
    name = statement.name.text
    if name in nexts:
        frame.error(
            "duplicate-name",
            f"`next {name}` is already defined",
            statement.name.span,
            labels=[Label(nexts[name].name.span, "first defined here")],
        )
    return name not in nexts


def _advance(frame: BodyFrame, definition: ast.Block) -> None:
    """Set the next value of each state; `next` may come before or after the values of `return`."""
    context = frame.context
    nexts: dict[str, ast.Next] = {}
    for statement in definition.body:
        if isinstance(statement, ast.Next) and is_first(frame, statement, nexts):
            nexts[statement.name.text] = statement
    declared = {each.name.text for each in definition.body if isinstance(each, ast.State)}
    for name, statement in nexts.items():
        if name not in declared:
            frame.error("unknown-name", f"unknown state `{name}`", statement.name.span)
            continue
        value = evaluate(frame, statement.value)
        path = copies.state_path(frame, name)
        if _is_fixed(frame):
            continue  # a fixed copy does not change the statistics
        if path in context.states and value is not POISON:
            current = context.states[path]
            tensor = next_value(frame, statement, value, current.type)
            if tensor is not None:
                context.states[path] = State(
                    path, current.type, current.initial, tensor.node, current.span
                )
    for statement in definition.body:
        if isinstance(statement, ast.State) and statement.name.text not in nexts:
            frame.error(
                "misplaced",
                f"the state `{statement.name.text}` has no `next`: it would never change",
                statement.name.span,
            )


def _is_fixed(frame: BodyFrame) -> bool:
    copy = copies.copy_of(frame.naming.owner)
    return copy is not None and copy.kind == "fixed"


def next_value(frame: BodyFrame, statement: ast.Next, value: Value, type_: Type) -> Tensor | None:
    """Return the value of `next` as a tensor of the state's type; None after an error."""
    span = statement.value.span
    if is_static(value):
        try:
            value = as_kind(frame, value, "float", span)
        except OperandError as error:
            frame.error(error.name, error.message, span)
            return None
    if not isinstance(value, Tensor) or value.type.kind != "float":
        frame.error("wrong-kind", f"`next {statement.name.text}` is {describe(value)}", span)
        return None
    if value.type.batched:
        frame.error(
            "wrong-kind",
            f"the state `{statement.name.text}` is shared by all examples, but this value"
            " differs between examples",
            span,
            help="`batch_mean` averages over the batch",
        )
        return None
    try:
        value = spread(frame, value, type_.shape, span)
    except OperandError as error:
        frame.error(error.name, f"`next {statement.name.text}`: {error.message}", span)
        return None
    return value


STATEMENTS: dict[type, Callable[[BodyFrame, Any], None]] = {
    ast.Let: let,
    ast.Layer: layer,
    ast.Param: param,
    ast.State: state,
}
