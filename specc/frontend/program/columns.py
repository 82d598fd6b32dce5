"""Checks of `column NAME = formula` in a `train` block that need no data.

    column_rules(frame, statements, ports)      # (ColumnRule("age", Formula("standardize", ..)),)

Whether the data has these columns, and their types, is known only when it is read. Functions,
inputs, settings and types of arguments are checked here.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import field, replace
from typing import Any

from specc.diagnostics import Label, closest, spelled
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.values import POISON, describe
from specc.frontend.syntax import ast
from specc.recipe import ColumnRule, Formula, Port
from specc.recipe.settings import REQUIRED, Setting
from specc.recipe.words import LOGIC, OPERATORS, SYNONYMS, WORDS, ColumnWord
from specc.source import Span
from specc.system.records import dataclass

WIDE = ("rest", "numbers")
"""Functions that need no parentheses."""
COUNTS = {"month": 12, "weekday": 7, "hour": 24}


class _Wrong(Exception):
    """A formula with an error, which was reported."""


def column_rules(
    frame: BodyFrame, statements: Sequence[ast.Column], ports: Sequence[Port]
) -> tuple[ColumnRule, ...]:
    """Return the column rules of a block, and report their errors."""
    found: list[ColumnRule] = []
    spans: dict[str, Span] = {}
    is_good = True
    for statement in statements:
        name = statement.name
        if name.text in spans:
            frame.error(
                "duplicate-name",
                f"`{name.text}` is already a column",
                name.span,
                labels=[Label(spans[name.text], "first defined here")],
            )
            continue
        spans[name.text] = name.span
        builder = _Builder(frame, [each.name for each in found])
        try:
            formula = builder.formula(statement.value)
        except _Wrong:
            is_good = False
            continue
        rule = ColumnRule(name.text, formula, statement.span)
        found.append(rule)
        port = next((each for each in ports if each.name == name.text), None)
        if port is not None:
            _check_port(frame, rule, port, statement)
    if is_good and not frame.context.report.errors:
        _check_used(frame, found, spans, ports)
    return tuple(found)


def _check_used(
    frame: BodyFrame,
    rules: Sequence[ColumnRule],
    spans: dict[str, Span],
    ports: Sequence[Port],
) -> None:
    """Report columns that no input, target or later column uses."""
    names = {port.name for port in ports}
    for place, rule in enumerate(rules):
        later = [
            each.value
            for other in rules[place + 1 :]
            for each in other.formula.walk()
            if each.word == "name"
        ]
        if rule.name in names or rule.name in later:
            continue
        near = closest(rule.name, names)
        span = spans[rule.name]
        frame.error(
            "unknown-name",
            f"the model has no input or target `{rule.name}`, and no later column uses it",
            span,
            help=f"did you mean `{near}`?" if near else None,
            notes=["it has " + ", ".join(f"`{name}`" for name in sorted(names))] if names else [],
            fixes=spelled(near, span),
        )


def _check_port(frame: BodyFrame, rule: ColumnRule, port: Port, statement: ast.Column) -> None:
    """Report a formula whose result the port does not accept."""
    kind, count = _kind(rule.formula), _count(rule.formula)
    is_text = port.kind == "class" and port.sequence is not None
    wrong = None
    if kind == "symbols" and not is_text:
        wrong = "a sequence of classes"
    elif kind == "dates":
        wrong = "dates"
    elif port.kind == "bool" and kind == "classes":
        wrong = "classes"
    elif port.kind == "class" and rule.formula.word in ("standardize", "scale", "log", "sqrt"):
        wrong = "numbers that are not integers"
    labels = [Label(port.span, f"`{port.name}` is declared here")] if port.span else []
    if wrong is not None:
        frame.error(
            "wrong-kind",
            f"`{port.name}` is {_type(port)}, but its formula makes {wrong}",
            statement.value.span,
            labels=labels,
        )
    elif (
        count is not None
        and port.kind == "class"
        and isinstance(port.classes, int)
        and port.classes < count
    ):
        frame.error(
            "shape-mismatch",
            f"`{port.name}` is {_type(port)}, but its formula makes {count:,} classes",
            statement.value.span,
            labels=labels,
            help=f"declare `{port.name}: class({count})`",
        )


def _type(port: Port) -> str:
    return f"class({port.classes})" if port.kind == "class" else port.kind


def _kind(formula: Formula) -> str | None:
    """Return the kind of a formula's values; None if it depends on the data."""
    if formula.word == "name":
        return None
    if formula.word == "constant":
        return "numbers"
    if formula.word == "text":
        return "words"
    if formula.word in ("==", "!=", "<", "<=", ">", ">=", *LOGIC):
        return "truth"
    if formula.word not in WORDS:
        return "numbers"
    gives = WORDS[formula.word].gives
    if formula.word == "columns" and len(formula.settings["patterns"]) == 1:
        return None
    return _kind(formula.inputs[0]) if gives == "same" else gives


