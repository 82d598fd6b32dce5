"""Nodes of names, formulas, types and signatures."""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.syntax.ast.node import Node, node
from specc.source import Span

# Names


@node
class Name(Node):
    """A single name."""

    text: str
    span: Span

    def __str__(self) -> str:
        return self.text


@node
class Path(Node):
    """A name, or names joined by dots: `x`, `tower.dense1.weight`."""

    names: tuple[Name, ...]
    span: Span

    @property
    def text(self) -> str:
        return ".".join(name.text for name in self.names)

    def __str__(self) -> str:
        return self.text


# Expressions


@node
class Number(Node):
    """`text` is how it was written."""

    value: int | float
    text: str
    span: Span


@node
class String(Node):
    """`value` is the text between the quotes, escapes resolved."""

    value: str
    span: Span


@node
class Boolean(Node):
    """`true` or `false`."""

    value: bool
    span: Span


@node
class Operator(Node):
    """The sign or word of an operation, with its place: `+`, `<=`, `and`."""

    text: str
    span: Span

    def __str__(self) -> str:
        return self.text


@node
class Unary(Node):
    """`-x` or `not x`."""

    operator: Operator
    operand: Expression
    span: Span


@node
class Binary(Node):
    """`a + b`; the operator is one of `+ - * / // % ^ @ == != < <= > >= and or`."""

    operator: Operator
    left: Expression
    right: Expression
    span: Span


@node
class Conditional(Node):
    """`if condition then value else otherwise`."""

    condition: Expression
    value: Expression
    otherwise: Expression
    span: Span


@node
class Slice(Node):
    """`start:stop:step` within the brackets of an index; any of the three may be missing."""

    start: Expression | None
    stop: Expression | None
    step: Expression | None
    span: Span


@node
class Index(Node):
    """`value[items]`."""

    value: Expression
    items: tuple[Expression | Slice, ...]
    span: Span


@node
class Argument(Node):
    """`value` or `name = value` in a call."""

    name: Name | None
    value: Expression
    span: Span


@node
class Call(Node):
    """A word with its inputs and settings: `conv(x; 6, kernel=5)`, or a stage `conv(6, kernel=5)`.

    Without a semicolon all arguments of a call in an expression are `inputs`, and all those of a
    stage, of a `layer` or of the `optimizer` of a training are `settings`. A stage without
    parentheses has neither.
    """

    word: Path
    inputs: tuple[Argument, ...]
    settings: tuple[Argument, ...]
    has_semicolon: bool
    span: Span


@node
class Repeat(Node):
    """`count * (stage -> stage)`: the stages so many times, with fresh weights each time."""

    count: Expression
    stages: tuple[Stage, ...]
    span: Span


@node
class Pipeline(Node):
    """`value -> stage -> stage`."""

    value: Expression
    stages: tuple[Stage, ...]
    span: Span


Stage: TypeAlias = Call | Repeat
Expression: TypeAlias = (
    Number | String | Boolean | Path | Unary | Binary | Conditional | Index | Call | Pipeline
)


# Types and signatures


@node
class Axis(Node):
    """An axis of a type; `at_most` says `<= size`: a sequence of varying length."""

    size: Expression
    at_most: bool
    span: Span


@node
class Type(Node):
    """`float[1, 28, 28]`, `class(10)[time]`, `bool`.

    `classes` is what stands in the parentheses of `class(10)`. `axes` is None without brackets, and
    empty for `float[]`.
    """

    kind: Name
    classes: Expression | None
    axes: tuple[Axis, ...] | None
    span: Span


@node
class SignatureInput(Node):
    """`x` or `x: float[n]`."""

    name: Name
    type: Type | None
    span: Span


@node
class Bound(Node):
    """`> 0` in `units: int > 0`; the operator is one of `< <= > >=`."""

    operator: Operator
    value: Expression
    span: Span


@node
class SignatureSetting(Node):
    """`units: int > 0 = 3`, `round: exact or floor or ceil = exact`, `slope = 0.01`, `lr`.

    `kind` is the word behind the colon if there is one word; several, joined by `or`, are
    `choices`.
    """

    name: Name
    kind: Name | None
    choices: tuple[Name, ...]
    bounds: tuple[Bound, ...]
    default: Expression | None
    span: Span


@node
class Signature(Node):
    """`(x: float[n]; units: int > 0)`."""

    inputs: tuple[SignatureInput, ...]
    settings: tuple[SignatureSetting, ...]
    span: Span
