"""Nodes of the statements in models, definitions and `train`."""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.syntax.ast.formulas import Call, Expression, Name, Path, Stage, Type
from specc.frontend.syntax.ast.node import Node, node
from specc.source import Span


@node
class Input(Node):
    """`input x: float[3]`."""

    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Stream(Node):
    """`stream text: class(50)[time]`."""

    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Target(Node):
    """`target label: class(10)`."""

    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Let(Node):
    """`let a, b = value`."""

    names: tuple[Name, ...]
    value: Expression
    span: Span
    doc: str | None = None


@node
class Layer(Node):
    """`layer tower = dense(64) -> relu`: stages that share one set of weights."""

    name: Name
    stages: tuple[Stage, ...]
    span: Span
    doc: str | None = None


@node
class Param(Node):
    """`param W: float[n] = xavier`; `value` is how it begins."""

    name: Name
    type: Type
    value: Expression
    span: Span
    doc: str | None = None


@node
class State(Node):
    """`state h: float[units] = 0`, `state v = 0`."""

    name: Name
    type: Type | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Next(Node):
    """`next h = value`."""

    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Return(Node):
    """`return a, b`."""

    values: tuple[Expression, ...]
    span: Span
    doc: str | None = None


@node
class Output(Node):
    """`output scores`, `output p = softmax(scores)`."""

    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Loss(Node):
    """`loss mse(y, t)`, `loss penalty = 1e-4 * l2(weights)`."""

    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Metric(Node):
    """`metric accuracy(scores, label)`."""

    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Data(Node):
    """`data csv("houses.csv")`."""

    source: Call
    span: Span
    doc: str | None = None


@node
class Validate(Node):
    """A source of its own, or `split = 0.9`: exactly one of the two is there."""

    source: Call | None
    split: Expression | None
    span: Span
    doc: str | None = None


@node
class Test(Node):
    """`test csv("houses.csv")`."""

    source: Call
    span: Span
    doc: str | None = None


@node
class Freeze(Node):
    """`freeze tower, head.bias`."""

    paths: tuple[Path, ...]
    span: Span
    doc: str | None = None


@node
class TrainOptimizer(Node):
    """`optimizer adam(lr=1e-4) for tower`; without `for` there are no `paths`: it is for all
    others."""

    optimizer: Call
    paths: tuple[Path, ...]
    span: Span
    doc: str | None = None


@node
class Setting(Node):
    """`epochs = 10` in a `train`."""

    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Broken(Node):
    """A statement or definition that could not be parsed, or stands where it may not.

    It was reported. `keyword` is how it starts and `names` are those it would have given a meaning
    to: they are known, but nothing else about them is.
    """

    keyword: str
    names: tuple[Name, ...]
    span: Span
    doc: str | None = None


Statement: TypeAlias = (
    Input
    | Stream
    | Target
    | Let
    | Layer
    | Param
    | State
    | Next
    | Return
    | Output
    | Loss
    | Metric
    | Data
    | Validate
    | Test
    | Freeze
    | TrainOptimizer
    | Setting
    | Broken
)
