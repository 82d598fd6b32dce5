"""The checker: from a syntax tree to a program, with all mistakes of the file in one run.

    file, diagnostics = parse(source)
    report = Report(diagnostics)
    program = check(file, {"classes": 10}, report)      # None after a mistake

It walks the model and writes every word out at its use; the shape rules of the nodes that are built
on the way are the shape check.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import TypeVar

from specc.diagnostics import Diagnostic, Label, Report
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.fix.fixes import verify_fixes
from specc.frontend.lint.allow import silence
from specc.frontend.lint.lint import lint
from specc.frontend.lint.signed import cancelling
from specc.frontend.program.model import RESERVED, Elaborated, elaborate
from specc.frontend.program.overrides import check_known, numbers_of, overridden, parsed
from specc.frontend.program.training import TrainBlock, train
from specc.frontend.program.uses import file_scope
from specc.frontend.scope.scope import Context, Scope
from specc.frontend.scope.values import POISON, show_bytes
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import broken
from specc.ir import sizes
from specc.ir.graph import Node, topological
from specc.ir.program import Program
from specc.ops.carry import Carry
from specc.ops.elementwise import Detach
from specc.ops.leaf import Input, Role
from specc.source import Source, Span

DEPTH = 20_000
"""Python frames that a walk may take: a formula may be nested 200 deep, in definitions 40 deep."""


def check(
    file: ast.File, overrides: Mapping[str, str | int | float] = {}, report: Report | None = None
) -> Program | None:
    """Return the program of a file; None where it has mistakes, or definitions only.

    `overrides` give dimensions, constants, settings of `train` and of its optimizer another value:
    a number, or a text that is read as an expression of the language (see `overrides.py`). Without
    a `report`, mistakes raise SpecError.
    """
    found = report if report is not None else Report()
    own = Report()
    syntax = found.errors
    program, scope = _check(_doubted(file, syntax), overrides, own, is_incomplete=bool(syntax))
    _drop_consequences(file, own, syntax)
    found.keep([each for each in found if not _follows_a_bracket(each, syntax)])
    verify_fixes(file.source, own, lambda source: _errors(source, overrides))
    if not own.errors and not found.errors:
        lint(file, program, scope, own)
    _shorten(own)
    for each in silence(file, own):
        found.add(each)
    if report is None:
        found.raise_errors()
    return None if found.errors else program


ABSENT = ("no-parameter", "no-optimizer", "no-model", "no-loss", "no-input")
"""Errors of what a file lacks: it may be in a part that could not be read."""
VALUES = ("dim", "seq", "const", "input", "stream", "target", "let", "param", "state")
NAMED_WORDS = ("use", "fn", "block", "cell", "optimizer", "layer")


def _doubted(file: ast.File, syntax: Iterable[Diagnostic]) -> ast.File:
    """Return the file with a `Broken` in the place of every statement that holds an error of
    syntax. What was read of it is in doubt, unless the error has a sure fix: then it was read as if
    it was fixed."""
    doubtful = [
        each.span for each in syntax if not each.fixes or "is missing between" in each.message
    ]

    def doubted(node):
        if isinstance(node, ast.Broken) or not any(_overlap(each, node.span) for each in doubtful):
            return node
        if isinstance(body := getattr(node, "body", None), tuple):
            return replace(node, body=tuple(doubted(each) for each in body))
        return broken(node)

    return replace(file, definitions=tuple(map(doubted, file.definitions))) if doubtful else file


def _follows_a_bracket(each: Diagnostic, syntax: list[Diagnostic]) -> bool:
    """Return whether an operator is missing only because a bracket that closes nothing is before
    it."""
    return (
        each.name == "syntax"
        and "is missing between `)` and" in each.message
        and any(
            other.message == "this `)` closes nothing"
            and other.span.line == each.span.line
            and other.span.start < each.span.start
            for other in syntax
        )
    )


def _drop_consequences(file: ast.File, report: Report, syntax: list[Diagnostic]) -> None:
    """Drop errors that may only follow from an error of syntax."""
    if not syntax:
        return
    # what could not be read, and where its names would have had a meaning
    unread: list[tuple[ast.Broken, Span | None]] = [
        (each, None) for each in file.definitions if isinstance(each, ast.Broken)
    ]
    for definition in file.definitions:
        body = getattr(definition, "body", None) or ()
        unread += [(each, definition.span) for each in body if isinstance(each, ast.Broken)]

    def follows(found: Diagnostic) -> bool:
        if found.name in ABSENT:
            return True
        if found.name != "unknown-name":
            return False
        declaring = NAMED_WORDS if "word" in found.message else VALUES
        for each, within in unread:
            if within is None or _overlap(within, found.span):
                if each.keyword in declaring and not each.names:
                    return True
                if not each.names and found.span.text in re.findall(r"\w+", each.span.text):
                    return True
        return False

    report.keep([each for each in report.diagnostics if not follows(each)])


def draft(file: ast.File, mistakes: Iterable[Diagnostic]) -> Program | None:
    """What a file with mistakes says of its ports and its data: None where a mistake may lie in
    that.

    Its graphs may be incomplete.
    """
    blocks = [each for each in file.definitions if isinstance(each, (ast.Model, ast.Train))]
    statements = [each for block in blocks for each in block.body]
    ports = [each for each in statements if isinstance(each, (ast.Input, ast.Target, ast.Stream))]
    calls = [each for each in statements if isinstance(each, (ast.Data, ast.Validate, ast.Test))]
    if any(isinstance(each, ast.Broken) for each in (*statements, *file.definitions)):
        return None
    for mistake in mistakes:
        is_within = any(_overlap(mistake.span, each.span) for each in (*ports, *calls))
        if mistake.name == "syntax" or is_within:
            return None
    program, _ = _check(file, {}, Report())
    if program is None:
        return None
    names = {each.name for each in program.ports}
    return program if names >= {each.name.text for each in ports} else None


def _overlap(a: Span, b: Span) -> bool:
    return a.source is b.source and a.start < b.end and b.start < a.end


MOST_MISTAKES = 500
"""Mistakes reported for one file; more are not of its author's making."""


