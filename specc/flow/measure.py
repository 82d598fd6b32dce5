"""Measure a flow: evaluate a training step once, with gradients for intermediate values.

measure(program, leaves, examples=32)      # a Flow
"""

from __future__ import annotations

from collections.abc import Container, Mapping, Sequence
from dataclasses import replace

import numpy as np

from specc import pipeline
from specc.backend.reference import evaluate
from specc.flow.figures import CellFlow, Flow, LayerFlow, divided, norm, rms
from specc.flow.recurrence import Recurrence
from specc.flow.verdict import verdict
from specc.ir.graph import Graph, Node, topological
from specc.ir.program import Layer, Program
from specc.ir.sizes import bound
from specc.ir.verify import verify
from specc.ops.broadcast import Broadcast
from specc.ops.carry import closed, following, loops, straightened
from specc.ops.elementwise import Elementwise, Maximum
from specc.ops.leaf import Const, Input, Role
from specc.ops.peers import bind_batch
from specc.passes.autodiff import gradients

EDGE = 0.05
"""A value is saturated if it is closer to an end of its range than this share of the range."""

Leaves = Mapping[tuple[str, str], np.ndarray]
Arrays = Mapping[Node, np.ndarray]


def measure(program: Program, leaves: Leaves, examples: int, seed: int = 0, step: int = 0) -> Flow:
    """Return the flow of gradients on a batch of `examples`, in training mode.

    `leaves` has the ports, parameters and states by (role, name), as the interpreter takes them.
    """
    graph = _forward(program, examples)
    layers = _merged(
        [
            (layer, node)
            for number, layer in enumerate(program.layers)
            if (node := _output(graph, number, layer)) is not None
        ]
    )
    recurrences = [Recurrence(loop) for loop in loops(graph)]
    units = _units(graph, [layer.path for layer, _ in layers])
    parameters = {
        node.op.label: node
        for node in graph.nodes
        if isinstance(node.op, Input) and node.op.role == Role.PARAM
    }
    carries = [carry for each in recurrences for carry in each.carries]
    asked = list(dict.fromkeys([*parameters.values(), *(node for _, node in layers), *carries]))
    found, through_time = gradients(graph.outputs["loss"], asked, following(graph))
    gradient_of = dict(zip(asked, found, strict=True))
    reached = set(closed({"loss": graph.outputs["loss"]}, following(graph)).nodes)
    between = {each for recurrence in recurrences for each in recurrence.needed}
    needed = [*asked, *found, *between, *(node for nodes in units.values() for node in nodes)]
    names = {node: f"value.{k}" for k, node in enumerate(dict.fromkeys(needed))}
    everything = closed(
        {"loss": graph.outputs["loss"], **{name: node for node, name in names.items()}},
        {**following(graph), **through_time},
    )
    with np.errstate(all="ignore"):
        found_values = evaluate(verify(everything, "flow"), leaves, seed, step, step_by_step=True)
        values = {node: found_values[name] for node, name in names.items()}
        gradient = {
            node: values[d] * (examples if node.type.batched else 1)
            for node, d in gradient_of.items()
        }
        cells = tuple(_cell(each, values, gradient, examples) for each in recurrences)
        arrays = {path: values[node] for path, node in parameters.items()}
        slopes = {path: gradient[node] for path, node in parameters.items()}
        lines = _lines(layers, reached, values, gradient, units, arrays, slopes)
        trained = [each.path for each in program.updates] or list(slopes)
        recipe = program.recipe
        whole, clipped = _clipped(
            [slopes[path] for path in trained if path in slopes],
            recipe.clip_value,
            recipe.clip_norm,
        )
    flow = Flow(
        program.name,
        examples,
        float(found_values["loss"]),
        lines,
        cells,
        whole,
        recipe.clip_norm,
        recipe.clip_value,
        clipped,
    )
    return replace(flow, verdict=verdict(flow))


def _forward(program: Program, examples: int) -> Graph:
    """Return the forward graph in training mode, with the layers' nodes among its outputs."""
    more = {
        f"layer.{number}": layer.node
        for number, layer in enumerate(program.layers)
        if layer.node.type.kind == "float" and not _is_one_step(layer.node)
    }
    return bind_batch(straightened(pipeline.forward(program, True, more)), examples)


def _is_one_step(node: Node) -> bool:
    """Return whether a node belongs to the formula of one step of a cell, not to the graph."""
    return any(
        isinstance(each.op, Input) and each.op.role == Role.STEP for each in topological([node])
    )


def _output(graph: Graph, number: int, layer: Layer) -> Node | None:
    """Return the output of a layer, for all steps of a cell; None if it is not a number."""
    known = graph.outputs.get(f"layer.{number}")
    if known is not None or layer.node.type.kind != "float":
        return known
    own = [
        node
        for node in graph.nodes
        if _is_within(node.origin.word, layer.path)
        and node.type.batched
        and node.type.shape[1:] == layer.output.shape
    ]
    return own[-1] if own else None


def _merged(layers: list[tuple[Layer, Node]]) -> list[tuple[Layer, Node]]:
    """Return the layers without parameter-free ones that give the value of their whole block."""
    return [
        (layer, node)
        for k, (layer, node) in enumerate(layers)
        if layer.parameters
        or not any(
            node is other and _is_within(layer.path, block.path) for block, other in layers[k + 1 :]
        )
    ]


