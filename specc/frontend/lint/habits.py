"""Warnings about the training of a model: optimizer, gradients, memory and data.

    optimizer adam(lr = 0.5)        # warning[unusual-rate]

In: the checked file and its program. Out: warnings in the report.
"""

from __future__ import annotations

import os
from typing import Any

from specc.diagnostics import Label, Report
from specc.frontend.lint.footprint import footprint
from specc.frontend.lint.rates import rates
from specc.frontend.scope.scope import Scope
from specc.frontend.scope.values import show_bytes
from specc.frontend.syntax import ast
from specc.frontend.words.facts import facts_of
from specc.frontend.words.signatures import signature_of
from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ir.types import element_bytes
from specc.ops import elementwise as ops
from specc.ops.carry import Carry
from specc.ops.contract import Contract
from specc.ops.leaf import Input, Role
from specc.recipe.data_warnings import large_batch, missing_classes, same_data
from specc.recipe.sources import SOURCES
from specc.source import Source, Span
from specc.system.memory import machine_memory

STEPS = 16
"""The fewest steps of a recurrence after which a gradient may explode."""


def untrained(source: Source, program: Program, report: Report) -> None:
    """Report parameters that no loss of the examples depends on."""
    roots = [term.node for term in program.losses if term.node.type.batched]
    if not roots:
        return
    reached: set[str] = set()
    done: set[Node] = set()
    waiting = list(roots)
    carries = dict(program.carries)
    while waiting:
        node = waiting.pop()
        if node in done or isinstance(node.op, ops.Detach):
            continue
        done.add(node)
        if isinstance(node.op, Carry):  # the state that the previous step of a cell left
            waiting.append(carries[node.op.label])
        if isinstance(node.op, Input) and node.op.role == Role.PARAM:
            reached.add(node.op.label)
        waiting += node.inputs
    lost = [
        each
        for each in program.parameters
        if each.path not in reached and each.path not in program.frozen
    ]
    maker = {path: layer for layer in program.layers for path in layer.parameters}
    for each in lost:
        layer = maker.get(each.path)
        span = layer.span if layer is not None else each.span
        if span is None or span.source is not source:
            continue
        what = (
            f"the parameters of `{layer.path}`"
            if layer is not None
            else f"the parameter `{each.path}`"
        )
        report.warning(
            "untrained",
            (
                f"no loss depends on {what}: training leaves them as they begin"
                if layer is not None
                else f"no loss depends on {what}: training leaves it as it begins"
            ),
            span,
            help="add a loss that does, or say `freeze` if that is meant",
        )


def l2_with_adam(model: ast.Model, train: ast.Train, scope: Scope, report: Report) -> None:
    """Report a penalty on all weights, if the optimizer states that another one is meant for it."""
    adams = []
    for statement in train.body:
        if not isinstance(statement, ast.TrainOptimizer):
            continue
        word = scope.word(statement.optimizer.word.text)
        instead = facts_of(word.definition).instead if word is not None else None
        if word is not None and instead is not None:
            penalty = (word.scope or scope).word(instead[0])
            if penalty is not None:
                adams.append((statement.optimizer.word, penalty.definition, instead[1]))
    losses = [each for each in model.body if isinstance(each, ast.Loss)] if adams else []
    for node in (node for each in losses for node in ast.walk(each.value)):
        if not isinstance(node, ast.Call) or not _is_of_weights(node):
            continue
        used = scope.word(node.word.text)
        found = [each for each in adams if used is not None and each[1] is used.definition]
        if found:
            name, _, better = found[0]
            report.warning(
                "penalty-with-adam",
                f"with `{name}`, an L2 penalty does not act as weight decay, because `{name}`"
                " rescales its gradient",
                node.span,
                labels=[Label(name.span, f"`{name}` here")],
                help=f"use `{better}(weight_decay = ...)` instead of the penalty",
            )


def _is_of_weights(call: ast.Call) -> bool:
    """Return whether a call is given all weights: `l2(weights)`."""
    if len(call.inputs) != 1:
        return False
    value = call.inputs[0].value
    return isinstance(value, ast.Path) and value.text == "weights"


def unusual_rate(train: ast.Train, scope: Scope, program: Program, report: Report) -> None:
    """Report learning rates far from those that the optimizer states."""
    for statement in train.body:
        if not isinstance(statement, ast.TrainOptimizer):
            continue
        name = statement.optimizer.word.text
        word = scope.word(name)
        habit = facts_of(word.definition).rates if word is not None else None
        if word is None or habit is None:
            continue
        setting = _setting(statement.optimizer, word.definition, "lr")
        found = rates(scope, setting, program.recipe.epochs) if setting is not None else []
        highest = max(found, default=habit.low)
        if setting is None or habit.low <= highest <= habit.high:
            continue
        side = "large" if highest > habit.high else "small"
        report.warning(
            "unusual-rate",
            f"a learning rate of {highest:g} is very {side} for `{name}`",
            setting.span,
            help=f"use a value from {habit.usual}",
        )


