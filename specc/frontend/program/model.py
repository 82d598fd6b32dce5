"""The model: its statements in order, and finally its losses and metrics, which see all weights.

In: `ast.Model` and the names of its file. Out: ports and terms; parameters, states and layers are
in the context.
"""

from __future__ import annotations

from collections.abc import Sequence as Sequence_
from dataclasses import field, replace
from typing import cast

from specc.diagnostics import Label
from specc.frontend.elaborate import definitions
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.names import MEANINGS
from specc.frontend.elaborate.patterns import declared_type, sequence_name
from specc.frontend.operators import sequences
from specc.frontend.program.augments import augment
from specc.frontend.program.balance import weighed
from specc.frontend.program.monitor import is_more_better
from specc.frontend.scope import provenance
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Context, Namer, Scope
from specc.frontend.scope.values import POISON, AllWeights, Sequence, Tensor, Value, describe
from specc.frontend.syntax import ast
from specc.ir.graph import Node, apply, topological
from specc.ir.program import Term
from specc.ir.types import Type
from specc.ops import elementwise as ops
from specc.ops.leaf import Input, Role, leaf
from specc.ops.reduce import BatchMean
from specc.recipe import Port
from specc.system.records import dataclass

RESERVED = tuple(MEANINGS)
"""Names with a fixed meaning."""


@dataclass(eq=False)
class Elaborated:
    """The elaborated model, except for the parts in the context."""

    ports: list[Port] = field(default_factory=list)
    outputs: list[Term] = field(default_factory=list)
    losses: list[Term] = field(default_factory=list)
    metrics: list[Term] = field(default_factory=list)


def elaborate(
    context: Context,
    scope: Scope,
    model: ast.Model,
    augments: Sequence_[ast.Augment] = (),
    balance: str | None = None,
) -> Elaborated:
    """Elaborate the model. `augments` change its inputs during training.

    The classes of the target `balance` get equal weight in the training losses.
    """
    frame = BodyFrame(context, scope, "model", namer=Namer(""), body=model.body)
    result = Elaborated()
    terms: list[ast.Loss | ast.Metric] = []
    names = _term_names(frame, model)
    for statement in model.body:
        match statement:
            case ast.Input() | ast.Target() | ast.Stream():
                _port(frame, statement, result.ports)
                augment(frame, statement, augments)
            case ast.Let() | ast.Layer() | ast.Param():
                definitions.STATEMENTS[type(statement)](frame, statement)
            case ast.Output():
                _output(frame, statement, names[statement], result.outputs)
            case ast.Loss() | ast.Metric():
                terms.append(statement)
            case ast.Broken():
                definitions.broken(frame, statement)
            case _:
                word = statement.span.text.split(maxsplit=1)[0]
                frame.error("misplaced", f"`{word}` is not allowed in a model", statement.span)
        _check_reserved(frame, statement)
    if not any(_may_be_port(each) for each in model.body):
        frame.error(
            "no-input",
            f"the model `{model.name.text}` has no input and no target",
            model.name.span,
            help="declare an input, `input x: float[4]`, or a target to generate, `target y:"
            " float[4]`",
        )
    _terms(frame, terms, names, result, balance)
    return result


def _may_be_port(statement: ast.Statement) -> bool:
    if isinstance(statement, ast.Broken):
        return statement.keyword in ("input", "stream", "target", "")
    return isinstance(statement, (ast.Input, ast.Stream, ast.Target))


def _check_reserved(frame: BodyFrame, statement: ast.Statement) -> None:
    declared = getattr(statement, "names", None) or (getattr(statement, "name", None),)
    for name in declared:
        if isinstance(name, ast.Name) and name.text in RESERVED:
            frame.error(
                "duplicate-name",
                f"`{name.text}` is a reserved name",
                name.span,
                help="rename it",
            )


