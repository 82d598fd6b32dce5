"""From recognised rules of the grammar to the nodes of the syntax tree.

In: the parts of a rule (tokens and nodes), and their span. Out: a node. A method is named after its
rule (with `_` appended if Python reserves the word).

    Builder(source, report, docs).let(span, *parts of `let y = x`)      # Let(names=(y,), value=x)

Checks beyond the grammar are here too: which statements a body allows, numbers out of range,
escapes in strings, and formulas that are nested too deeply.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any

from specc.diagnostics import Edit, Fix, Report
from specc.frontend.syntax import ast
from specc.frontend.syntax.build_indices import (
    IndexBuilder,
    Token,
    around_semicolon,
    has_semicolon,
    is_name,
    listed,
    nodes,
)
from specc.source import Source, Span

DEEPEST = 200
"""The maximum depth of brackets, and of the nodes of one statement."""

# The definitions whose bodies allow a statement.
ALLOWED_IN: dict[type[ast.Node], tuple[str, ...]] = {
    ast.Input: ("model",),
    ast.Stream: ("model",),
    ast.Target: ("model",),
    ast.Let: ("fn", "block", "cell", "optimizer", "model"),
    ast.Layer: ("block", "cell", "model"),
    ast.Param: ("block", "cell", "model"),
    ast.State: ("block", "cell", "optimizer"),
    ast.Next: ("block", "cell", "optimizer"),
    ast.Return: ("fn", "block", "cell"),
    ast.Output: ("model",),
    ast.Loss: ("model",),
    ast.Metric: ("model",),
    ast.Data: ("train",),
    ast.Validate: ("train",),
    ast.Test: ("train",),
    ast.Column: ("train",),
    ast.Augment: ("train",),
    ast.Start: ("train",),
    ast.Freeze: ("train",),
    ast.TrainOptimizer: ("train",),
    ast.Setting: ("train",),
}

ESCAPES = {"n": "\n", "t": "\t", '"': '"', "\\": "\\"}


class Builder(IndexBuilder):
    """A builder of nodes; `docs` maps the offset of a declaration to its doc comment."""

    def __init__(self, source: Source, report: Report, docs: Mapping[int, str]) -> None:
        self.source = source
        self.report = report
        self.docs = docs

    def __getitem__(self, rule: str) -> Any:
        return getattr(self, rule, None) or getattr(self, rule + "_")

    def span(self, token: Token) -> Span:
        return Span(self.source, token.start, token.end)

    def name(self, token: Token) -> ast.Name:
        return ast.Name(token.text, Span(self.source, token.start, token.end))

    def names(self, parts: Iterable[Any]) -> tuple[ast.Name, ...]:
        return tuple(self.name(part) for part in parts if is_name(part))

    def operator(self, token: Token) -> ast.Operator:
        return ast.Operator(token.text, Span(self.source, token.start, token.end))

    def _parts(self, span: Span, first: Any, *rest: Any) -> list[Any]:
        # `a, b` and repetitions by `*` and `+` become one flat list, including signs
        parts = first if type(first) is list else [first]
        for part in rest:
            if type(part) is list:
                parts += part
            else:
                parts.append(part)
        return parts

    # Files and definitions

    def file(self, span: Span, definitions: Iterable[Any] = ()) -> ast.File:
        return ast.File(
            tuple(definitions), (), self.source, Span(self.source, 0, len(self.source.text))
        )

    def _declared(self, node: Any, formulas: Iterable[ast.Node] = ()) -> Any:
        # Return `node`, or a `Broken` if it, or one of its `formulas`, is nested too deeply.
        length = node.span.end - node.span.start
        if length > DEEPEST and any(_deeper(formula, DEEPEST) for formula in formulas or (node,)):
            self.report.error(
                "too-deep",
                f"this formula is nested more than {DEEPEST} deep",
                node.span,
                help="name parts of it with `let`",
            )
            return broken(node)
        return node

    def _statement(self, cls: type[Any], span: Span, *fields: Any) -> Any:
        return self._declared(cls(*fields, span, self.docs.get(span.start)))

    def _size(self, cls: type[Any], span: Span, name: Token, value: tuple[Any, ...]) -> Any:
        return self._statement(cls, span, self.name(name), value[1] if value else None)

    def dim(self, span: Span, _: Token, name: Token, *value: Any) -> Any:
        return self._size(ast.Dim, span, name, value)

    def seq(self, span: Span, _: Token, name: Token, *value: Any) -> Any:
        return self._size(ast.Seq, span, name, value)

    def const(self, span: Span, _: Token, name: Token, *value: Any) -> Any:
        return self._size(ast.Const, span, name, value)

    def use(self, span: Span, _: Token, path: Token) -> Any:
        return self._statement(ast.Use, span, self.string(self.span(path), path))

    def fn(self, span: Span, _: Token, name: Token, signature: Any, *rest: Any) -> Any:
        value, body = (rest[1], None) if len(rest) == 2 else (None, self._body("fn", rest[0]))
        fields = self.name(name), signature, value, body
        formulas = [signature] if value is None else [signature, value]
        return self._declared(ast.Fn(*fields, span, self.docs.get(span.start)), formulas)

    def _word(
        self, cls: type[Any], span: Span, keyword: Token, name: Token, signature: Any, body: Any
    ) -> Any:
        fields = self.name(name), signature, self._body(keyword.kind, body)
        return self._declared(cls(*fields, span, self.docs.get(span.start)), [signature])

    def block(self, span: Span, *parts: Any) -> Any:
        return self._word(ast.Block, span, *parts)

    def cell(self, span: Span, *parts: Any) -> Any:
        return self._word(ast.Cell, span, *parts)

    def optimizer(self, span: Span, *parts: Any) -> Any:
        return self._word(ast.Optimizer, span, *parts)

    def model(self, span: Span, _: Token, name: Token, body: Any) -> Any:
        return ast.Model(
            self.name(name), self._body("model", body), span, self.docs.get(span.start)
        )

    def train(self, span: Span, _: Token, body: Any) -> Any:
        return ast.Train(self._body("train", body), span, self.docs.get(span.start))

    def broken(self, span: Span, token: Token, body: Any = None) -> ast.Broken:
        node = token.text
        return node if body is None else ast.Broken(node.keyword, node.names, span)

    def body(self, span: Span, *parts: Any) -> list[Any]:
        return parts[1] if type(parts[1]) is list else []

    def _body(self, keyword: str, statements: list[Any]) -> tuple[Any, ...]:
        return tuple(
            (
                node
                if type(node) is ast.Broken or keyword in ALLOWED_IN[type(node)]
                else self._misplaced(keyword, node)
            )
            for node in statements
        )

    def _misplaced(self, keyword: str, node: Any) -> ast.Broken:
        if type(node) is ast.Setting:
            start = Span(self.source, node.span.start, node.span.start)
            self.report.error(
                "syntax",
                f"`{node.name} = ...` is a setting of `train`; in a `{keyword}`, write"
                f" `let {node.name} = ...`",
                node.name.span,
                help=f"write `let {node.name} = ...`",
                fixes=[Fix("put `let` before it", (Edit(start, "let "),))],
            )
        else:
            word = keyword_of(type(node))
            self.report.error(
                "syntax",
                f"`{word}` is not allowed in a `{keyword}`",
                Span(self.source, node.span.start, node.span.start + len(word)),
                help=f"use `{word}` in {listed(ALLOWED_IN[type(node)], 'and')}",
            )
        return broken(node)

    # Signatures and types

    def signature(self, span: Span, *parts: Any) -> ast.Signature:
        inputs, settings = around_semicolon(parts)
        return ast.Signature(inputs, settings, span)

    def signature_input(self, span: Span, name: Token, *rest: Any) -> ast.SignatureInput:
        type_ = next((each for each in rest if isinstance(each, ast.Type)), None)
        default = next((self.name(each) for each in rest if is_name(each)), None)
        return ast.SignatureInput(self.name(name), type_, default, span)

    def signature_setting(self, span: Span, name: Token, *rest: Any) -> ast.SignatureSetting:
        kind: ast.Name | None = None
        default: Any = None
        choices: tuple[ast.Name, ...] = ()
        bounds: tuple[Any, ...] = ()
        for part in rest:
            if type(part) is list:
                if type(part[0]) is ast.Bound:
                    bounds = tuple(part)
                else:
                    choices = self.names(part)
            elif is_name(part):
                kind = self.name(part)
            elif isinstance(part, ast.Node):
                default = part
        return ast.SignatureSetting(self.name(name), kind, choices, bounds, default, span)

    def bound(self, span: Span, operator: Token, value: Any) -> ast.Bound:
        return ast.Bound(self.operator(operator), value, span)

    def type(self, span: Span, kind: Token, *rest: Any) -> ast.Type:
        classes: Any = None
        axes: tuple[Any, ...] | None = None
        for part in rest:
            if type(part) is list:
                axes = nodes(part)
            elif isinstance(part, ast.Node):
                classes = part
            elif part.kind == "[":
                axes = ()
        return ast.Type(self.name(kind), classes, axes, span)

    def axis(self, span: Span, *parts: Any) -> ast.Axis:
        return ast.Axis(parts[-1], len(parts) == 2, span)

    # Statements

    def input(self, span: Span, _: Token, name: Token, colon: Token, type_: Any) -> Any:
        return self._statement(ast.Input, span, self.name(name), type_)

    def stream(self, span: Span, _: Token, name: Token, colon: Token, type_: Any) -> Any:
        return self._statement(ast.Stream, span, self.name(name), type_)

    def target(self, span: Span, _: Token, name: Token, colon: Token, type_: Any) -> Any:
        return self._statement(ast.Target, span, self.name(name), type_)

    def let(self, span: Span, _: Token, names: Any, sign: Token, value: Any) -> Any:
        return self._statement(ast.Let, span, self.names(names), (), value)

    def layer(self, span: Span, _: Token, name: Token, sign: Token, stages: Any) -> Any:
        return self._statement(ast.Layer, span, self.name(name), nodes(stages))

    def param(
        self, span: Span, _: Token, name: Token, colon: Token, type_: Any, sign: Token, value: Any
    ) -> Any:
        return self._statement(ast.Param, span, self.name(name), type_, value)

    def state(self, span: Span, _: Token, name: Token, *rest: Any) -> Any:
        type_ = rest[1] if rest[0].kind == ":" else None
        return self._statement(ast.State, span, self.name(name), type_, rest[-1])

    def next(self, span: Span, _: Token, name: Token, sign: Token, value: Any) -> Any:
        return self._statement(ast.Next, span, self.name(name), value)

    def return_(self, span: Span, _: Token, values: Any) -> Any:
        return self._statement(ast.Return, span, nodes(values))

    def _perhaps_named(self, cls: Any, span: Span, *parts: Any) -> Any:
        name = self.name(parts[1]) if len(parts) == 4 else None
        return self._statement(cls, span, name, parts[-1])

    def output(self, span: Span, *parts: Any) -> Any:
        return self._perhaps_named(ast.Output, span, *parts)

    def loss(self, span: Span, *parts: Any) -> Any:
        return self._perhaps_named(ast.Loss, span, *parts)

    def metric(self, span: Span, *parts: Any) -> Any:
        return self._perhaps_named(ast.Metric, span, *parts)

    def data(self, span: Span, _: Token, source: Any) -> Any:
        return self._statement(ast.Data, span, source)

    def test(self, span: Span, *parts: Any) -> Any:
        return self._source_or_split(ast.Test, span, *parts)

    def validate(self, span: Span, *parts: Any) -> Any:
        return self._source_or_split(ast.Validate, span, *parts)

    def _source_or_split(self, cls: Any, span: Span, keyword: Token, *rest: Any) -> Any:
        if len(rest) == 1:
            return self._statement(cls, span, rest[0], None)
        node = self._statement(cls, span, None, rest[-1])
        if rest[0].text != "split":
            word = keyword.kind
            self.report.error(
                "syntax",
                f"`{word}` takes a source or `split = ...`, not `{rest[0].text} = ...`",
                self.span(rest[0]),
                help=f"`{word} split = 0.9` keeps 10% of the data for it",
            )
            return broken(node)
        return node

    def column(self, span: Span, _: Token, name: Token, sign: Token, value: Any) -> Any:
        return self._statement(ast.Column, span, self.name(name), value)

    def augment(self, span: Span, _: Token, name: Token, sign: Token, value: Any) -> Any:
        return self._statement(ast.Augment, span, self.name(name), value)

    def start(self, span: Span, _: Token, paths: Any, sign: Token, value: Any) -> Any:
        return self._statement(ast.Start, span, nodes(paths), value)

    def freeze(self, span: Span, _: Token, paths: Any) -> Any:
        return self._statement(ast.Freeze, span, nodes(paths))

    def train_optimizer(self, span: Span, _: Token, optimizer: Any, *paths: Any) -> Any:
        return self._statement(
            ast.TrainOptimizer, span, optimizer, nodes(paths[1]) if paths else ()
        )

    def setting(self, span: Span, name: Token, sign: Token, value: Any) -> Any:
        return self._statement(ast.Setting, span, self.name(name), value)

    # Expressions

    def pipeline(self, span: Span, value: Any, arrow: Token, stages: Any) -> ast.Pipeline:
        return ast.Pipeline(value, nodes(stages), span)

    def stage(self, span: Span, word: Any, arguments: Any = ((), (), False)) -> ast.Call:
        inputs, settings, has_semicolon = self._without_indices(word, arguments)
        if not has_semicolon:
            inputs, settings = (), inputs
        return ast.Call(word, inputs, settings, has_semicolon, span)

    def chosen(self, span: Span, word: Any, options: Any, arguments: Any) -> ast.Call:
        # `search(adam, momentum)(lr = 0.1)`: the options in the first parentheses
        words, settings, has_semicolon = self._without_indices(word, options)
        if word.text != "search" or settings or has_semicolon:
            self.report.error(
                "syntax",
                "a second pair of parentheses may only follow a `search` for a word",
                span,
                help="such as `optimizer search(adam, momentum)(lr = 0.1)`",
            )
        call = self.stage(span, word, arguments)
        return ast.Call(word, call.inputs, call.settings, call.has_semicolon, span, words)

    def repeat(self, span: Span, *parts: Any) -> ast.Repeat:
        count: Any = parts[0] if isinstance(parts[0], ast.Node) else parts[1]
        index = next((self.name(each) for each in parts[1:] if is_name(each)), None)
        return ast.Repeat(count, index, nodes(parts[-2]), span)

    def conditional(self, span: Span, *parts: Any) -> ast.Conditional:
        return ast.Conditional(parts[1], parts[3], parts[5], span)

    def binary(self, span: Span, left: Any, operator: Token, right: Any) -> ast.Binary:
        return ast.Binary(self.operator(operator), left, right, span)

    def unary(self, span: Span, operator: Token, operand: Any) -> ast.Unary:
        return ast.Unary(self.operator(operator), operand, span)

    def index(
        self, span: Span, value: Any, bracket: Token, items: Any, closing: Token
    ) -> ast.Index:
        return ast.Index(value, nodes(items), span)

    def slice(self, span: Span, *parts: Any) -> ast.Slice:
        places: list[Any] = [None, None, None]
        place = 0
        for part in parts:
            if isinstance(part, ast.Node):
                places[place] = part
            else:
                place += 1
        return ast.Slice(places[0], places[1], places[2], span)

    def group(self, span: Span, opening: Token, value: Any, closing: Token) -> Any:
        return value

    def arguments(self, span: Span, *parts: Any) -> tuple[Any, Any, bool]:
        return *around_semicolon(parts), has_semicolon(parts)

    def argument(self, span: Span, *parts: Any) -> ast.Argument:
        return ast.Argument(self.name(parts[0]) if len(parts) == 3 else None, parts[-1], span)

    def path(self, span: Span, first: Token, rest: Any = ()) -> ast.Path:
        return ast.Path((self.name(first), *self.names(rest)), span)

    def boolean(self, span: Span, token: Token) -> ast.Boolean:
        return ast.Boolean(token.kind == "true", span)

    def number(self, span: Span, token: Token) -> ast.Number:
        text = token.text
        try:
            value = int(text) if text.isdigit() else float(text)
            float(value)
        except (ValueError, OverflowError):  # too many digits, or too large for a float
            value = float("inf")
        if value == float("inf"):
            self.report.error("syntax", "this number is too large", span)
            value = 1
        return ast.Number(value, text, span)

    def string(self, span: Span, token: Token) -> ast.String:
        def plain(escape: re.Match[str]) -> str:
            sign = escape[1]
            if sign not in ESCAPES:
                at = token.start + 1 + escape.start()
                self.report.error(
                    "syntax",
                    f"`\\{sign}` is not allowed in a string",
                    Span(self.source, at, at + 2),
                    help=(
                        'a backslash goes before `"`, `n` (a line break), `t` (a tab) or another'
                        " backslash"
                    ),
                )
            return ESCAPES.get(sign, sign)

        text = token.text[1:-1]
        return ast.String(re.sub(r"\\(.)", plain, text) if "\\" in text else text, span)


def _deeper(node: ast.Node, limit: int) -> bool:
    """Return whether a path from `node` down is longer than `limit`."""
    level = [node]
    for _ in range(limit + 1):
        level = [child for parent in level for child in ast.children(parent)]
        if not level:
            return False
    return True


def broken(node: Any) -> ast.Broken:
    """Return a placeholder for a node that was read but may not be kept."""
    names = getattr(node, "names", None) or (getattr(node, "name", None),)
    return ast.Broken(keyword_of(type(node)), tuple(n for n in names if n), node.span)


def keyword_of(cls: type[ast.Node]) -> str:
    """Return the word that a statement or definition starts with; "" for a setting of `train`."""
    if cls is ast.Setting:
        return ""
    return "optimizer" if cls is ast.TrainOptimizer else cls.__name__.lower()