def _shorten(report: Report) -> None:
    """Keeps the first of very many diagnostics, errors before warnings."""
    found = sorted(report.diagnostics, key=lambda each: each.severity != "error")
    if len(found) > MOST_MISTAKES:
        last = found[MOST_MISTAKES]
        report.keep(found[:MOST_MISTAKES])
        message = f"there are {len(found):,} mistakes; the first {MOST_MISTAKES} are shown"
        report.add(Diagnostic(last.name, last.severity, message, last.span))


def _errors(source: Source, overrides: Mapping[str, str | int | float]) -> list[Diagnostic]:
    """Return the errors of a source, syntax included."""
    from specc.frontend.syntax.parse import parse

    file, diagnostics = parse(source)
    report, own = Report(diagnostics), Report()
    syntax = report.errors
    _check(_doubted(file, syntax), overrides, own, is_incomplete=bool(syntax))
    _drop_consequences(file, own, syntax)
    for each in own:
        report.add(each)
    return report.errors


def _check(
    file: ast.File,
    overrides: Mapping[str, str | int | float],
    report: Report,
    is_incomplete: bool = False,
) -> tuple[Program | None, Scope]:
    """Walk the file; what is wrong goes to the report. An incomplete one has errors of syntax."""
    context = Context(report)
    context.is_incomplete = is_incomplete
    given = parsed(context, overrides)
    scope = file_scope(context, file)
    context.overrides = numbers_of(given, scope)
    for definition, owner in list(scope.definitions.values()):
        if isinstance(definition, ast.Dim | ast.Seq | ast.Const):
            _number(context, owner, definition)
    for definition in file.definitions:
        if isinstance(definition, ast.Named) and definition.name.text in RESERVED:
            context.error(
                "duplicate-name",
                f"`{definition.name.text}` has a meaning of its own",
                definition.name.span,
                help="give this another name",
            )
    model, block = _only(context, file, ast.Model), _only(context, file, ast.Train)
    check_known(context, scope, given, block)
    if block is not None:
        block = overridden(scope, block, given)
    program = None
    if model is not None:
        try:
            with recursion(DEPTH):
                program = _walk(context, scope, model, block)
        except RecursionError:
            context.error(
                "too-deep", "the formulas of this model are nested too deeply", model.name.span
            )
    elif not _is_library(file) and not report.errors:
        place = block.span if block is not None else file.source.end
        context.error("no-model", "the file has no model", place)
    _check_definitions(context, file, scope)
    return program, scope