def _port(
    frame: BodyFrame, statement: ast.Input | ast.Target | ast.Stream, ports: list[Port]
) -> None:
    """Add the port of `input image: float[1, 28, 28]` or `stream text: class(vocab)[time]`."""
    name = statement.name
    type_ = declared_type(frame, statement.type, batched=True, sequences=True)
    if type_ is None:
        frame.declare(name, POISON)
        return
    role = Role.TARGET if isinstance(statement, ast.Target) else Role.INPUT
    origin = frame.origin(statement.span)
    node = leaf(Input(role, name.text, type_), origin)
    kind = "class" if type_.kind == "int" else type_.kind
    # the data decides a symbolic size before the port's size is used
    sizes, classes = cast(tuple[int, ...], type_.shape), cast(int | None, type_.classes)
    ports.append(Port(name.text, role, kind, sizes, classes, statement.span))
    sequence, axes = None, statement.type.axes or ()
    if axes and (sequence_of := sequence_name(frame, axes[0])) is not None:
        size = type_.shape[0]
        ports[-1] = replace(ports[-1], sequence=sequence_of)
        sequence = Sequence(sequence_of, size)
        shared = frame.context.varying.get(sequence_of)
        if axes[0].at_most and shared is not None:
            sequence = shared  # all values of one sequence have the same length
        elif axes[0].at_most:
            owner = _length_owner(frame, statement, sequence_of)
            length, whose = f"{owner.name.text}.length", role
            if not isinstance(owner, ast.Target):
                whose = Role.INPUT
            count = leaf(Input(whose, length, Type("int", (), True, size + 1)), origin)
            longest = cast(int, size) + 1
            of = owner.name.text
            ports.append(Port(length, whose, "class", (), longest, statement.span, length_of=of))
            sequence = sequences.varying(sequence_of, size, count, origin)
            frame.context.varying[sequence_of] = sequence
    if isinstance(statement, ast.Stream):
        if sequence is None or sequence.length is not None:
            frame.error(
                "wrong-kind",
                f"the stream `{name.text}` needs a time axis",
                statement.type.span,
                help=(
                    "declare `seq time = 50`, the time steps per batch,"
                    " and use `class(vocab)[time]`"
                ),
            )
            sequence = sequence or Sequence("", 1)
        begin = f"{name.text}.begin"
        ports.append(Port(begin, role, "bool", (), None, statement.span, begin_of=name.text))
        sequence = replace(sequence, begin=begin)
    shape = type_.shape[1:] if sequence else type_.shape
    frame.declare(
        name, Tensor(node, provenance.Derivation(statement.span, name.text, shape), sequence)
    )


def _length_owner(frame: BodyFrame, statement: ast.Input | ast.Target | ast.Stream, sequence: str):
    """Return the port that sets the length of a sequence: an input if possible, as targets may be
    missing."""
    for each in frame.body if isinstance(statement, ast.Target) else ():
        axes = each.type.axes if isinstance(each, ast.Input) and each.type is not None else None
        if axes and axes[0].at_most and sequence_name(frame, axes[0]) == sequence:
            return each
    return statement


def _output(frame: BodyFrame, statement: ast.Output, name: str, outputs: list[Term]) -> None:
    value = evaluate(frame, statement.value)
    if value is POISON:
        return
    if not isinstance(value, Tensor):
        frame.error(
            "wrong-kind", f"an output must be a tensor, not {describe(value)}", statement.value.span
        )
        return
    if not value.type.batched and any(each.type.batched for each in topological([value.node])):
        frame.error(
            "wrong-kind",
            "an output needs one value per example, but this is one value for the whole batch",
            statement.value.span,
            help="a `metric` may be a mean over all examples",
        )
        return
    over = next((each.name for each in value.within if each is not None and each.mask), None)
    if over is not None:
        frame.index_error(
            f"an axis of this output runs over `{over}`, whose length varies: it would have steps"
            " that an example does not have",
            statement.value.span,
            help="sum or choose over it first: `let y[t, i] = sum(u: s[t, u] * v[u, i])`"
            if value.sequence is not None
            else f"put an index over `{over}` first, which makes a sequence: `let y[t, i] = ...`",
        )
        return
    sequence = value.sequence.name if value.sequence is not None else None
    outputs.append(Term(name, value.node, statement.span, sequence))


def _terms(
    frame: BodyFrame, statements: list, names: dict, result: Elaborated, balance: str | None
) -> None:
    """Return losses and metrics. Those that sum over all weights are elaborated last."""
    context = frame.context
    context.lists_layers = False
    frame.weights = lambda: _weights(context)
    found: dict[ast.Node, Term] = {}
    for statement in sorted(statements, key=_mentions_weights):
        value = evaluate(frame, statement.value)
        if value is POISON:
            continue
        check = _loss if isinstance(statement, ast.Loss) else _metric
        tensor = check(frame, statement, value)
        if tensor is not None and isinstance(statement, ast.Loss) and balance is not None:
            tensor = weighed(frame, statement.span, tensor, balance)
        if tensor is not None:
            assert isinstance(value, Tensor), "only tensors are terms; please report this"
            is_max = is_more_better(frame, statement.value, value)
            found[statement] = Term(names[statement], tensor.node, statement.span, is_max=is_max)
    for statement in statements:
        if statement in found:
            terms = result.losses if isinstance(statement, ast.Loss) else result.metrics
            terms.append(found[statement])


def _mentions_weights(statement) -> bool:
    return any(
        isinstance(each, ast.Path) and each.text == "weights" for each in ast.walk(statement.value)
    )


