"""Evaluates the formulas of a recipe's columns on the columns of a source.

    needed(rules, ports, table.names, statistics)          # the raw columns that they read
    found = evaluate(request, rules, columns, free, statistics, rows)
    found.values["age"]          # Value("numbers", float64 [N])
    found.statistics             # {"age": {"standardize1": {"mean": [38.2], "deviation": [12.9]}}}

With `rows`, the training part, statistics are learned from it; otherwise the given ones are used.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import field
from typing import Any, Protocol

import numpy as np

from specc.diagnostics import Diagnostic, closest
from specc.recipe import ColumnRule, Formula
from specc.recipe.words import WORDS
from specc.runtime.data.columns import arithmetic, whole
from specc.runtime.data.columns.numerals import form_of
from specc.runtime.data.columns.steps import STEPS, ColumnStep, StepError
from specc.runtime.data.columns.values import Value, as_boolean, as_numbers, is_number, value_of
from specc.runtime.data.match import no_columns
from specc.runtime.data.request import Request, listed
from specc.runtime.data.table import Columns, Table
from specc.runtime.errors import DataError, data_error
from specc.system.records import dataclass

Statistics = dict[str, dict[str, dict[str, Any]]]
"""What the formulas have learned, as plain JSON: {column: {function call: {name: values}}}."""


@dataclass
class Needed:
    """The raw columns that formulas read.

    `rules` are the formulas that ports need. Columns in `texts` are read as unparsed text, and
    those in `may_be_missing` may have gaps. `wide` has the columns that `columns`, `rest` and
    `numbers` expand to, by the name of the rule and the key of the function call.
    """

    rules: list[ColumnRule] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    texts: set[str] = field(default_factory=set)
    wide: dict[tuple[str, str], list[str]] = field(default_factory=dict)
    may_be_missing: set[str] = field(default_factory=set)


def rules_for(rules: Sequence[ColumnRule], ports: Iterable[str]) -> list[ColumnRule]:
    """Return the rules of the given ports and the rules that they use, in file order."""
    known = {each.name: each for each in rules}
    wanted: set[str] = set()
    waiting = [name for name in ports if name in known]
    while waiting:
        name = waiting.pop()
        if name not in wanted:
            wanted.add(name)
            places = [each.name for each in rules]
            before = set(places[: places.index(name)])
            waiting += [
                each.value
                for each in known[name].formula.walk()
                if each.word == "name" and each.value in before
            ]
    return [each for each in rules if each.name in wanted]


def needed(
    request: Request, table: Table, taken: Iterable[str], statistics: Statistics | None
) -> Needed:
    """Return the raw columns that the formulas of the request's ports read from a table.

    `taken` has the columns that are used elsewhere. Raises `DataError` with all unknown names.
    """
    found = Needed(rules_for(request.rules, [port.name for port in request.ports]))
    wrong: dict[str, DataError] = {}
    before: set[str] = set()
    used = set(taken)
    for rule in found.rules:
        for each in rule.formula.walk():
            if each.word == "name" and each.value not in before:
                used.add(each.value)
                if each.value not in table.names:
                    wrong.setdefault(each.value, _no_column(request, table, each, before))
                    continue
                found.names.append(each.value)
            elif each.word == "columns":
                names = _matching(table, each, rule, statistics)
                used |= set(names)
                found.wide[rule.name, each.key] = names
                if not names:
                    patterns = listed(each.settings["patterns"])
                    key = ", ".join(each.settings["patterns"])
                    wrong[key] = _no_column(request, table, each, before, patterns)
                found.names += names
        _note_texts_and_gaps(found, rule)
        before.add(rule.name)
    for rule in found.rules:
        for each in rule.formula.walk():
            if each.word in ("rest", "numbers"):
                learned = _learned_names(each, rule, statistics)
                names = learned or [name for name in table.names if name not in used]
                found.wide[rule.name, each.key] = names
                found.names += names
    found.names = list(dict.fromkeys(found.names))
    absent = [name for name in found.names if name not in table.names]
    if absent and not request.is_in_a_file:
        raise no_columns(request, table, [*wrong, *absent], _diagnostics(wrong.values()))
    if wrong:
        raise no_columns(request, table, wrong, _diagnostics(wrong.values()))
    if absent:
        raise request.error(
            f"{table.title} has no {table.noun} {listed(absent)}, which the training data had"
        )
    return found


def _diagnostics(errors: Iterable[DataError]) -> list[Diagnostic]:
    return [each for error in errors for each in error.diagnostics]


def _note_texts_and_gaps(found: Needed, rule: ColumnRule) -> None:
    """Record the raw columns that are read as unparsed text, and those that may have gaps."""
    for formula in rule.formula.walk():
        if formula.word == "symbols":
            found.texts |= {each.value for each in formula.inputs if each.word == "name"}
        if formula.word in ("fill", "missing", "onehot") or formula.settings.get("unknown"):
            for each in formula.walk():
                named = [each.value] if each.word == "name" else []
                found.may_be_missing |= {*named, *found.wide.get((rule.name, each.key), ())}


def _matching(
    table: Table, formula: Formula, rule: ColumnRule, statistics: Statistics | None
) -> list[str]:
    learned = _learned_names(formula, rule, statistics)
    return learned or whole.matching(formula.settings["patterns"], table.names)


def _learned_names(
    formula: Formula, rule: ColumnRule, statistics: Statistics | None
) -> list[str] | None:
    learned = ((statistics or {}).get(rule.name) or {}).get(formula.key)
    if not learned:
        return None
    return list(learned["names"] if "names" in learned else learned["columns"])


def _no_column(
    request: Request,
    table: Table,
    formula: Formula,
    before: Iterable[str],
    shown: str | None = None,
) -> DataError:
    near = closest(str(formula.value), [*table.names, *before]) if shown is None else None
    what = shown or f"`{formula.value}`"
    return data_error(
        f"{table.title} has no {table.noun} {what}",
        formula.span or request.call.span,
        help=f"did you mean `{near}`?" if near else None,
        notes=[f"it has {listed(table.names)}"],
        file=request.call.word,
    )


class Unlearned(Exception):
    """Raised by a function whose statistics are known only after all pieces of the data."""


class Learner(Protocol):
    """Learns statistics from data that arrives in pieces."""

    def step(self, rule: str, step: ColumnStep, x: Value) -> None:
        """Process a function's input in one piece. Raise `Unlearned` if it has to learn."""

    def wide(self, rule: str, step: ColumnStep, values: Mapping[str, Value]) -> None:
        """Process the columns in one piece that `rest` or `numbers` may take, like `step`."""


