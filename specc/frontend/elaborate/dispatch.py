"""The two entry points of elaboration: the value of an expression, and of a definition's body.

    evaluate(frame, tree)       # a number, a tensor, several values, a definition, or POISON
    body(use)                   # the value of the definition's body, with bound arguments

Expressions contain calls, calls walk bodies, and bodies contain expressions. The files with the
rules register here, so that they need not import each other; `specc.frontend.elaborate` imports all
of them.
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
    """A call with bound arguments: `frame` is the frame of the body."""

    caller: BodyFrame
    frame: BodyFrame
    word: Word
    values: list[Given | None]  # the inputs, in the order of the signature
    span: Span


_RULES: dict[type, Callable[..., Value]] = {}
_BODIES: dict[type, Callable[[BoundCall], Value]] = {}


def evaluate(frame: BodyFrame, expression: ast.Expression) -> Value:
    """Return the value of an expression; POISON after an error, which was reported."""
    return _RULES[type(expression)](frame, expression)


def evaluates(*classes: type[ast.Node]) -> Callable[[Callable[..., Value]], Callable[..., Value]]:
    """Register the rule `(frame, expression) -> value` for classes of expressions."""

    def register(rule: Callable[..., Value]) -> Callable[..., Value]:
        _RULES.update(dict.fromkeys(classes, rule))
        return rule

    return register


def body(use: BoundCall) -> Value:
    """Return the value of a definition's body; POISON after an error, which was reported."""
    return _BODIES[type(use.word.definition)](use)


def gives_body(
    *classes: type,
) -> Callable[[Callable[[BoundCall], Value]], Callable[[BoundCall], Value]]:
    """Register the rule `use -> value` for classes of definitions."""

    def register(rule: Callable[[BoundCall], Value]) -> Callable[[BoundCall], Value]:
        _BODIES.update(dict.fromkeys(classes, rule))
        return rule

    return register
