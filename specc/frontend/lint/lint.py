"""What is likely a mistake though it compiles: warnings about a file without errors.

In: a checked file and its program. Out: warnings in the report.

    loss cross_entropy(softmax(scores), label)      # warning[double-softmax]

A comment on the line of a warning, or on lines of its own above it, keeps it silent:

    loss penalty = 1e-4 * l2(weights)   # allow: penalty-with-adam
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from functools import cache
from itertools import chain

from specc.diagnostics import Diagnostic, Label, Report, closest
from specc.frontend.lint import habits
from specc.frontend.syntax import ast
from specc.frontend.words.messages import WARNINGS
from specc.ir.graph import Node, topological
from specc.ir.program import Layer, Program
from specc.ops import elementwise as ops
from specc.ops.leaf import Input
from specc.ops.shape import Reshape, Transpose
from specc.source import Source, Span

# Losses and metrics that take scores, and the word that must not come before them.
TAKES_SCORES = {
    "cross_entropy": ("softmax", "log_softmax"),
    "weighted_cross_entropy": ("softmax", "log_softmax"),
    "perplexity": ("softmax", "log_softmax"),
    "binary_cross_entropy": ("sigmoid",),
    "binary_accuracy": ("sigmoid",),
    "precision": ("sigmoid",),
    "recall": ("sigmoid",),
    "f1": ("sigmoid",),
}
SCORED = re.compile("|".join(TAKES_SCORES))
LINEAR = re.compile(r"(?:.*\.)?(dense|conv|conv_transpose)\d+$")
SATURATED = 6
"""Points of a stack of saturating activations that are too many: a sigmoid has 2, a tanh 1."""
ALLOW = re.compile(r"#+\s*allow:\s*(.*)")


def lint(file: ast.File, program: Program | None, report: Report) -> None:
    """Reports what is doubtful in a file that has no errors."""
    found = Report()
    model = next((each for each in file.definitions if isinstance(each, ast.Model)), None)
    train = next((each for each in file.definitions if isinstance(each, ast.Train)), None)
    own = {
        each.name.text
        for each in file.definitions
        if isinstance(each, (ast.Fn, ast.Block, ast.Cell, ast.Optimizer))
    }
    _unused(file, model, found)
    if model is not None and program is not None:
        _double_softmax(model, own, found)
        _linear_on_linear(file.source, program, found)
        _deep_saturation(file.source, program, found)
        if train is not None:
            habits.untrained(file.source, program, found)
            habits.l2_with_adam(model, train, own, found)
            habits.unusual_rate(file, train, own, program, found)
            habits.unclipped(file.source, program, found)
            habits.large_footprint(train, program, found)
            habits.data(program, found)
    for each in found:
        report.add(each)


# Silence


def silence(file: ast.File, report: Report) -> list[Diagnostic]:
    """The diagnostics of a report, without the warnings that comments of the file allow."""
    return _without(file, report, _allowed(file, report))


def without_allowed(file: ast.File, diagnostics: Iterable[Diagnostic]) -> list[Diagnostic]:
    """The diagnostics without the warnings that comments of the file allow."""
    return _without(file, diagnostics, _allowed(file, Report()))


def _without(
    file: ast.File, diagnostics: Iterable[Diagnostic], allowed: dict[int, set[str]]
) -> list[Diagnostic]:
    return [
        each
        for each in diagnostics
        if each.severity == "error"
        or each.span.source is not file.source
        or each.name not in allowed.get(each.span.line, ())
    ]


def _allowed(file: ast.File, report: Report) -> dict[int, set[str]]:
    """The names that are allowed on each line; reports those that name no warning."""
    found: dict[int, set[str]] = {}
    own_line: set[int] = set()
    text = file.source.text
    for comment in file.comments:
        line = comment.span.line
        start = file.source.starts[line - 1]
        if not text[start : comment.span.start].strip():
            own_line.add(line)
        if (match := ALLOW.match(comment.text)) is None:
            continue
        for name in re.findall(r"[\w-]+", match[1].split("(")[0].split(":")[0]):
            if name in WARNINGS:
                found.setdefault(line, set()).add(name)
                continue
            at = comment.text.index(name, match.start(1))
            near = closest(name, WARNINGS)
            span = Span(file.source, comment.span.start + at, comment.span.start + at + len(name))
            report.warning(
                "unknown-allow", f"there is no warning `{name}` to allow", span,
                help=f"did you mean `{near}`?" if near
                else f"there are {', '.join(f'`{each}`' for each in WARNINGS)}",
            )  # fmt: skip
    for line in sorted(own_line):
        if line in found:
            below = line + 1
            while below in own_line:
                below += 1
            found.setdefault(below, set()).update(found[line])
    return found


# Names that nothing uses


def _unused(file: ast.File, model: ast.Model | None, report: Report) -> None:
    mentions = cache(_mentions)  # a statement is asked twice
    for definition in file.definitions:
        body = getattr(definition, "body", None)
        if isinstance(definition, ast.Model):
            roots = [
                s for s in definition.body if isinstance(s, (ast.Output, ast.Loss, ast.Metric))
            ]
            if roots:
                _unused_in(definition.body, roots, "no output, loss or metric", mentions, report)
        elif body and isinstance(definition, (ast.Fn, ast.Block, ast.Cell, ast.Optimizer)):
            roots = [s for s in body if isinstance(s, (ast.Return, ast.Next))]
            _unused_in(body, roots, "nothing that is returned", mentions, report)
    numbers = [each for each in file.definitions if isinstance(each, (ast.Dim, ast.Seq, ast.Const))]
    if model is None or not numbers:
        return
    parts = (part for each in file.definitions for part in ast.children(each))
    used = {name for part in parts for name in mentions(part)}
    for definition in numbers:
        if definition.name.text not in used:
            word = type(definition).__name__.lower()
            report.warning("unused", f"nothing uses the {word} `{definition.name}`", definition.name.span,
                           help="changing it would change nothing")  # fmt: skip


def _unused_in(
    body: Iterable[ast.Statement],
    roots: Iterable[ast.Node],
    what: str,
    mentions: Callable[[ast.Node], list[str]],
    report: Report,
) -> None:
    """Reports the names of a body that its roots do not reach."""
    meaning: dict[str, ast.Statement] = {}
    for statement in body:
        for name in _names(statement):
            meaning.setdefault(name.text, statement)
    reached: set[str] = set()
    waiting: list[ast.Node] = list(roots)
    while waiting:
        for name in mentions(waiting.pop()):
            if name in meaning and name not in reached:
                reached.add(name)
                waiting.append(meaning[name])
    for statement in body:
        names = _names(statement)
        if names and not any(each.text in reached or each.text.startswith("_") for each in names):
            kind = {ast.Let: "value"}.get(type(statement), type(statement).__name__.lower())
            kind = "parameter" if kind == "param" else kind
            report.warning(
                "unused", f"{what} depends on the {kind} `{names[0]}`", names[0].span,
                help="use it, or take it out" if kind != "input"
                else "use it, or take it out: the data need not have it",
            )  # fmt: skip


def _names(statement: ast.Statement) -> tuple[ast.Name, ...]:
    if isinstance(statement, ast.Let):
        return statement.names
    if isinstance(statement, (ast.Input, ast.Target, ast.Stream, ast.Param, ast.Layer)):
        return (statement.name,)
    return ()


def _mentions(node: ast.Node) -> list[str]:
    """The first names of all paths in a node."""
    return [each.names[0].text for each in ast.walk(node) if type(each) is ast.Path]


# Softmax before a loss that applies it


def _double_softmax(model: ast.Model, own: set[str], report: Report) -> None:
    values = {
        s.names[0].text: s.value for s in model.body if isinstance(s, ast.Let) and len(s.names) == 1
    }
    for statement in model.body:
        if not isinstance(statement, (ast.Loss, ast.Metric, ast.Let)):
            continue
        span = statement.span
        if SCORED.search(span.source.text, span.start, span.end) is None:
            continue  # most statements of a long file
        for word, scores in _calls(statement.value):
            before = TAKES_SCORES.get(word.text)
            if before is None or word.text in own:
                continue
            made_by = maker(scores, values)
            if made_by is None or made_by.text not in before or made_by.text in own:
                continue
            report.warning(
                "double-softmax",
                f"`{word}` takes scores, and is given what `{made_by}` makes of them",
                scores.span,
                labels=[Label(made_by.span, f"`{made_by}` here")],
                help=f"give `{word}` the scores before `{made_by}`"
                + (
                    f"; an `output {made_by}(...)` may still be one"
                    if isinstance(statement, ast.Loss)
                    else ""
                ),
            )


def _calls(value: ast.Expression) -> Iterator[tuple[ast.Path, ast.Expression]]:
    """Each use of a word, with its first input."""
    for node in ast.walk(value):
        if isinstance(node, ast.Call) and node.inputs:
            yield node.word, node.inputs[0].value
        elif isinstance(node, ast.Pipeline):
            before: ast.Expression = node.value
            for place, stage in enumerate(node.stages):
                if isinstance(stage, ast.Call):
                    if place:
                        before = ast.Pipeline(node.value, node.stages[:place], node.span)
                    yield stage.word, before


def maker(
    value: ast.Expression, values: dict[str, ast.Expression], depth: int = 0
) -> ast.Path | None:
    """The word that a value comes from."""
    if isinstance(value, ast.Pipeline):
        last = value.stages[-1]
        return last.word if isinstance(last, ast.Call) else None
    if isinstance(value, ast.Call):
        return value.word
    if isinstance(value, ast.Path) and value.text in values and depth < 50:
        return maker(values[value.text], values, depth + 1)
    return None


# Linear layers


def _linear_on_linear(source: Source, program: Program, report: Report) -> None:
    @cache
    def users() -> Counter[Node]:  # few models have a place where it matters
        roots = [t.node for t in (*program.outputs, *program.losses, *program.metrics)]
        return Counter(chain.from_iterable(node.inputs for node in topological(roots)))

    outputs = {term.node for term in program.outputs}
    made = {layer.node: layer for layer in program.layers if LINEAR.match(layer.path)}
    weights = {each.path: each.type for each in program.parameters}
    for layer in program.layers:
        if not LINEAR.match(layer.path) or layer.span is None or layer.span.source is not source:
            continue
        node = _input_of(layer)
        while node is not None and node not in made and isinstance(node.op, (Reshape, Transpose)):
            node = None if users()[node] > 1 else node.inputs[0]
        before = made.get(node) if node is not None else None
        if before is None or before is layer or node in outputs or users()[node] > 1:
            continue
        if _is_narrow(before, layer) or _is_grouped(before, weights) or _is_grouped(layer, weights):
            continue
        report.warning(
            "linear-on-linear",
            f"`{layer.text}` stands right behind `{before.text}`: the two are one linear layer",
            layer.span,
            labels=[Label(before.span, "the first one")]
            if before.span is not None and before.span != layer.span
            else (),
            help="put an activation between them, `-> relu`, or leave one out",
        )


def _input_of(layer: Layer) -> Node | None:
    """The value that a layer is applied to."""
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
    """Whether the value between two layers is smaller than both ends: a code, or a matrix of low rank."""
    if before.input is None:
        return False
    sizes = (before.input.elements, before.output.elements, layer.output.elements)
    if not all(isinstance(each, int) for each in sizes):
        return True  # open sizes: who knows
    return sizes[1] < min(sizes[0], sizes[2])


def _is_grouped(layer: Layer, weights) -> bool:
    """Whether a convolution sees only some of the channels: one of a pair that is cheaper than one."""
    shape = next((weights[p].shape for p in layer.parameters if p.endswith(".weight")), None)
    if shape is None or len(shape) != 4 or layer.input is None or "conv_transpose" in layer.path:
        return False
    return shape[1] != layer.input.shape[0]


# Activations that saturate


def _deep_saturation(source: Source, program: Program, report: Report) -> None:
    if any("norm" in layer.path for layer in program.layers):
        return
    nodes = program.loss_nodes or topological(term.node for term in program.outputs)
    if not any(isinstance(node.op, (ops.Sigmoid, ops.Tanh)) for node in nodes):
        return
    points: dict[Node, int | None] = {}  # None: no input of the model reaches it
    for node in nodes:
        if isinstance(node.op, Input):
            points[node] = 0 if node.op.role == "input" else None
            continue
        before = [p for each in node.inputs if (p := points[each]) is not None]
        if not before or isinstance(node.op, ops.Detach):
            points[node] = None
            continue
        points[node] = (
            min(before) + 2 * isinstance(node.op, ops.Sigmoid) + isinstance(node.op, ops.Tanh)
        )
        span = node.origin.span
        is_new = points[node] >= SATURATED > min(before)
        if is_new and span is not None and span.source is source:
            word = "sigmoid" if isinstance(node.op, ops.Sigmoid) else "tanh"
            report.warning(
                "deep-saturation",
                f"before this `{word}` come so many others that hardly any gradient gets through them",
                span,
                help="use `relu`, put `batchnorm` before them, or add the layer's input to its result",
            )
            return
