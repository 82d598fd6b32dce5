"""Linear layers with nothing between them, which are one linear layer.

    let h = x -> dense(16) -> dense(4)      # warning[linear-on-linear]

A layer states it: "Linear in its input."
"""

from __future__ import annotations

import re
from collections import Counter
from functools import cache
from itertools import chain

from specc.diagnostics import Label, Report
from specc.frontend.scope.scope import Scope
from specc.frontend.words.facts import facts_of
from specc.ir.graph import Node, topological
from specc.ir.program import Layer, Program
from specc.ir.types import Type
from specc.ops.shape import Reshape, Transpose
from specc.source import Source

NUMBERED = re.compile(r"(?:.*\.)?(\w*?)\d+")
"""The path of a layer without a name of its own."""


def linear_on_linear(source: Source, program: Program, scope: Scope, report: Report) -> None:
    @cache
    def users() -> Counter[Node]:  # few models have a place where it matters
        roots = [t.node for t in (*program.outputs, *program.losses, *program.metrics)]
        return Counter(chain.from_iterable(node.inputs for node in topological(roots)))

    outputs = {term.node for term in program.outputs}
    linear = [layer for layer in program.layers if _is_linear(layer, scope)]
    made = {layer.node: layer for layer in linear}
    weights = {each.path: each.type for each in program.parameters}
    for layer in linear:
        if layer.span is None or layer.span.source is not source:
            continue
        node = _input_of(layer)
        while node is not None and node not in made and isinstance(node.op, (Reshape, Transpose)):
            node = None if users()[node] > 1 else node.inputs[0]
        before = made.get(node) if node is not None else None
        if node is None or before is None or before is layer:
            continue
        if node in outputs or users()[node] > 1:
            continue
        if _is_narrow(before, layer) or _is_grouped(before, weights) or _is_grouped(layer, weights):
            continue
        report.warning(
            "linear-on-linear",
            f"`{layer.text}` directly follows `{before.text}`: together they are a single linear"
            " layer",
            layer.span,
            labels=(
                [Label(before.span, "the first one")]
                if before.span is not None and before.span != layer.span
                else ()
            ),
            help="put an activation between them, `-> relu`, or leave one out",
        )


def _is_linear(layer: Layer, scope: Scope) -> bool:
    """Return whether the word of a numbered layer (`dense1`, `tower.conv2`) states that it is
    linear."""
    numbered = NUMBERED.fullmatch(layer.path)
    word = scope.word(numbered[1]) if numbered is not None else None
    return word is not None and facts_of(word.definition).is_linear


def _input_of(layer: Layer) -> Node | None:
    """Return the value that a layer is applied to."""
    found: dict[Node, None] = {}
    done: set[Node] = set()
    waiting = [layer.node]
    while waiting:
        node = waiting.pop()
        if node in done:
            continue
        done.add(node)
        is_own = node.origin.word == layer.path or node.origin.word.startswith(f"{layer.path}.")
        if is_own:
            waiting += node.inputs
        elif node.type.batched:
            found[node] = None
    return next(iter(found)) if len(found) == 1 else None


def _is_narrow(before: Layer, layer: Layer) -> bool:
    """Return whether the value between two layers is smaller than both ends: a code, or a matrix of
    low rank."""
    if before.input is None:
        return False
    sizes = (before.input.elements, before.output.elements, layer.output.elements)
    if not all(isinstance(each, int) for each in sizes):
        return True  # it may be: the sizes are symbolic
    return sizes[1] < min(sizes[0], sizes[2])


def _is_grouped(layer: Layer, weights: dict[str, Type]) -> bool:
    """Return whether a convolution sees only some of the channels: one of a pair that is cheaper
    than one."""
    shape = next((weights[p].shape for p in layer.parameters if p.endswith(".weight")), None)
    if shape is None or len(shape) != 4 or layer.input is None or "conv_transpose" in layer.path:
        return False
    return shape[1] != layer.input.shape[0]
