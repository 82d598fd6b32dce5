"""From a checked program to the graphs that are compiled: the batch enters here.

    forward(program, training=False)   # loss, terms, metrics and outputs over a batch
    training_step(program)             # the same in training mode, plus every next weight and state

A loss is averaged over the examples with the input `weight_of_example` (1/n on the n examples of a
batch, 0 on padding lanes), so that a partial batch on full lanes is exact.
"""

from __future__ import annotations

from dataclasses import dataclass

from specc.ir.graph import Graph, Node, rewrite
from specc.ir.program import Program
from specc.ir.types import Type
from specc.ops.elementwise import add, mul, to_float
from specc.ops.leaf import Const, Input, constant, leaf
from specc.ops.reduce import BatchMean, sum_batch
from specc.ops.shape import broadcast_scalar
from specc.passes.autodiff import gradients


@dataclass(frozen=True)
class Lowered:
    """A graph over a batch, and the schedule that is computed ahead of each step on the host.

    `settings` has the outputs "0", "1", ... over step, epoch and progress; the graph reads them as
    `Input("setting", "0")`.
    """

    graph: Graph
    settings: Graph


def forward(program: Program, training: bool) -> Graph:
    """Outputs "loss", "loss.NAME", "metric.NAME", "output.NAME"; in training also "state.PATH"."""
    total = None
    outputs: dict[str, Node] = {}
    for term in program.losses:
        mean = average(term.node)
        outputs[f"loss.{term.name}"] = mean
        total = mean if total is None else add(total, mean)
    if total is not None:
        outputs = {"loss": total, **outputs}
    for term in program.metrics:
        outputs[f"metric.{term.name}"] = average(to_float(term.node))
    for term in program.outputs:
        outputs[f"output.{term.name}"] = term.node
    if training:
        for state in program.states:
            if state.next is not None:
                outputs[f"state.{state.path}"] = state.next
    return set_mode(Graph(outputs), training)


def with_gradients(program: Program) -> Graph:
    """The forward graph in training mode with "gradient.PATH" for every parameter."""
    graph = forward(program, training=True)
    leaves = {
        node.op.label: node
        for node in graph.nodes
        if isinstance(node.op, Input) and node.op.role == "param"
    }
    wanted = [
        leaves.get(parameter.path) or leaf(Input("param", parameter.path, parameter.type))
        for parameter in program.parameters
    ]
    found = gradients(graph.outputs["loss"], wanted)
    more = {
        f"gradient.{parameter.path}": d
        for parameter, d in zip(program.parameters, found, strict=True)
    }
    return Graph({**graph.outputs, **more})


def training_step(program: Program) -> Lowered:
    """The whole step: losses, metrics, and "param.PATH" and "state.PATH" after the update."""
    graph = with_gradients(program)
    gradient = {
        name.removeprefix("gradient."): node
        for name, node in graph.outputs.items()
        if name.startswith("gradient.")
    }
    outputs = {
        name: node
        for name, node in graph.outputs.items()
        if name == "loss" or name.startswith(("loss.", "metric.", "state."))
    }
    update = {f"param.{update.path}": update.next for update in program.updates}
    for each in program.updates:
        update.update({f"state.{state.path}": state.next for state in each.states})

    def insert(node: Node) -> Node:
        if isinstance(node.op, Input) and node.op.role == "gradient":
            return broadcast_scalar(gradient[node.op.label], node.type.shape)
        return node

    # the update's own leaves for weights and the forward graph's are equal; simplify joins them
    outputs.update(rewrite(Graph(update), insert).outputs)
    return split_schedule(Graph(outputs))


def split_schedule(graph: Graph) -> Lowered:
    """Move what depends on step, epoch and progress alone out of the graph, to be computed ahead."""
    scheduled: set[Node] = set()
    fixed: set[Node] = set()
    for node in graph.nodes:
        if isinstance(node.op, Const):
            fixed.add(node)
        elif isinstance(node.op, Input):
            if node.op.role == "schedule":
                scheduled.add(node)
        elif (node.type.shape == () and node.inputs
              and all(each in scheduled or each in fixed for each in node.inputs)):
            (scheduled if any(each in scheduled for each in node.inputs) else fixed).add(node)
    frontier = [
        node for node in graph.nodes
        if node in scheduled
        and (node in graph.outputs.values()
             or any(user not in scheduled for user in graph.users[node]))
    ]
    # equal schedules of many parameters are one setting
    labels: dict[Node, str] = {}
    by_key: dict = {}
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
        settings.setdefault(label, node)
    new: dict[Node, Node] = {}
    for node in graph.nodes:
        if node in labels:
            new[node] = leaf(Input("setting", labels[node], Type("float")), node.origin)
        else:
            new[node] = Node(node.op, tuple(new[each] for each in node.inputs), node.type,
                             node.origin)
    return Lowered(Graph({name: new[node] for name, node in graph.outputs.items()}),
                   Graph(settings))


def average(node: Node) -> Node:
    """The mean over the batch of a value per example; a value that is one for all, as it is."""
    if not node.type.batched:
        return node
    weight = leaf(Input("weight_of_example", "", Type("float", (), batched=True)), node.origin)
    return sum_batch(mul(node, broadcast_scalar(weight, node.type.shape)))


def set_mode(graph: Graph, training: bool) -> Graph:
    """Decide `training`, and write means over the batch as weighted sums."""

    def rule(node: Node) -> Node:
        if isinstance(node.op, Input) and node.op.role == "mode":
            return constant(training, "bool")
        if isinstance(node.op, BatchMean):
            return average(node.inputs[0])
        return node

    return rewrite(graph, rule)