def _count(formula: Formula) -> int | None:
    """Return the number of classes of a formula's values, if the formula sets it."""
    if formula.word in ("hash", "bucket"):
        return int(formula.settings["count"])
    return COUNTS.get(formula.word)


@dataclass
class _Builder:
    """A builder of a `Formula` from a tree; `before` are the earlier columns."""

    frame: BodyFrame
    before: list[str]
    keys: dict[str, int] = field(default_factory=dict)

    def wrong(self, name: str, message: str, span: Span, **more: Any) -> _Wrong:
        """Report an error, and return the exception that aborts the formula."""
        self.frame.error(name, message, span, **more)
        return _Wrong()

    def formula(self, tree: ast.Expression) -> Formula:
        """Return the formula of a tree. Raises `_Wrong` after an error was reported."""
        match tree:
            case ast.Number():
                return Formula("constant", value=tree.value, span=tree.span)
            case ast.Boolean():
                return Formula("constant", value=int(tree.value), span=tree.span)
            case ast.String():
                return Formula("text", value=tree.value, span=tree.span)
            case ast.Path():
                return self._name(tree)
            case ast.Unary():
                return self._unary(tree)
            case ast.Binary():
                return self._binary(tree)
            case ast.Conditional():
                parts = (tree.condition, tree.value, tree.otherwise)
                return Formula("if", tuple(map(self.formula, parts)), span=tree.span)
            case ast.Call():
                inputs = [each for each in tree.inputs if each.name is None]
                named = [each for each in tree.inputs if each.name is not None]
                values = [each.value for each in inputs]
                return self._call(tree, values, [*named, *tree.settings])
            case ast.Pipeline():
                return self._pipeline(tree)
        raise self.wrong(
            "wrong-kind",
            "a column's formula cannot take a part of a value",
            tree.span,
            help="`columns(..)` selects columns by name",
        )

    def _name(self, tree: ast.Path) -> Formula:
        name = tree.names[0].text
        if len(tree.names) > 1:
            raise self.wrong(
                "unknown-name",
                f"a column has a single name, not `{tree.text}`",
                tree.span,
                help=f'`columns("{tree.text}")` takes names with any characters',
            )
        if name in WIDE:
            return self._made(WORDS[name], (), {}, tree.span)
        if name == "pi":
            return Formula("constant", value=math.pi, span=tree.span)
        if name in self.frame.scope.definitions and name not in self.before:
            value = evaluate(self.frame, tree)
            if isinstance(value, int | float):
                return Formula("constant", value=value, span=tree.span)
        return Formula("name", value=name, span=tree.span)

    def _unary(self, tree: ast.Unary) -> Formula:
        operand = self.formula(tree.operand)
        if tree.operator.text == "not":
            return Formula("not", (operand,), span=tree.span)
        if operand.word == "constant":
            return replace(operand, value=-operand.value, span=tree.span)
        return Formula("negative", (operand,), span=tree.span)

    def _binary(self, tree: ast.Binary) -> Formula:
        sign = tree.operator.text
        if sign not in (*OPERATORS, *LOGIC):
            raise self.wrong(
                "wrong-kind", f"`{sign}` is not defined for columns", tree.operator.span
            )
        inputs = (self.formula(tree.left), self.formula(tree.right))
        kinds = [_kind(each) for each in inputs]
        for each, kind in zip((tree.left, tree.right), kinds, strict=True):
            is_odd = kind in ("symbols", "dates") or (kind == "words" and sign not in ("==", "!="))
            if is_odd:
                raise self.wrong("wrong-kind", f"`{sign}` takes numbers, not {kind}", each.span)
        return Formula(sign, inputs, span=tree.span)

    def _pipeline(self, tree: ast.Pipeline) -> Formula:
        found = self.formula(tree.value)
        for stage in tree.stages:
            if not isinstance(stage, ast.Call):
                raise self.wrong(
                    "wrong-kind", "a column's formula cannot repeat stages", stage.span
                )
            inputs = [each.value for each in stage.inputs]
            if inputs:
                raise self.wrong(
                    "wrong-arguments",
                    f"`{stage.word.text}` gets its input from the `->` before it",
                    inputs[0].span,
                )
            found = self._call(stage, [], list(stage.settings), found)
        return found

    def _call(
        self,
        tree: ast.Call,
        values: Sequence[ast.Expression],
        arguments: Sequence[ast.Argument],
        piped: Formula | None = None,
    ) -> Formula:
        name = tree.word.text
        word = WORDS.get(name)
        if word is None:
            raise self._unknown(tree)
        if name == "columns":
            return self._columns(tree, values)
        inputs = tuple(map(self.formula, values)) if piped is None else (piped,)
        least = len(word.inputs)
        if len(inputs) < least or (len(inputs) > least and not word.more):
            raise self._miscounted(tree, word, values, len(inputs))
        for each in inputs:
            kind = _kind(each)
            if kind is not None and "any" not in word.takes and kind not in word.takes:
                raise self.wrong(
                    "wrong-kind",
                    f"`{name}` takes {_listed(word.takes)}, not {kind}",
                    each.span or tree.span,
                    notes=[f"it is `{word}`"],
                )
        settings, spans = self._settings(tree, word, arguments)
        return self._made(word, inputs, settings, tree.span, spans)

    def _made(
        self,
        word: ColumnWord,
        inputs: tuple[Formula, ...],
        settings: dict[str, Any],
        span: Span,
        spans: dict[str, Span] | None = None,
    ) -> Formula:
        number = self.keys[word.name] = self.keys.get(word.name, 0) + 1
        key = f"{word.name}{number}"
        return Formula(word.name, inputs, settings, None, key, span, spans or {})

    def _columns(self, tree: ast.Call, values: Sequence[ast.Expression]) -> Formula:
        patterns = []
        for each in values:
            if not isinstance(each, ast.String) or not each.value:
                raise self.wrong(
                    "wrong-kind",
                    "`columns` takes names in double quotes",
                    each.span,
                    help='such as `columns("pixel*")`: `*` stands for any text',
                )
            patterns.append(each.value)
        if not patterns:
            raise self.wrong(
                "wrong-arguments",
                "`columns` needs the name of a column",
                tree.span,
                help='such as `columns("pixel*")`; `rest` takes all other columns',
            )
        return self._made(WORDS["columns"], (), {"patterns": tuple(patterns)}, tree.span)

    def _settings(
        self, tree: ast.Call, word: ColumnWord, arguments: Sequence[ast.Argument]
    ) -> tuple[dict[str, Any], dict[str, Span]]:
        found: dict[str, Any] = {}
        spans: dict[str, Span] = {}
        known = {each.name: each for each in word.settings}
        free = list(word.settings)
        for argument in arguments:
            if argument.name is None:
                if not free:
                    raise self.wrong(
                        "wrong-arguments",
                        f"`{word.name}` has {len(known)} settings"
                        if known
                        else f"`{word.name}` has no settings",
                        argument.value.span,
                        notes=[f"it is `{word}`"],
                    )
                setting = free.pop(0)
            elif argument.name.text in known:
                setting = known[argument.name.text]
                free = [each for each in free if each is not setting]
            else:
                near = closest(argument.name.text, known)
                raise self.wrong(
                    "unknown-setting",
                    f"`{word.name}` has no setting `{argument.name.text}`",
                    argument.name.span,
                    help=f"did you mean `{near}`?" if near else None,
                    notes=[f"it is `{word}`"],
                    fixes=spelled(near, argument.name.span),
                )
            if setting.name in found:
                raise self.wrong(
                    "duplicate-name", f"`{setting.name}` is given twice", argument.value.span
                )
            found[setting.name] = self._value(word, setting, argument.value)
            spans[setting.name] = argument.value.span
        for setting in word.settings:
            if setting.default is REQUIRED and setting.name not in found:
                raise self.wrong(
                    "missing-setting",
                    f"`{word.name}` needs the setting `{setting.name}`",
                    tree.span,
                    help=f"such as `{word.example}`",
                )
        return found, spans

    def _value(self, word: ColumnWord, setting: Setting, tree: ast.Expression) -> Any:
        is_word = isinstance(tree, ast.Path) and tree.text in setting.words
        if isinstance(tree, ast.Path) and (is_word or tree.text not in self.known_numbers()):
            value: Any = tree.text
        else:
            value = evaluate(self.frame, tree)
        if value is POISON:
            raise _Wrong
        if not isinstance(value, int | float | str):
            raise self.wrong(
                "bad-setting", f"`{setting.name}` cannot be {describe(value)}", tree.span
            )
        needed = setting.wrong(value)
        if needed is None and setting.kind == "value" and isinstance(tree, ast.Path):
            needed = None if is_word else f"a number, a string in quotes, {_listed(setting.words)}"
        if needed is not None:
            shown = str(value).lower() if isinstance(value, bool) else value
            near = closest(str(value), setting.words, {"mode": "most", "frequent": "most"})
            raise self.wrong(
                "bad-setting",
                f"`{setting.name}` of `{word.name}` is {needed}, not `{shown}`",
                tree.span,
                help=f"did you mean `{near}`?" if near else None,
                fixes=spelled(near, tree.span),
            )
        return value

    def known_numbers(self) -> set[str]:
        """Return the names of numbers in the file."""
        return set(self.frame.scope.definitions)

    def _miscounted(
        self, tree: ast.Call, word: ColumnWord, values: Sequence[ast.Expression], count: int
    ) -> _Wrong:
        takes = len(word.inputs)
        what = f"{takes} input" + ("" if takes == 1 else "s") if takes else "no inputs"
        is_setting = count > takes and word.settings and takes
        return self.wrong(
            "wrong-arguments",
            f"`{word.name}` takes {what}{' or more' if word.more else ''}, but has {count}",
            values[takes].span if len(values) > takes else tree.span,
            help="settings go after a semicolon" if is_setting else None,
            notes=[f"it is `{word}`"],
        )

    def _unknown(self, tree: ast.Call) -> _Wrong:
        name, span = tree.word.text, tree.word.span
        near = closest(name, WORDS, SYNONYMS)
        is_model = not near and len(tree.word.names) == 1 and self.frame.scope.word(name)
        message = f"unknown function `{name}` for columns"
        if is_model:
            message = f"`{name}` is for values of the model, not for columns of the data"
        listed = ", ".join(f"`{each}`" for each in WORDS)
        return self.wrong(
            "unknown-name",
            message,
            span,
            help=f"did you mean `{near}`?" if near else f"there are {listed}",
            fixes=spelled(near, span),
        )


def _listed(kinds: Sequence[str]) -> str:
    *most, last = kinds
    return f"{', '.join(most)} or {last}" if most else last
