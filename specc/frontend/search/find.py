"""The searches in the tree of a file, and their errors.

searches(file, words_of(file), report)      # Space(searches=(Search(name="lr", ...),))
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import field, replace

from specc.diagnostics import Report, closest, spelled
from specc.frontend.scope.scope import Scope
from specc.frontend.search.space import WORD, Branch, Interval, Option, Search, Space
from specc.frontend.syntax import ast
from specc.frontend.words.signatures import signature_of
from specc.system.records import dataclass

WAYS = ("log", "linear", "step")
"""The settings after the semicolon of a search."""
ALONE = (
    ast.Argument,
    ast.Setting,
    ast.Dim,
    ast.Seq,
    ast.Const,
    ast.Let,
    ast.Param,
    ast.Output,
    ast.Loss,
    ast.Metric,
    ast.Pipeline,
    ast.Layer,
    ast.TrainOptimizer,
    ast.Column,
    ast.Augment,
    ast.Axis,
)
"""Nodes whose parts need no parentheses."""


def searches(
    file: ast.File,
    scope: Scope,
    report: Report,
    overrides: Mapping[str, str | int | float] = {},
) -> Space:
    """Return the searches of a file.

    `scope` is the scope of the file, to look up the settings of optimizers. Errors are added to the
    report.
    """
    found = _Finder(scope, report)
    for definition in file.definitions:
        if not isinstance(definition, ast.Broken):
            found.definition(definition)
    keys = {key.rpartition(".")[2] for key in overrides}
    asked = tuple(each for each in found.searches if each.key not in keys)
    overridden = tuple(each for each in found.searches if each.key in keys)
    return Space(file, asked, overridden, overrides)


@dataclass(frozen=True)
class _Location:
    """The location of a node: the name of a search there, and its conditions."""

    name: str
    key: str | None = None
    conditions: tuple[Branch | Option, ...] = ()
    parent: ast.Node | None = None
    is_word: bool = False  # a stage, or the optimizer
    prefix: str = ""


@dataclass
class _Finder:
    scope: Scope
    report: Report
    searches: list[Search] = field(default_factory=list)

    def definition(self, definition: ast.Definition) -> None:
        if isinstance(definition, ast.Dim | ast.Seq | ast.Const):
            if definition.value is not None:
                name = definition.name.text
                self.visit(definition.value, _Location(name, name, parent=definition))
            return
        name = definition.name.text if isinstance(definition, ast.Named) else "train"
        for each in ast.children(definition):
            self.visit(each, _Location(name, parent=definition))

    def visit(self, node: ast.Node, location: _Location) -> None:
        if isinstance(node, ast.Call) and node.word.text == WORD:
            self.search(node, location)
            return
        own = replace(location, is_word=False)
        if isinstance(node, ast.Setting):
            own = replace(own, name=node.name.text, key=node.name.text)
        elif isinstance(node, ast.TrainOptimizer):
            self.visit(node.optimizer, replace(own, name="optimizer", parent=node, is_word=True))
            return
        elif isinstance(node, ast.Call):
            self.arguments(node, own)
            return
        elif isinstance(node, ast.Conditional):
            self.conditional(node, own)
            return
        elif isinstance(node, ast.Pipeline | ast.Layer | ast.Repeat):
            own = self._named(node, own)
            for each in ast.children(node):
                is_stage = each in node.stages
                self.visit(each, replace(own, parent=node, is_word=is_stage))
            return
        else:
            own = self._named(node, own)
        for each in ast.children(node):
            self.visit(each, replace(own, parent=node))

    def _named(self, node: ast.Node, location: _Location) -> _Location:
        """Return the location inside a statement that declares a name."""
        if isinstance(node, ast.Let):
            return replace(location, name=node.names[0].text)
        name = getattr(node, "name", None)
        return replace(location, name=name.text) if isinstance(name, ast.Name) else location

    def conditional(self, node: ast.Conditional, location: _Location) -> None:
        own = replace(location, parent=node)
        self.visit(node.condition, own)
        for value, holds in ((node.value, True), (node.otherwise, False)):
            branch = Branch(node.condition, holds)
            self.visit(value, replace(own, conditions=(*location.conditions, branch)))

    def arguments(self, node: ast.Call, location: _Location) -> None:
        is_optimizer = isinstance(location.parent, ast.TrainOptimizer)
        word = node.word.text
        for number, each in enumerate((*node.inputs, *node.settings)):
            name = each.name.text if each.name is not None else None
            if name is None and is_optimizer:
                name = self._setting_name(word, number)
            shown = f"{location.prefix}{name}" if name else location.name
            key = name if is_optimizer and not location.prefix else location.key
            self.visit(each.value, replace(location, name=shown, key=key, parent=each, prefix=""))

    def _setting_name(self, word: str, number: int) -> str | None:
        """Return the name of an optimizer's setting that is given by position."""
        found = self.scope.word(word)
        if found is None or not isinstance(found.definition, ast.Optimizer):
            return None
        settings = signature_of(found.definition).settings
        return settings[number].name if number < len(settings) else None

    def search(self, call: ast.Call, location: _Location) -> None:
        """Record a search, and those in its options and settings."""
        options = call.options or (
            call.inputs if call.has_semicolon or not location.is_word else call.settings
        )
        ways = call.settings if call.has_semicolon and not call.options else ()
        if not self._is_well_formed(call, options, ways, location):
            return
        name = self._free(location.name)
        values = tuple(each.value for each in options)
        found = self._range(call, values, ways) if ways else None
        if ways and found is None:
            return
        self.searches.append(
            Search(
                name,
                call,
                () if ways else values,
                found,
                location.conditions,
                "optimizer" if isinstance(location.parent, ast.TrainOptimizer) else location.key,
                isinstance(location.parent, ALONE),
            )
        )
        for each in values:
            option = Option(name, each.span.text)
            conditions = (*location.conditions, option)
            head = each.word.text if isinstance(each, ast.Call) and each.word.text != WORD else name
            self.visit(each, replace(location, conditions=conditions, prefix=f"{head}."))
        if call.options:
            self.arguments(call, replace(location, is_word=False))

    def _free(self, name: str) -> str:
        taken = {each.name for each in self.searches}
        found, number = name, 1
        while found in taken:
            number += 1
            found = f"{name}_{number}"
        return found

    def _is_well_formed(
        self,
        call: ast.Call,
        options: tuple[ast.Argument, ...],
        ways: tuple[ast.Argument, ...],
        location: _Location,
    ) -> bool:
        before = len(self.report.errors)
        for each in options:
            if each.name is not None:
                self._error(f"the values of a `{WORD}` have no names", each.span)
            elif location.is_word and not isinstance(each.value, ast.Path | ast.Call):
                self._error("a function is needed here, not a value", each.span)
            elif call.options and not isinstance(each.value, ast.Path):
                self._error(
                    "the settings of these functions belong in the second parentheses", each.span
                )
        texts = [each.value.span.text for each in options]
        for number, each in enumerate(options):
            if each.value.span.text in texts[:number]:
                self._error("this value is given twice", each.span)
        if len(options) < 2:
            self._error(
                f"a `{WORD}` needs at least two values",
                call.span,
                help=f"such as `{WORD}(64, 128, 256)`, or a range: `{WORD}(1e-4, 0.1; log)`",
            )
        if ways and location.is_word:
            self._error("a range consists of numbers, but a function is needed here", call.span)
        return len(self.report.errors) == before

    def _range(
        self,
        call: ast.Call,
        values: tuple[ast.Expression, ...],
        ways: tuple[ast.Argument, ...],
    ) -> Interval | None:
        before = len(self.report.errors)
        ends = list(_numbers(values))
        if len(values) != 2 or len(ends) != 2:
            self._error(
                "a range needs two ends, both written as numbers",
                call.span,
                help=f"`{WORD}(1e-4, 0.1; log)`; a list of values has no `;`",
            )
            return None
        low, high = ends
        if low >= high:
            self._error(f"this range ends at {high}, which is not above {low}", call.span)
        given = {}
        for each in ways:
            name, value = _way(each)
            if name not in WAYS:
                near = closest(name, WAYS) if name else None
                self.report.error(
                    "bad-search",
                    "the `;` of a range must be followed by `log`, `linear` or `step = ...`",
                    each.span,
                    help=f"did you mean `{near}`?" if near else None,
                    fixes=spelled(near, each.value.span),
                )
            given[name] = value
        step = given.get("step")
        if "step" in given and (step is None or not 0 < step <= high - low):
            self._error("the `step` of a range must be above 0 and at most its length", call.span)
        if "log" in given and len(given) > 1:
            self._error("a range takes only one of `log`, `linear` and `step`", call.span)
        if "log" in given and low <= 0:
            self._error(f"a `log` range must start above 0, not at {low}", call.span)
        return (
            None if len(self.report.errors) > before else Interval(low, high, "log" in given, step)
        )

    def _error(self, message: str, span, help: str | None = None) -> None:
        self.report.error("bad-search", message, span, help=help)


def _way(argument: ast.Argument) -> tuple[str, int | float | None]:
    if argument.name is not None:
        numbers = list(_numbers((argument.value,)))
        return argument.name.text, numbers[0] if numbers else None
    value = argument.value
    return (value.text if isinstance(value, ast.Path) and value.text != "step" else ""), None


def _numbers(values: tuple[ast.Expression, ...]) -> Iterator[int | float]:
    for each in values:
        sign, number = 1, each
        if isinstance(each, ast.Unary) and each.operator.text == "-":
            sign, number = -1, each.operand
        if isinstance(number, ast.Number):
            yield sign * number.value
