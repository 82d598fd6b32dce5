"""The syntax tree: one class for each rule of `grammars/dl.lark`, frozen, with its place.

In: nothing. Out: the node classes, and `walk`, which visits a tree.

    let y = x -> dense(10)

    Let(names=(Name("y"),),
        value=Pipeline(value=Path((Name("x"),)),
                       stages=(Call(word=Path((Name("dense"),)), inputs=(),
                                    settings=(Argument(None, Number(10)),)),)))

Nodes are equal only to themselves, so they can be keys of a dictionary; `alike` compares what they
say and leaves their places out.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields
from functools import cache
from typing import TypeAlias

from specc.source import Source, Span

node = dataclass(frozen=True, slots=True, eq=False, repr=False)


@node
class Node:
    """Anything in the tree: it has a `span`."""

    def __repr__(self) -> str:
        """The node as an expression of Python, without places and without fields left empty."""
        shown = []
        for f in fields(self):
            value = getattr(self, f.name)
            if f.name not in ("span", "doc") or isinstance(value, str):
                shown.append(f"{f.name}={value!r}")
        return f"{type(self).__name__}({', '.join(shown)})"


# Names


@node
class Name(Node):
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

    `kind` is the word behind the colon if there is one word; several, joined by `or`, are `choices`.
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


# Statements


@node
class Input(Node):
    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Stream(Node):
    name: Name
    type: Type
    span: Span
    doc: str | None = None


@node
class Target(Node):
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
    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Loss(Node):
    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Metric(Node):
    name: Name | None
    value: Expression
    span: Span
    doc: str | None = None


@node
class Data(Node):
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
    """`optimizer adam(lr=1e-4) for tower`; without `for` there are no `paths`: it is for all others."""

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

    It was reported. `keyword` is how it starts and `names` are those it would have given a meaning to:
    they are known, but nothing else about them is.
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


# Definitions


@node
class Dim(Node):
    name: Name
    value: Expression | None
    span: Span
    doc: str | None = None


@node
class Seq(Node):
    name: Name
    value: Expression | None
    span: Span
    doc: str | None = None


@node
class Const(Node):
    name: Name
    value: Expression
    span: Span
    doc: str | None = None


@node
class Use(Node):
    """`use "blocks.dl"`."""

    path: String
    span: Span
    doc: str | None = None


@node
class Fn(Node):
    """Either `value` (`fn f(x) = value`) or `body` (`fn f(x) { ... }`) is there."""

    name: Name
    signature: Signature
    value: Expression | None
    body: tuple[Statement, ...] | None
    span: Span
    doc: str | None = None


@node
class Block(Node):
    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Cell(Node):
    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Optimizer(Node):
    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Model(Node):
    name: Name
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Train(Node):
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


WordDefinition: TypeAlias = Fn | Block | Cell | Optimizer
Definition: TypeAlias = Dim | Seq | Const | Use | WordDefinition | Model | Train | Broken


# The file


@node
class Comment(Node):
    """`# text`, or `## text` where it documents a declaration; `text` has the signs in it."""

    text: str
    span: Span

    @property
    def is_doc(self) -> bool:
        return self.text.startswith("##")


@node
class File(Node):
    """All of a file. Every comment is in `comments`, in the order of the text."""

    definitions: tuple[Definition, ...]
    comments: tuple[Comment, ...]
    source: Source
    span: Span


@cache
def _child_fields(cls: type[Node]) -> tuple[str, ...]:
    no_nodes = ("str", "str | None", "bool", "int | float", "Source", "Span")
    return tuple(f.name for f in fields(cls) if f.name != "comments" and f.type not in no_nodes)


def children(node: Node) -> Iterator[Node]:
    """The nodes directly under `node`, in the order of its fields."""
    for name in _child_fields(type(node)):
        value = getattr(node, name)
        if isinstance(value, Node):
            yield value
        elif type(value) is tuple:
            yield from value


def walk(node: Node) -> Iterator[Node]:
    """`node` and all nodes under it, each before its children; without comments."""
    waiting = [node]
    while waiting:
        node = waiting.pop()
        yield node
        for name in reversed(_child_fields(type(node))):
            value = getattr(node, name)
            if type(value) is tuple:
                waiting.extend(reversed(value))
            elif isinstance(value, Node):
                waiting.append(value)


def alike(one: Node, other: Node) -> bool:
    """Whether two trees say the same, wherever they stand; comments aside."""
    pairs: list[tuple[object, object]] = [(one, other)]
    while pairs:
        a, b = pairs.pop()
        if isinstance(a, Node):
            if type(a) is not type(b):
                return False
            pairs += (
                (getattr(a, f.name), getattr(b, f.name))
                for f in fields(a)
                if f.name not in ("span", "source", "comments")
                or isinstance(getattr(a, f.name), Node)
            )
        elif isinstance(a, tuple):
            if not isinstance(b, tuple) or len(a) != len(b):
                return False
            pairs += zip(a, b, strict=True)
        elif a != b:
            return False
    return True
