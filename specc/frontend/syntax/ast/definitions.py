"""Nodes of definitions, and of the file that holds them."""

from __future__ import annotations

from typing import TypeAlias

from specc.frontend.syntax.ast.formulas import Expression, Name, Signature, String
from specc.frontend.syntax.ast.node import Node, node
from specc.frontend.syntax.ast.statements import Broken, Statement
from specc.source import Source, Span

# Definitions


@node
class Dim(Node):
    """`dim classes = 10`, or `dim vocab` of an open size."""

    name: Name
    value: Expression | None
    span: Span
    doc: str | None = None


@node
class Seq(Node):
    """`seq time = 50`."""

    name: Name
    value: Expression | None
    span: Span
    doc: str | None = None


@node
class Const(Node):
    """`const margin = 1.0`."""

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
    """`block prelu(x) { param alpha: float[] = 0.25  return max(alpha * x, x) }`."""

    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Cell(Node):
    """`cell rnn(x: float[n]; units: int > 0) { ... }`."""

    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Optimizer(Node):
    """`optimizer sgd(w, g; lr) { next w = w - lr * g }`."""

    name: Name
    signature: Signature
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Model(Node):
    """`model lenet { ... }`."""

    name: Name
    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


@node
class Train(Node):
    """`train { ... }`."""

    body: tuple[Statement, ...]
    span: Span
    doc: str | None = None


WordDefinition: TypeAlias = Fn | Block | Cell | Optimizer
Named: TypeAlias = Dim | Seq | Const | WordDefinition
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