@dataclass
class Evaluated:
    """The value of each rule, and the learned statistics."""

    values: dict[str, Value] = field(default_factory=dict)
    statistics: Statistics = field(default_factory=dict)


def evaluate(
    request: Request,
    plan: Needed,
    columns: Columns,
    statistics: Statistics | None = None,
    rows: np.ndarray | None = None,
    learner: Learner | None = None,
) -> Evaluated:
    """Evaluate the rules of a plan. Raises `DataError` with the first error of each rule.

    With a `learner`, the columns are one piece of the data. Rules that have to learn something, and
    rules that use them, are then left out.
    """
    found = Evaluated()
    waiting: set[str] = set()
    wrong: list[DataError] = []
    given = statistics or {}
    for rule in plan.rules:
        learned = dict(given.get(rule.name, {}))
        walker = _Walker(
            request, plan, columns, found.values, rule.name, learned, rows, learner, waiting
        )
        try:
            found.values[rule.name] = walker.value(rule.formula)
        except Unlearned:
            waiting.add(rule.name)
            continue
        except DataError as error:
            wrong.append(error)
            continue
        except KeyError:  # it uses a rule that failed
            if not wrong:
                raise
            continue
        if walker.learned:
            found.statistics[rule.name] = walker.learned
    if wrong:
        raise DataError([each for error in wrong for each in error.diagnostics])
    return found


