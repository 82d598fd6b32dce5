"""All warnings about a file without errors: code that compiles but is probably wrong.

In: a checked file and its program. Out: warnings in the report.

    loss cross_entropy(softmax(scores), label)      # warning[double-softmax]
"""

from __future__ import annotations

from specc.diagnostics import Report
from specc.frontend.lint import habits
from specc.frontend.lint.ahead import looks_ahead
from specc.frontend.lint.linear import linear_on_linear
from specc.frontend.lint.saturation import deep_saturation
from specc.frontend.lint.scores import double_softmax
from specc.frontend.lint.unused import unused
from specc.frontend.scope.scope import Scope
from specc.frontend.syntax import ast
from specc.ir.program import Program


def lint(file: ast.File, program: Program | None, scope: Scope, report: Report) -> None:
    """Report all warnings about a file without errors; `scope` has the functions that it knows."""
    found = Report()
    model = next((each for each in file.definitions if isinstance(each, ast.Model)), None)
    train = next((each for each in file.definitions if isinstance(each, ast.Train)), None)
    unused(file, model, found)
    if model is not None and program is not None:
        double_softmax(model, scope, found)
        linear_on_linear(file.source, program, scope, found)
        deep_saturation(file.source, program, found)
        if train is not None:
            looks_ahead(file.source, program, found)
            habits.untrained(file.source, program, found)
            habits.l2_with_adam(model, train, scope, found)
            habits.unusual_rate(train, scope, program, found)
            habits.unclipped(file.source, program, found)
            habits.large_footprint(train, program, found)
            habits.data(program, found)
    for each in found:
        report.add(each)