def _weights(context: Context) -> Value:
    items = []
    for path in context.paths:
        parameter = context.parameters[path]
        if parameter.is_weight:
            step = provenance.Derivation(parameter.span, path, parameter.type.shape)
            items.append(Tensor(context.leaves[path], step))
    return AllWeights(tuple(items))


def _loss(frame: BodyFrame, statement: ast.Loss, value: Value) -> Tensor | None:
    """Return one number per example, or one for all examples (a penalty); None after an error."""
    if not isinstance(value, Tensor) or value.type.kind != "float":
        frame.error(
            "wrong-kind",
            f"a loss must be a number that the model computes, not {describe(value)}",
            statement.value.span,
        )
        return None
    one = _scalar(frame, statement, value, "loss")
    return sequences.over_steps(frame, one, statement.value.span) if one is not None else None


def _metric(frame: BodyFrame, statement: ast.Metric, value: Value) -> Tensor | None:
    """Return the tensor of a metric; None after an error.

    It is a number or boolean per example, whose mean is reported, or a formula of means and
    weights.
    """
    if not isinstance(value, Tensor) or value.type.kind == "int":
        frame.error(
            "wrong-kind",
            f"a metric must be a number or boolean per example, not {describe(value)}",
            statement.value.span,
        )
        return None
    if value.type.kind == "bool":
        value = frame.apply(ops.ToFloat(), value, span=statement.value.span)
    if not value.type.batched:
        return Tensor(_figure(value.node), value.provenance)
    tensor = _scalar(frame, statement, value, "metric")
    return sequences.over_steps(frame, tensor, statement.value.span) if tensor is not None else None


def _figure(formula: Node) -> Node:
    """Return a formula of means that is computed once for all data.

    A part that kernels must compute, such as a sum over weights, becomes the mean of itself.
    """
    new: dict[Node, Node] = {}
    over_means: set[Node] = set()
    computed: set[Node] = set()  # nodes that depend on the model, but not on a mean

    def final(node: Node) -> Node:
        return apply(BatchMean(), new[node]) if node in computed else new[node]

    for node in topological([formula], leaves=BatchMean):
        new[node] = node
        if isinstance(node.op, BatchMean):
            over_means.add(node)
        elif not over_means.isdisjoint(node.inputs):
            over_means.add(node)
            new[node] = Node(node.op, tuple(map(final, node.inputs)), node.type, node.origin)
        elif isinstance(node.op, Input) or not computed.isdisjoint(node.inputs):
            computed.add(node)
    return final(formula)


def _scalar(frame: BodyFrame, statement, value: Tensor, what: str) -> Tensor | None:
    if value.shape == ():
        return value
    text = f"`{provenance.excerpt(statement.value.span, 32)}`"
    note = provenance.story(text, value.shape, value.provenance)
    frame.error(
        "shape-mismatch",
        f"a {what} is one number for each example, but this is {describe(value)}",
        statement.value.span,
        notes=[note] if note else [],
        help="`sum(...)` or `mean(...)` makes one number of it",
    )
    return None


def _term_names(frame: BodyFrame, model: ast.Model) -> dict[ast.Node, str]:
    """Return unique names of outputs, losses and metrics: their own, or their function's."""
    names: dict[ast.Node, str] = {}
    for cls in (ast.Output, ast.Loss, ast.Metric):
        statements = [each for each in model.body if isinstance(each, cls)]
        taken: dict[str, ast.Name] = {}
        for statement in statements:
            name = statement.name or _plain_name(statement.value)
            if name is None:
                continue
            if name.text in taken:
                frame.error(
                    "duplicate-name",
                    f"`{name.text}` is already defined",
                    name.span,
                    labels=[Label(taken[name.text].span, "first defined here")],
                )
            taken[name.text] = name
            names[statement] = name.text
        used = set(taken)
        for statement in statements:
            if statement not in names:
                word = _word_of(statement.value) or cls.__name__.lower()
                numbered, number = word, 1
                while numbered in used:
                    number += 1
                    numbered = f"{word}{number}"
                used.add(numbered)
                names[statement] = numbered
    return names


def _plain_name(value: ast.Expression) -> ast.Name | None:
    """Return the name of an output that is a plain value: `output y`."""
    return value.names[0] if isinstance(value, ast.Path) and len(value.names) == 1 else None


def _word_of(value: ast.Expression) -> str | None:
    """Return the value's name, or the name of the function that computes it."""
    if isinstance(value, ast.Path):
        return value.names[-1].text
    if isinstance(value, ast.Pipeline) and isinstance(value.stages[-1], ast.Call):
        return value.stages[-1].word.text
    call = next((each for each in ast.walk(value) if isinstance(each, ast.Call)), None)
    return call.word.text if call is not None else None
