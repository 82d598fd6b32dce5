"""The checker: from a syntax tree to a program, with all errors of the file at once.

    file, diagnostics = parse(source)
    report = Report(diagnostics)
    program = check(file, {"classes": 10}, report)      # None after an error

It elaborates the model and expands every definition at its use. The shapes are checked by the shape
rules of the nodes that are built.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from specc.diagnostics import Diagnostic, Label, Report
from specc.frontend.elaborate.copies import averages
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.fix.fixes import verify_fixes
from specc.frontend.lint.allow import silence
from specc.frontend.lint.lint import lint
from specc.frontend.program.augments import augments_of
from specc.frontend.program.balance import balanced_target
from specc.frontend.program.doubt import doubted, drop_consequences, follows_a_bracket, overlap
from specc.frontend.program.model import RESERVED, Elaborated, elaborate
from specc.frontend.program.overrides import check_known, numbers_of, overridden, parsed
from specc.frontend.program.training import TrainBlock, train
from specc.frontend.program.uses import file_scope
from specc.frontend.program.whole import (
    check_losses_reach,
    check_memory,
    head,
    warn_of_signed_loss,
)
from specc.frontend.scope.scope import Context, Scope
from specc.frontend.scope.values import POISON
from specc.frontend.syntax import ast
from specc.ir.program import Program
from specc.source import Source

DEPTH = 20_000
"""The most Python frames: formulas may be nested 200 deep, and definitions 40 deep."""


def check(
    file: ast.File, overrides: Mapping[str, str | int | float] = {}, report: Report | None = None
) -> Program | None:
    """Return the program of a file; None if it has errors, or only definitions.

    `overrides` change dimensions, constants, and settings of `train` and of its optimizer. A value
    is a number, or a string that is parsed as an expression of the language (see `overrides.py`).
    Without a `report`, errors raise SpecError.
    """
    found = report if report is not None else Report()
    own = Report()
    syntax = found.errors
    program, scope = _check(doubted(file, syntax), overrides, own, is_incomplete=bool(syntax))
    drop_consequences(file, own, syntax)
    found.keep([each for each in found if not follows_a_bracket(each, syntax)])
    verify_fixes(file.source, own, lambda source: _errors(source, overrides))
    if not own.errors and not found.errors:
        lint(file, program, scope, own)
    _shorten(own)
    for each in silence(file, own):
        found.add(each)
    if report is None:
        found.raise_errors()
    return None if found.errors else program


def draft(file: ast.File, errors: Iterable[Diagnostic]) -> Program | None:
    """Return the program of a file with errors, for its ports and data; None if these have errors.

    Its graphs may be incomplete.
    """
    blocks = [each for each in file.definitions if isinstance(each, (ast.Model, ast.Train))]
    statements = [each for block in blocks for each in block.body]
    ports = [each for each in statements if isinstance(each, (ast.Input, ast.Target, ast.Stream))]
    calls = [each for each in statements if isinstance(each, (ast.Data, ast.Validate, ast.Test))]
    if any(isinstance(each, ast.Broken) for each in (*statements, *file.definitions)):
        return None
    for error in errors:
        is_within = any(overlap(error.span, each.span) for each in (*ports, *calls))
        if error.name == "syntax" or is_within:
            return None
    program, _ = _check(file, {}, Report())
    if program is None:
        return None
    names = {each.name for each in program.ports}
    return program if names >= {each.name.text for each in ports} else None


MOST_DIAGNOSTICS = 500
"""The most errors that are reported for a file."""


def _shorten(report: Report) -> None:
    """Keep only the first of very many diagnostics, errors before warnings."""
    found = sorted(report.diagnostics, key=lambda each: each.severity != "error")
    if len(found) > MOST_DIAGNOSTICS:
        last = found[MOST_DIAGNOSTICS]
        report.keep(found[:MOST_DIAGNOSTICS])
        message = (
            f"there are {len(found):,} errors and warnings; the first {MOST_DIAGNOSTICS} are shown"
        )
        report.add(Diagnostic(last.name, last.severity, message, last.span))


def _errors(source: Source, overrides: Mapping[str, str | int | float]) -> list[Diagnostic]:
    """Return the errors of a source, including syntax errors."""
    from specc.frontend.syntax.parse import parse

    file, diagnostics = parse(source)
    report, own = Report(diagnostics), Report()
    syntax = report.errors
    _check(doubted(file, syntax), overrides, own, is_incomplete=bool(syntax))
    drop_consequences(file, own, syntax)
    for each in own:
        report.add(each)
    return report.errors


def _check(
    file: ast.File,
    overrides: Mapping[str, str | int | float],
    report: Report,
    is_incomplete: bool = False,
) -> tuple[Program | None, Scope]:
    """Check the file and report its errors. An incomplete file has syntax errors."""
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
                f"`{definition.name.text}` is a reserved name",
                definition.name.span,
                help="rename it",
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
    """Compute a number of the file, and the numbers that it depends on."""
    try:
        with recursion(DEPTH):
            number_value(scope, definition)
    except RecursionError:
        message = f"`{definition.name.text}` depends on too long a chain of other numbers"
        context.error("too-deep", message, definition.name.span)
        scope.numbers.update(dict.fromkeys(scope.evaluating, POISON))
        scope.evaluating.clear()


def _walk(context: Context, scope: Scope, model: ast.Model, block: ast.Train | None) -> Program:
    """Elaborate the model and its training."""
    augments = augments_of(context, model, block)
    elaborated = elaborate(context, scope, model, augments, balanced_target(block))
    warn_of_signed_loss(context, elaborated)
    training = TrainBlock()
    if block is not None:
        if not elaborated.losses and not _has_broken_loss(model):
            context.error(
                "no-loss",
                "a model with a `train` block needs a loss",
                model.name.span,
                help="add the value to minimize: `loss cross_entropy(scores, label)`",
            )
        training = train(
            context, scope, block, elaborated.ports, elaborated.losses, elaborated.metrics
        )
    is_whole = not any(isinstance(each, ast.Broken) for each in model.body)
    if is_whole and elaborated.losses and training.updates and not context.report.errors:
        check_losses_reach(context, elaborated, training)
    check_memory(context, elaborated, training, block)
    _average(context, training)
    return _program(context, model, elaborated, training)


@contextmanager
def recursion(depth: int) -> Iterator[None]:
    """Raise Python's recursion limit (Python calls take no space on the machine's stack)."""
    before = sys.getrecursionlimit()
    sys.setrecursionlimit(max(before, depth))
    try:
        yield
    finally:
        sys.setrecursionlimit(before)


def _average(context: Context, training: TrainBlock) -> None:
    """Add the moving means of all trained weights for the setting `average`."""
    share = training.recipe.average
    if share is None:
        return
    trained = [context.parameters[each.path] for each in training.updates]
    states, found = averages(trained, share)
    context.states.update({each.path: each for each in states})
    context.averages.update({each.path: each for each in found})


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
        averages=tuple(context.averages.values()),
        objectives=tuple(training.objectives),
        scores=tuple(dict.fromkeys(context.scores)),
        probabilities=tuple(dict.fromkeys(context.probabilities)),
    )


D = TypeVar("D", ast.Model, ast.Train)


def _only(context: Context, file: ast.File, cls: type[D]) -> D | None:
    """Return the only model (or train) of a file. Report further ones."""
    found = [each for each in file.definitions if isinstance(each, cls)]
    for extra in found[1:]:
        word = cls.__name__.lower()
        context.error(
            "duplicate-name",
            f"a file can have only one `{word}`",
            head(extra),
            labels=[Label(head(found[0]), "the first one")],
        )
    return found[0] if found else None


def _has_broken_loss(model: ast.Model) -> bool:
    return any(
        isinstance(each, ast.Loss)
        or (isinstance(each, ast.Broken) and each.keyword in ("loss", ""))
        for each in model.body
    )


def _is_library(file: ast.File) -> bool:
    """Return whether a file has only definitions, for other files."""
    return bool(file.definitions) and not any(
        isinstance(each, ast.Train) or (isinstance(each, ast.Broken) and each.keyword == "model")
        for each in file.definitions
    )


def _check_definitions(context: Context, file: ast.File, scope: Scope) -> None:
    """Report errors in definitions that were not used."""
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