def unclipped(source: Source, program: Program, report: Report) -> None:
    """Report states that pass through weights for many steps, if nothing bounds the gradient."""
    recipe = program.recipe
    if not program.updates or recipe.clip_norm is not None or recipe.clip_value is not None:
        return
    starts = {node.op.label: node for node in program.loss_nodes if isinstance(node.op, Carry)}
    spans = {layer.path: layer.span for layer in program.layers}
    for label, following in program.carries:
        start = starts.get(label)
        if start is None or not isinstance(start.op, Carry):
            continue
        steps = start.op.steps
        is_short = isinstance(steps, int) and steps < STEPS
        if is_short or not _goes_through_weights(start, following):
            continue
        path = label.rpartition(".")[0]
        span = spans.get(path) or start.origin.span
        if span is None or span.source is not source:
            continue
        count = f"{steps} times" if isinstance(steps, int) else "at each step"
        report.warning(
            "unclipped",
            f"the gradient of `{path or label}` passes through the same weights {count} without"
            " clipping, so it may explode",
            span,
            labels=(
                [
                    Label(
                        Span(source, recipe.span.start, recipe.span.start + len("train")),
                        "no `clip_norm` here",
                    )
                ]
                if recipe.span is not None and recipe.span.source is source
                else ()
            ),
            help="`clip_norm = 1` in `train` keeps one bad step from undoing the training",
        )
        return


def _goes_through_weights(start: Node, following: Node) -> bool:
    """Return whether the next value of a state is computed from it by a product."""
    depends: dict[Node, bool] = {}
    for node in topological([following]):
        depends[node] = node is start or any(depends[each] for each in node.inputs)
        if depends[node] and isinstance(node.op, Contract):
            return True
    return False


def large_footprint(train: ast.Train, program: Program, report: Report) -> None:
    """Report a training that may take more memory than there is."""
    there = machine_memory() if program.updates else None
    if there is None:
        return
    needed = footprint(program)
    if needed.bytes <= there:
        return
    batch, span = program.recipe.batch, program.recipe.spans.get("batch")
    head = Span(train.span.source, train.span.start, train.span.start + len("train"))
    labels = []
    help_ = "its weights, their gradients and the optimizer's states take the most: make it smaller"
    if needed.examples > needed.parameters and needed.largest is not None:
        each = needed.largest.type.elements
        largest = needed.largest.origin.span
        if isinstance(each, int) and largest is not None and largest.source is train.span.source:
            taken = show_bytes(element_bytes("float") * each * batch)
            labels.append(Label(largest, f"{taken} for the values of a batch"))
        # a training step takes about twice the lower bound
        fitting = int((there - needed.parameters) * 0.25 / (needed.examples / batch))
        help_ = "make it smaller"
        if fitting > 0:
            help_ = f"`batch = {fitting}` takes half of what is there"
            pieces = -(-program.recipe.examples_per_step // fitting)
            if len(program.objectives) < 2:
                help_ += f", and `batch = {fitting} * {pieces}` does so with the same steps"
        if not program.recipe.recompute and 2 * needed.recomputed + needed.parameters <= there:
            help_ = f"`recompute = true` takes less, for some more time; {help_}"
    report.warning(
        "large-footprint",
        f"a training step may take {show_bytes(needed.bytes)}, but this machine has"
        f" {show_bytes(there)}",
        span or head,
        labels=labels,
        help=help_,
    )


def data(program: Program, report: Report) -> None:
    """Report warnings about the data that need no look into a file."""
    recipe = program.recipe
    for each in same_data(recipe, lambda a, b: os.path.normpath(a) == os.path.normpath(b)):
        report.add(each)
    source = SOURCES[recipe.data.word] if recipe.data is not None else None
    if recipe.data is None or source is None or source.examples is None:
        return
    held_out = recipe.validate if isinstance(recipe.validate, float) else 0
    found = [large_batch(recipe, source.examples - round(source.examples * held_out))]
    for port in program.ports:
        if port.role == "target" and port.kind == "class" and isinstance(port.classes, int):
            missing = range(source.classes or 0, port.classes)
            found.append(missing_classes(recipe.data, port, missing))
    for warning in found:
        if warning is not None:
            report.add(warning)


def _setting(call: ast.Call, definition: Any, name: str) -> ast.Expression | None:
    """Return the value of a setting in a call, by its name or position."""
    names = signature_of(definition).setting_names
    for place, argument in enumerate(call.settings):
        place_name = names[place] if place < len(names) else ""
        if (argument.name.text if argument.name else place_name) == name:
            return argument.value
    return None
