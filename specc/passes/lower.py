"""The passes that make a graph over a batch of a checked program.

    graph = outputs(program, training=True)   # loss, terms, metrics and outputs over a batch
    graph = set_mode(graph, training=True)
    graph = differentiate(graph, program)     # "gradient.PATH" for every parameter
    graph = update(graph, program)            # every next weight and state
    lowered = split_schedule(graph)

`specc.pipeline` calls them, in this order, with others between them.

A loss is averaged over the examples with the input `weight_of_example`: 1/n on the n examples of a
batch, next to nothing on lanes that repeat an example. So the mean of a partial batch is exact.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

from specc.ir.graph import Graph, Node, rebuild, rewrite, topological
from specc.ir.names import RECORDED, OutputKind, kind_of, label_of
from specc.ir.op import Op
from specc.ir.program import Program
from specc.ir.types import Type
from specc.ops.broadcast import broadcast_scalar, sum_batch
from specc.ops.carry import closed, following
from specc.ops.elementwise import (
    Add,
    Sub,
    add,
    equal,
    mul,
    not_,
    sub,
    to_float,
)
from specc.ops.leaf import Const, Input, Role, constant, leaf
from specc.ops.reduce import BatchMean
from specc.passes.autodiff import gradients
from specc.passes.clip import clipped
from specc.passes.objectives import at_other_places, by_objective, of_losses, updated
from specc.system.records import dataclass


@dataclass(frozen=True)
class Lowered:
    """A graph over a batch, and the schedule that is computed ahead of each step on the host.

    `settings` has the outputs "0", "1", ... over step, epoch, ...; the graph reads them as
    `Input("setting", "0")`.
    """

    graph: Graph
    settings: Graph


def outputs(program: Program, training: bool, more: Mapping[str, Node] = {}) -> Graph:
    """Return the graph of the outputs "loss", "loss.NAME", "mean.NUMBER" and "output.NAME".

    In training it also has "state.PATH". `more` are further nodes of the program that become
    outputs.
    """
    total = None
    found: dict[str, Node] = dict(more)
    for term in program.losses:
        mean = average(term.node)
        found[f"loss.{term.name}"] = mean
        total = mean if total is None else add(total, mean)
    if total is not None:
        found = {"loss": total, **found}
    means, _ = metric_means(program)
    found.update({name: average(node) for name, node in means.items()})
    for term in program.outputs:
        found[f"output.{term.name}"] = term.node
    if training:
        for state in program.states:
            if state.next is not None:
                found[f"state.{state.path}"] = state.next
    graph = closed(found, dict(program.carries))
    return graph if training or program.recipe.average is None else _averaged(graph, program)


def _averaged(graph: Graph, program: Program) -> Graph:
    """Return the graph with the weights' moving averages in place of the weights."""
    paths = {each.path: each for each in program.averages}
    means = {each.of: path for path, each in paths.items() if path == f"{each.of}.average"}

    def rule(node: Node) -> Node:
        op = node.op
        if isinstance(op, Input) and op.role == Role.PARAM and op.label in means:
            return leaf(Input(Role.STATE, means[op.label], op.type), node.origin)
        return node

    return rewrite(graph, rule)


def metric_means(program: Program) -> tuple[dict[str, Node], Graph]:
    """Return the values whose means the metrics need, and the metrics as functions of the means.

    A metric is the mean of a value per example, or a formula over such means (`batch_mean`): a
    precision is the mean of true positives over the mean of positives, of all the data and not of
    each batch. The graph has the outputs "metric.NAME" and reads Input(Role.MEAN, NUMBER).
    """
    means: dict[str, Node] = {}
    finals: dict[str, Node] = {}

    def mean_of(node: Node) -> Node:
        name = next((known for known, each in means.items() if each is node), f"mean.{len(means)}")
        means[name] = node
        type_ = Type("float", node.type.shape)
        return leaf(Input(Role.MEAN, name, type_), node.origin)

    for term in program.metrics:
        if term.node.type.batched:
            finals[f"metric.{term.name}"] = mean_of(to_float(term.node))
            continue
        new: dict[Node, Node] = {}
        for node in topological([term.node], leaves=BatchMean):  # a mean may depend on other means
            if isinstance(node.op, BatchMean):
                new[node] = mean_of(node.inputs[0])
            else:
                new[node] = replace(node, inputs=tuple(new[each] for each in node.inputs))
        finals[f"metric.{term.name}"] = new[term.node]
    return means, Graph(finals)