def _is_within(word: str, path: str) -> bool:
    return word == path or word.startswith(f"{path}.")


def _units(graph: Graph, paths: list[str]) -> dict[str, list[Node]]:
    """Return the nodes that can saturate or die, by the innermost layer that they belong to."""
    found: dict[str, list[Node]] = {path: [] for path in paths}
    for node in graph.nodes:
        if _ends(node) is not None or _is_relu(node):
            owners = [path for path in found if _is_within(node.origin.word, path)]
            if owners and node.type.batched:
                found[max(owners, key=len)].append(node)
    return found


def _ends(node: Node) -> tuple[float, float] | None:
    """Return the ends of the range of an activation that saturates."""
    return node.op.saturates if isinstance(node.op, Elementwise) else None


def _is_relu(node: Node) -> bool:
    """Return whether a node is max(x, 0)."""

    def is_zero(each: Node) -> bool:
        while isinstance(each.op, Broadcast):
            each = each.inputs[0]
        return isinstance(each.op, Const) and each.op.value == 0

    return isinstance(node.op, Maximum) and any(map(is_zero, node.inputs))


def _lines(
    layers: Sequence[tuple[Layer, Node]],
    reached: Container[Node],
    values: Arrays,
    gradient: Arrays,
    units: Mapping[str, list[Node]],
    arrays: Mapping[str, np.ndarray],
    slopes: Mapping[str, np.ndarray],
) -> tuple[LayerFlow, ...]:
    """Return the table. `reached` are the nodes that the loss depends on."""
    sizes = [_largest_step(gradient[node], _steps(layer, node)) for layer, node in layers]
    norms = [
        size * bound(layer.output.elements) ** 0.5
        for (layer, _), size in zip(layers, sizes, strict=True)
    ]
    # layers within a cell come before it in the table, and are no part of the way from first to
    # last
    last = next(
        (
            whole
            for whole, (layer, _) in zip(norms[::-1], layers[::-1], strict=True)
            if whole and not _is_one_step(layer.node)
        ),
        0.0,
    )
    lines = []
    for (layer, node), size, whole in zip(layers, sizes, norms, strict=True):
        steps = _steps(layer, node)
        own = [path for path in layer.parameters if path in slopes]
        smooth = [each for each in units[layer.path] if not _is_relu(each)]
        rectified = [each for each in units[layer.path] if _is_relu(each)]
        lines.append(
            LayerFlow(
                layer.path,
                layer.text,
                node.type.bound_shape,
                rms(values[node]),
                size if node in reached else None,
                divided(whole, last) if node in reached else None,
                norm(*(arrays[path] for path in own)) if own else None,
                norm(*(slopes[path] for path in own)) if own else None,
                _share([_saturated(each, values[each]) for each in smooth]),
                _share([_dead(values[each], steps) for each in rectified]),
                _is_one_step(layer.node),
            )
        )
    return tuple(lines)


def _steps(layer: Layer, node: Node) -> int | None:
    """Return the number of steps of a layer's output, its first axis; None if it has no steps."""
    return node.type.bound_shape[0] if node.type.rank > layer.output.rank else None


def _largest_step(d: np.ndarray, steps: int | None) -> float:
    if steps is None:
        return rms(d)
    return max(rms(d[:, t]) for t in range(steps))


def _saturated(node: Node, y: np.ndarray) -> np.ndarray:
    ends = _ends(node)
    assert ends is not None
    low, high = ends
    edge = EDGE * (high - low)
    return (y < low + edge) | (y > high - edge)


def _dead(y: np.ndarray, steps: int | None) -> np.ndarray:
    """Return for each unit whether it is 0 for every example, at every step and place of a map."""
    if steps is not None and y.ndim > 1 and y.shape[1] == steps:
        y = y.reshape(-1, *y.shape[2:])
    others = (0, *range(2, y.ndim)) if y.ndim >= 4 else (0,)
    return np.asarray((y <= 0).all(axis=others))


def _share(flags: list[np.ndarray]) -> float | None:
    count = sum(each.size for each in flags)
    return float(sum(int(each.sum()) for each in flags) / count) if count else None


def _cell(recurrence: Recurrence, values: Arrays, gradient: Arrays, examples: int) -> CellFlow:
    before = {
        each: np.broadcast_to(values[each], (examples, *each.type.bound_shape))
        for each in recurrence.carries
    }
    slopes = {
        each: np.broadcast_to(gradient[each], (examples, *each.type.bound_shape))
        for each in recurrence.carries
    }
    return recurrence.flow(values, before, slopes)


def _clipped(
    slopes: list[np.ndarray], value: float | None, bound: float | None
) -> tuple[float, float | None]:
    """The norm of all gradients, and what clipping makes of it (see `passes.clip`)."""
    whole = norm(*slopes)
    if value is None and bound is None:
        return whole, None
    if value is not None:
        slopes = [np.clip(each, -value, value) for each in slopes]
    clipped = norm(*slopes)
    return whole, clipped if bound is None else min(clipped, bound)