def _number(context: Context, scope: Scope, definition: ast.Dim | ast.Seq | ast.Const) -> None:
    """Calculate a number of the file, and those that it is made of."""
    try:
        with recursion(DEPTH):
            number_value(scope, definition)
    except RecursionError:
        message = f"`{definition.name.text}` is made of too many numbers, one of the other"
        context.error("too-deep", message, definition.name.span)
        scope.numbers.update(dict.fromkeys(scope.evaluating, POISON))
        scope.evaluating.clear()


def _walk(context: Context, scope: Scope, model: ast.Model, block: ast.Train | None) -> Program:
    """Walk the model and its training."""
    elaborated = elaborate(context, scope, model)
    _warn_of_signed_loss(context, elaborated)
    training = TrainBlock()
    if block is not None:
        if not elaborated.losses and not _has_broken_loss(model):
            context.error(
                "no-loss",
                "a model that is trained needs a loss",
                model.name.span,
                help="say what is to become small: `loss cross_entropy(scores, label)`",
            )
        training = train(
            context, scope, block, elaborated.ports, elaborated.losses, elaborated.metrics
        )
    is_whole = not any(isinstance(each, ast.Broken) for each in model.body)
    if is_whole and elaborated.losses and training.updates and not context.report.errors:
        _check_losses_reach(context, elaborated, training)
    _check_memory(context, elaborated, training, block)
    return _program(context, model, elaborated, training)


def _warn_of_signed_loss(context: Context, elaborated: Elaborated) -> None:
    """Warn where errors of both signs cancel in the loss."""
    term = None if context.report.errors else cancelling(elaborated.losses)
    if term is not None and term.span is not None:
        context.report.warning(
            "signed-loss",
            f"errors of both signs cancel in `{term.name}`: no gradient depends on a target",
            term.span,
            help="`mse` and `mae` grow with every error; a `metric` may tell the sign of errors",
        )


MOST_BYTES = 2**37
"""Bytes of all parameters in float32; training needs two to four times as much."""


def _check_losses_reach(context: Context, elaborated: Elaborated, training: TrainBlock) -> None:
    """Refuse losses on which no trained parameter has an influence that a gradient could
    follow."""
    trained = {each.path for each in training.updates}
    reached: set[Node] = set()
    waiting = [term.node for term in elaborated.losses]
    while waiting:
        node = waiting.pop()
        if node in reached or isinstance(node.op, Detach):
            continue
        reached.add(node)
        waiting += node.inputs
        if isinstance(node.op, Carry):  # the state that a step of a cell has left
            waiting.append(context.carries[node.op.label])
        if isinstance(node.op, Input) and node.op.role == Role.PARAM and node.op.label in trained:
            return
    first = elaborated.losses[0]
    assert first.span is not None, "a loss of the file has a place; please report this"
    context.error(
        "no-parameter",
        "no loss depends on a parameter that is trained",
        first.span,
        help="compare what the layers make of the inputs with a target: `loss mse(y, t)`",
    )


USUAL_BATCH = 4096