def penalties(program: Program) -> tuple[frozenset[str], Graph]:
    """Return the penalties on weights: losses of their own, and summands of other losses.

    A penalty depends on parameters alone. The graph has an output for each one that is a summand
    of a loss of the examples, with its sign: `loss mse(y, t) + 1e-4 * l2(weights)`.
    """
    whole: set[str] = set()
    added: dict[str, Node] = {}

    def take(node: Node, sign: float) -> None:
        if _is_penalty(node):
            added[str(len(added))] = node if sign > 0 else mul(node, -1.0)
        elif isinstance(node.op, (Add, Sub)) and node.type.shape == ():
            take(node.inputs[0], sign)
            take(node.inputs[1], -sign if isinstance(node.op, Sub) else sign)

    for term in program.losses:
        if _is_penalty(term.node):
            whole.add(term.name)
        else:
            take(term.node, 1.0)
    return frozenset(whole), Graph(added)


def _is_penalty(node: Node) -> bool:
    roles = {each.op.role for each in topological([node]) if isinstance(each.op, Input)}
    return roles == {"param"} and not node.type.batched  # random numbers differ between examples


def differentiate(graph: Graph, program: Program, in_turn: bool = False) -> Graph:
    """Return the graph with an output "gradient.PATH" for every parameter.

    It is the gradient of the losses that train the parameter. With `in_turn`, each objective uses
    the weights as updated by the objectives before it, and for rules with `gradient_at` there are
    the gradients "again.PATH".
    """
    leaves = {
        node.op.label: node
        for node in graph.nodes
        if isinstance(node.op, Input) and node.op.role == Role.PARAM
    }
    wanted = {
        each.path: leaves.get(each.path) or leaf(Input(Role.PARAM, each.path, each.type))
        for each in program.parameters
    }
    found, through_time = gradients(graph.outputs["loss"], list(wanted.values()), following(graph))
    derived = dict(zip(wanted, found, strict=True))
    loops = {**following(graph), **through_time}
    again: dict[str, Node] = {}
    if program.objectives:
        own = by_objective(graph, program, wanted, in_turn)
        derived.update(own.gradients)
        loops.update(own.loops)
        again = own.again
    elif in_turn:
        second = at_other_places(graph, program.updates, derived, loops)
        again = second.gradients
        loops.update(second.loops)
    more = {f"gradient.{path}": d for path, d in derived.items()}
    more.update({f"again.{path}": d for path, d in again.items()})
    return closed({**graph.outputs, **more}, loops)


def differentiate_again(graph: Graph, program: Program) -> Graph:
    """Return the graph of the gradients "again.PATH" that rules with `gradient_at` take.

    It reads the gradients that lead there, of all batches of the step. Streams have outputs, too.
    """
    loss = of_losses(graph, program.objectives[0]) if program.objectives else graph
    slots = {name: d for name, d in graph.outputs.items() if kind_of(name) == OutputKind.SLOT}
    whole = closed({"loss": loss.outputs["loss"], **slots}, following(graph))
    types = {each.path: each.type for each in program.parameters}
    first = {
        each.path: leaf(Input(Role.GRADIENT, each.path, types[each.path]))
        for each in program.updates
    }
    second = at_other_places(whole, program.updates, first, following(graph))
    again = {f"again.{path}": d for path, d in second.gradients.items()}
    return closed({**again, **second.slots}, second.loops)


