"""The two ways into the rules: the value of an expression, and the value of a word's body.

    evaluate(frame, tree)       # a number, a tensor, several values, a word, or POISON
    body(use)                   # what the body of the word gives, its arguments being bound

Expressions hold calls, calls walk bodies, bodies hold expressions: here the files that know the
rules meet, so that they need not import each other. `specc.frontend.elaborate` imports all of them.
"""

from __future__ import annotations

from collections.abc import Callable

from specc.frontend.scope.frame import BodyFrame
from specc.frontend.scope.scope import Word
from specc.frontend.scope.values import Given, Value
from specc.frontend.syntax import ast
from specc.source import Span
from specc.system.records import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class BoundCall:
    """A use of a word: `frame` is the body's, where its arguments have their names already."""

    caller: BodyFrame
    frame: BodyFrame
    word: Word
    values: list[Given | None]  # the inputs, in the word's order
    span: Span


_RULES: dict[type, Callable[..., Value]] = {}
_BODIES: dict[type, Callable[[BoundCall], Value]] = {}


def evaluate(frame: BodyFrame, expression: ast.Expression) -> Value:
    """Return the value of an expression; POISON after an error, which is reported."""
    return _RULES[type(expression)](frame, expression)


def evaluates(*classes: type[ast.Node]) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register the rule `(frame, expression) -> value` for classes of expressions."""

    def register(rule: Callable[..., Value]) -> Callable[..., Value]:
        _RULES.update(dict.fromkeys(classes, rule))
        return rule

    return register


def body(use: BoundCall) -> Value:
    """Return what the body of a word gives; POISON after an error, which is reported."""
    return _BODIES[type(use.word.definition)](use)


def gives_body(
    *classes: type,
) -> Callable[[Callable[[BoundCall], Value]], Callable[[BoundCall], Value]]:
    """Register the rule `use -> value` for classes of definitions."""

    def register(rule: Callable[[BoundCall], Value]) -> Callable[[BoundCall], Value]:
        _BODIES.update(dict.fromkeys(classes, rule))
        return rule

    return register