def _check_memory(context: Context, elaborated: Elaborated, training: TrainBlock, block) -> None:
    """Refuse a model whose parameters fit into no machine, and a batch that does not."""
    counts = {path: each.type.elements for path, each in context.parameters.items()}
    known = {path: count for path, count in counts.items() if isinstance(count, int)}
    total = 4 * sum(known.values())
    if total > MOST_BYTES:
        largest = context.parameters[max(known, key=known.__getitem__)]
        assert largest.span is not None, "a parameter has a place; please report this"
        context.error(
            "too-large",
            f"the parameters would take {show_bytes(total)}; at most {show_bytes(MOST_BYTES)} are"
            " possible",
            largest.span,
            help=(
                f"the largest is `{largest.path}` {sizes.show(largest.type.shape)},"
                f" {show_bytes(4 * known[largest.path])}"
            ),
        )
    batch = training.recipe.batch
    if batch <= USUAL_BATCH or context.report.errors:
        return
    nodes = topological(term.node for term in (*elaborated.losses, *elaborated.outputs))
    elements = [each.type.elements for each in nodes if each.type.batched]
    most = max((each for each in elements if isinstance(each, int)), default=0)
    if 4 * most * batch > MOST_BYTES:
        place = next(
            (
                each.value.span
                for each in block.body
                if isinstance(each, ast.Setting) and each.name.text == "batch"
            ),
            _head(block),
        )
        context.error(
            "too-large",
            f"a batch of {batch:,} examples would take {show_bytes(4 * most * batch)} for one"
            f" value alone, which has {most:,} elements for each of them; at most"
            f" {show_bytes(MOST_BYTES)} are possible",
            place,
        )


@contextmanager
def recursion(depth: int) -> Iterator[None]:
    """Lets Python functions call each other so deeply (they take no room on the machine's
    stack)."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, depth))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _program(
    context: Context, model: ast.Model, elaborated: Elaborated, training: TrainBlock
) -> Program:
    return Program(
        name=model.name.text,
        ports=tuple(elaborated.ports),
        parameters=tuple(context.parameters.values()),
        states=tuple(context.states.values()),
        losses=tuple(elaborated.losses),
        metrics=tuple(elaborated.metrics),
        outputs=tuple(elaborated.outputs),
        updates=tuple(training.updates),
        layers=tuple(context.layers),
        recipe=training.recipe,
        open_sizes=tuple(context.open_sizes),
        frozen=tuple(training.frozen),
        limits=tuple(training.limits),
        carries=tuple(context.carries.items()),
        streams=tuple(context.streams.items()),
    )


D = TypeVar("D", ast.Model, ast.Train)


def _only(context: Context, file: ast.File, cls: type[D]) -> D | None:
    """Return the one model (or train) of a file."""
    found = [each for each in file.definitions if isinstance(each, cls)]
    for extra in found[1:]:
        word = cls.__name__.lower()
        context.error(
            "duplicate-name",
            f"a file has one `{word}`",
            _head(extra),
            labels=[Label(_head(found[0]), "the first one")],
        )
    return found[0] if found else None


def _head(definition: ast.Model | ast.Train) -> Span:
    """Return the keyword of a definition, and its name."""
    if isinstance(definition, ast.Model):
        return definition.name.span
    return Span(definition.span.source, definition.span.start, definition.span.start + len("train"))


def _has_broken_loss(model: ast.Model) -> bool:
    return any(
        isinstance(each, ast.Loss)
        or (isinstance(each, ast.Broken) and each.keyword in ("loss", ""))
        for each in model.body
    )


def _is_library(file: ast.File) -> bool:
    """Return whether a file holds definitions for others to use."""
    return bool(file.definitions) and not any(
        isinstance(each, ast.Train) or (isinstance(each, ast.Broken) and each.keyword == "model")
        for each in file.definitions
    )


def _check_definitions(context: Context, file: ast.File, scope: Scope) -> None:
    """Looks for mistakes in what no use has led to."""
    from specc.frontend.program.resolve import resolve
    from specc.frontend.program.unused import check_unused

    for definition in file.definitions:
        resolve(context, scope, definition)
    try:
        with recursion(DEPTH):
            check_unused(context, scope, list(file.definitions))
    except RecursionError:
        context.error(
            "too-deep", "the formulas of this file are nested too deeply", file.definitions[0].span
        )