def update(graph: Graph, program: Program) -> Graph:
    """Return the graph of a training step, with the outputs "param.PATH" and "state.PATH"."""
    gradient, again = (
        {label_of(name): node for name, node in graph.outputs.items() if kind_of(name) == kind}
        for kind in (OutputKind.GRADIENT, OutputKind.AGAIN)
    )
    outputs = {
        name: node
        for name, node in graph.outputs.items()
        if kind_of(name) in (*RECORDED, OutputKind.STATE, OutputKind.SLOT)
    }
    update = {f"param.{update.path}": update.next for update in program.updates}
    for each in program.updates:
        for state in each.states:
            assert state.next is not None, f"`{state.path}` has no rule (a bug of specc)"
            update[f"state.{state.path}"] = state.next

    together = [each.paths for each in program.objectives] or [
        tuple(each.path for each in program.updates)
    ]
    bounded: dict[str, Node] = {}
    stepped = {**gradient, **again}  # the gradients that make the step, which are clipped
    for paths in together:  # each objective has its own norm
        bounded.update(clipped({path: stepped[path] for path in paths}, program.recipe))
    types = {each.path: each.type for each in program.parameters}
    for average in program.averages:  # they follow a parameter as it is after the step
        type_ = types[average.of]
        after = update.get(f"param.{average.of}") or leaf(Input(Role.PARAM, average.of, type_))
        mean = leaf(Input(Role.STATE, average.path, type_))
        update[f"state.{average.path}"] = add(mean, mul(sub(after, mean), average.rate))
    # the update's own leaves for weights and the forward graph's are equal; simplify joins them
    first = {path: gradient[path] if path in again else d for path, d in bounded.items()}
    outputs.update(updated(update, first, bounded))
    return closed(outputs, following(graph))


def keep(graph: Graph, kept: tuple[str, ...]) -> Graph:
    """Return the graph of the outputs whose names start with one of some prefixes."""
    chosen = {name: node for name, node in graph.outputs.items() if name.startswith(kept)}
    return closed(chosen, following(graph))


def split_schedule(graph: Graph, others: int = 0) -> Lowered:
    """Move formulas of only the schedule's inputs out of the graph, to be computed in advance.

    The graph reads them after so many other settings.
    """
    scheduled: set[Node] = set()
    fixed: set[Node] = set()
    for node in graph.nodes:
        if isinstance(node.op, Const):
            fixed.add(node)
        elif isinstance(node.op, Input):
            if node.op.role == Role.SCHEDULE:
                scheduled.add(node)
        elif (
            node.type.shape == ()
            and node.inputs
            and all(each in scheduled or each in fixed for each in node.inputs)
        ):
            (scheduled if any(each in scheduled for each in node.inputs) else fixed).add(node)
    frontier = [
        node
        for node in graph.nodes
        if node in scheduled
        and (
            node in graph.outputs.values()
            or any(user not in scheduled for user in graph.users[node])
        )
    ]
    # equal schedules of many parameters are one setting
    labels: dict[Node, str] = {}
    by_key: dict[tuple[Op, tuple[int, ...]], int] = {}
    numbers: dict[Node, int] = {}
    settings: dict[str, Node] = {}
    for node in graph.nodes:
        if node not in scheduled and node not in fixed:
            continue
        key = (node.op, tuple(numbers[each] for each in node.inputs))
        numbers[node] = by_key.setdefault(key, len(by_key))
    by_number: dict[int, str] = {}
    for node in frontier:
        label = by_number.setdefault(numbers[node], str(len(by_number)))
        labels[node] = label
        settings.setdefault(label, to_float(node))

    def read(old: Node, now: Node) -> Node:
        if old not in labels:
            return now
        label = str(others + int(labels[old]))
        value = leaf(Input(Role.SETTING, label, Type("float")), old.origin)
        # settings are numbers
        return not_(equal(value, 0.0)) if old.type.kind == "bool" else value

    return Lowered(rebuild(graph, read), Graph(settings))


def average(node: Node) -> Node:
    """Return the mean over the batch of a value per example, or the value if it is one for all."""
    if not node.type.batched:
        return node
    weight = leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), batched=True)), node.origin)
    return sum_batch(mul(node, broadcast_scalar(weight, node.type.shape)))


def set_mode(graph: Graph, training: bool) -> Graph:
    """Decide `training`, and write means over the batch as weighted sums."""

    def rule(node: Node) -> Node:
        if isinstance(node.op, Input) and node.op.role == Role.MODE:
            return constant(training, "bool")
        if isinstance(node.op, BatchMean):
            return average(node.inputs[0])
        return node

    return rewrite(graph, rule)