@dataclass
class _Walker:
    """Evaluates one formula recursively."""

    request: Request
    plan: Needed
    columns: Columns
    values: Mapping[str, Value]  # the results of earlier rules
    name: str
    learned: dict[str, dict[str, Any]]
    rows: np.ndarray | None
    learner: Learner | None = None
    waiting: Collection[str] = ()  # earlier rules that have something to learn

    def value(self, formula: Formula) -> Value:
        """Return the value of a formula. Raises `DataError` located at the formula."""
        try:
            return self._value(formula)
        except StepError as error:
            raise self._error(formula, error) from None

    def _value(self, formula: Formula) -> Value:
        word = formula.word
        if word == "constant":
            return Value("numbers", np.full(self.columns.examples, float(formula.value)))
        if word == "text":
            words = np.empty(1, object)
            words[:] = [formula.value]
            return Value("words", np.zeros(self.columns.examples, np.int32), words)
        if word == "name":
            if formula.value in self.values and formula.value != self.name:
                return self.values[formula.value]
            if formula.value in self.waiting and formula.value != self.name:
                raise Unlearned
            return self._raw(formula.value)
        if word in ("columns", "numbers", "rest"):
            return self._wide(formula)
        inputs = self._inputs(formula)
        if word == "concat":
            return whole.concatenated(inputs)
        if word == "if":
            return arithmetic.choice(*inputs)
        if word == "not":
            return arithmetic.inverted(*inputs)
        if word == "negative":
            return arithmetic.negated(self._numeric(inputs[0], "-"))
        if word in arithmetic.FUNCTIONS:
            return arithmetic.function(word, self._numeric(inputs[0], word))
        if word not in STEPS:
            if word not in ("==", "!=", "and", "or"):
                inputs = [self._numeric(each, word) for each in inputs]
            return arithmetic.binary(word, *inputs)
        return self._step(formula, inputs[0])

    def _inputs(self, formula: Formula) -> list[Value]:
        """Return the values of a function's inputs.

        All inputs are evaluated before `Unlearned` is raised, so that all learn from this piece.
        """
        found, is_waiting = [], False
        for each in formula.inputs:
            try:
                found.append(self.value(each))
            except Unlearned:
                is_waiting = True
        if is_waiting:
            raise Unlearned
        return found

    def _raw(self, name: str) -> Value:
        return value_of(self.columns.raw[name], name)

    def _step(self, formula: Formula, x: Value) -> Value:
        known = WORDS[formula.word]
        settings = {each.name: each.default for each in known.settings} | formula.settings
        if x.kind not in known.takes and known.takes != ("any",):
            x = self._understood(formula.word, x, known.takes)
        step = ColumnStep(formula, settings, self.rows, self.learned.get(formula.key, {}))
        if self.learner is not None:
            self.learner.step(self.name, step, x)
        found = STEPS[formula.word](step, x)
        if step.learned:
            self.learned[formula.key] = step.learned
        return found

    def _numeric(self, x: Value, word: str) -> Value:
        return x if x.kind in ("numbers", "truth", "classes") else self._understood(word, x, ())

    def _understood(self, word: str, x: Value, takes: Sequence[str]) -> Value:
        """Convert words to booleans or numbers for a function.

        Raises `StepError` for values that the function cannot take.
        """
        if x.kind == "words" and x.words is not None and "words" not in takes:
            if (found := as_boolean(x)) is not None:
                return found
            if (numbers := as_numbers(x)) is not None:
                return numbers
            raise self._not_a_number(x)
        if x.kind == "dates":
            raise StepError(f"`{word}` takes numbers, not dates", help="`days(..)` counts the days")
        given = "booleans" if x.kind == "truth" else x.kind
        raise StepError(f"`{word}` cannot take {given}")

    def _not_a_number(self, x: Value) -> StepError:
        assert x.words is not None, "words have words; please report this"
        strange = np.array([not is_number(each) for each in x.words.tolist()], bool)
        wrong = strange[x.array] & ~x.gaps()
        row = int(np.argmax(wrong))
        word = str(x.words[x.array[row]])
        help_ = "`class`, `onehot`, `hash` or `truth` turn words into numbers, and `days` dates"
        if (form := form_of([word])) is not None:
            help_ = f"`number(..{form.settings})` reads such numbers"
        return StepError(f"`{word}` is not a number", row, help_, x)

    def _wide(self, formula: Formula) -> Value:
        names = self.plan.wide[self.name, formula.key]
        if formula.word == "rest":
            step = ColumnStep(formula, {}, self.rows, self.learned.get(formula.key, {}))
            if self.learner is not None:
                self.learner.wide(self.name, step, {name: self._raw(name) for name in names})
            found = whole.rest(step, {name: self._raw(name) for name in names})
            self.learned[formula.key] = step.learned
            return found
        values = {name: self._raw(name) for name in names}
        if formula.word == "numbers" and self.learner is not None:
            step = ColumnStep(formula, {}, self.rows, self.learned.get(formula.key, {}))
            self.learner.wide(self.name, step, values)
        if formula.word == "numbers" and formula.key not in self.learned:
            values = {
                name: each for name, each in values.items() if each.kind in ("numbers", "truth")
            }
            if not values:
                raise StepError("no column of numbers is left for `numbers`")
        self.learned[formula.key] = {"names": list(values)}
        patterns = formula.settings.get("patterns", ())
        if len(patterns) == 1 and "*" not in patterns[0]:
            return next(iter(values.values()))
        return whole.concatenated([self._numeric(each, formula.word) for each in values.values()])

    def _error(self, formula: Formula, error: StepError) -> DataError:
        message = error.message
        if error.row is not None and error.value is not None and error.value.origins:
            origins = error.value.origins
            at = error.element if len(origins) > error.element else 0
            message = f"{self.columns.location(error.row, origins[at])}: {message}"
        return data_error(
            message,
            formula.span or self.request.call.span,
            help=error.help,
            file=self.request.call.word,
        )
