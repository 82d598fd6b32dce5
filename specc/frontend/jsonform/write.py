"""The JSON form of a file: its syntax tree as plain data, for programs that process models.

    to_json(file)
    # {"kind": "File", "definitions": [{"kind": "Dim", "name": "n", "value": 3}]}

`read.py` is the inverse. A node becomes an object with the class name as `kind` and the fields of
the node; a field that is empty, absent or false is left out. Some nodes have a shorter form: a
name, a path or an operator is a string ("tower.dense1"), also as a value; numbers and booleans are
JSON's own; a string is {"kind": "String", "value": ..}.

Comments and layout are kept too, so that .dl -> JSON -> .dl restores the file: comments above
(`comments`, one per line, "" for a blank line), after (`comment`; `body_comment` after `{`) and at
the end (`end_comments`), and those of pipeline stages; `parens`, the number of redundant
parentheses; `breaks`, the stages that start a line; `empty_parens`. A comment at another location
in a statement is moved above it.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterator
from typing import Any

from specc.diagnostics import Report
from specc.frontend.jsonform.shapes import (
    ASIDE,
    DEEPEST,
    EXPRESSIONS,
    RENAMED,
    Shape,
    binding,
    least,
    shapes,
    written,
)
from specc.frontend.program.check import recursion
from specc.frontend.syntax import ast
from specc.frontend.syntax.lex import lex


def to_json(file: ast.File) -> dict[str, Any]:
    """Return the JSON form of a file without syntax errors."""
    with recursion(20 * DEEPEST):
        return _Reader(file).file()


class _Reader:
    def __init__(self, tree: ast.File) -> None:
        self.tree = tree
        self.text = tree.source.text
        self.tokens = lex(tree.source, Report()).tokens
        self.starts = [token.start for token in self.tokens]
        self.next_comment = 0
        self.taken: set[ast.Comment] = set()  # the comments of stages
        self.end = 0

    def file(self) -> dict[str, Any]:
        record: dict[str, Any] = {"kind": "File"}
        definitions = [self._commented(each) for each in self.tree.definitions]
        if definitions:
            record["definitions"] = definitions
        if end := self._comments_before(len(self.text) + 1):
            record["end_comments"] = end
        return record

    # Statements with their comments

    def _commented(self, node: Any) -> dict[str, Any]:
        """Return a statement or definition with the comments above and after it."""
        before = self._comments_before(node.span.start)
        if self._is_blank(node.span.start):
            before.append("")
        body = getattr(node, "body", None)
        record: dict[str, Any] = {"kind": type(node).__name__}
        for field in ast.fields_of(node):
            if field.name == "body":
                continue
            self._put(record, node, field.name)
        if isinstance(node, ast.Layer):
            self._put_breaks(record, node)
        if body is not None:
            opening = bisect_left(self.starts, node.span.start)
            while self.tokens[opening].kind != "{":
                opening += 1
            before += self._inner_comments(self.tokens[opening].start)
            self.end = self.tokens[opening].end
            self._after(record, "body_comment")
            record["body"] = [self._commented(each) for each in body]
            if end := self._comments_before(node.span.end):
                record["end_comments"] = end
        else:
            before += self._inner_comments(node.span.end)
        self.end = node.span.end
        self._after(record, "comment")
        if before:
            record["comments"] = before
        return record

    def _comments_before(self, offset: int) -> list[str]:
        found = []
        for comment in self._until(offset):
            if self._is_blank(comment.span.start):
                found.append("")
            found.append(comment.text.rstrip())
            self.end = comment.span.end
        return found

    def _inner_comments(self, offset: int) -> list[str]:
        return [comment.text.rstrip() for comment in self._until(offset)]

    def _until(self, offset: int) -> Iterator[ast.Comment]:
        comments = self.tree.comments
        while self.next_comment < len(comments) and comments[self.next_comment].span.start < offset:
            self.next_comment += 1
            if comments[self.next_comment - 1] not in self.taken:
                yield comments[self.next_comment - 1]

    def _after(self, record: dict[str, Any], name: str) -> None:
        comments = self.tree.comments
        if self.next_comment < len(comments):
            comment = comments[self.next_comment]
            between = self.text[self.end : comment.span.start]
            if not between.strip() and "\n" not in between:
                record[name] = comment.text.rstrip()
                self.next_comment += 1
                self.end = comment.span.end

    def _is_blank(self, start: int) -> bool:
        return self.end > 0 and self.text.count("\n", self.end, start) > 1

    # Nodes

    def _put(self, record: dict[str, Any], node: Any, name: str) -> None:
        """Add the field of a node to its record, unless it is empty."""
        if name in ASIDE.get(type(node), ("span", "comments", "doc")):
            return
        value = getattr(node, name)
        name = RENAMED.get(name, name)
        shape = shapes(node.__class__)[name]
        if value is None or value is False:
            return
        if isinstance(value, tuple):
            is_meant = (type(node), name) == (ast.Type, "axes")  # `float` is not `float[]`
            if value or is_meant:
                record[name] = [self._value(node, each, name, shape) for each in value]
        else:
            record[name] = self._value(node, value, name, shape)

    def _value(self, parent: Any, value: Any, name: str, shape: Shape) -> Any:
        if isinstance(value, (ast.Name, ast.Operator)):
            return value.text
        if isinstance(value, ast.String) and isinstance(parent, ast.Use):
            return value.value
        if isinstance(value, ast.Path) and shape.pattern:
            return value.text
        if ast.Binary in shape.classes and isinstance(value, EXPRESSIONS):
            return self._expression(value, least(parent, name))
        record = self._node(value)
        is_stage = isinstance(value, ast.Call) and not isinstance(
            parent, (ast.Data, ast.Validate, ast.Test)
        )
        if (
            is_stage
            and self.text[value.span.end - 1] == ")"
            and not (value.settings or value.has_semicolon)
        ):
            record["empty_parens"] = True
        return record

    def _node(self, node: Any) -> Any:
        if not isinstance(node, ast.Node):
            return node
        record: dict[str, Any] = {"kind": type(node).__name__}
        for field in ast.fields_of(node):
            self._put(record, node, field.name)
        if isinstance(node, ast.Call) and _is_implied(node):
            record.pop("has_semicolon", None)
        if isinstance(node, ast.Pipeline):
            self._put_breaks(record, node)
        return record

    def _put_breaks(self, record: dict[str, Any], node: ast.Pipeline | ast.Layer) -> None:
        """Record which stages start a line; the first stage of a layer follows its `=`."""
        stages = list(enumerate(node.stages))[isinstance(node, ast.Layer) :]
        breaks = [place for place, stage in stages if self._starts_line(stage)]
        if breaks:
            record["breaks"] = breaks
        for place, stage in stages:
            after, above = self._stage_comments(stage)
            if after:
                (record["stages"][place - 1] if place else record)["comment"] = after
            if above:
                record["stages"][place]["comments"] = above

    def _stage_comments(self, stage: ast.Node) -> tuple[str | None, list[str]]:
        """Return the comment at the end of the line before a stage's arrow, and those above it."""
        arrow = bisect_left(self.starts, stage.span.start) - 1
        end, start = self.tokens[arrow - 1].end, self.tokens[arrow].start
        after, above = None, []
        for comment in self.tree.comments if "#" in self.text[end:start] else ():
            if end <= comment.span.start < start:
                self.taken.add(comment)
                if "\n" in self.text[end : comment.span.start]:
                    above.append(comment.text.rstrip())
                else:
                    after = comment.text.rstrip()
        return after, above

    def _starts_line(self, stage: ast.Node) -> bool:
        at = bisect_left(self.starts, stage.span.start) - 1  # the arrow
        return "\n" in self.text[self.tokens[at - 1].end : self.tokens[at].start]

    def _expression(self, node: Any, least: int) -> Any:
        extra = self._parens(node) - (binding(node) < least)
        plain: Any = None
        if isinstance(node, ast.Path):
            plain = node.text
        elif isinstance(node, ast.Boolean) or (
            isinstance(node, ast.Number) and written(node.value) == node.text
        ):
            plain = node.value
        if extra <= 0:
            return plain if plain is not None else self._node(node)
        record = self._node(node)
        if isinstance(node, ast.Path):
            record = {"kind": "Path", "names": [name.text for name in node.names]}
        return {**record, "parens": extra}

    def _parens(self, node: Any) -> int:
        """Return the number of pairs of parentheses around a value."""
        first = bisect_left(self.starts, node.span.start) - 1
        last = bisect_left(self.starts, node.span.end)
        count = 0
        while first >= 0 and self.tokens[first].kind == "(" and self.tokens[last].kind == ")":
            if first and self.tokens[first - 1].kind == "NAME":
                break  # the parentheses of a call
            count, first, last = count + 1, first - 1, last + 1
        return count


def _is_implied(call: ast.Call) -> bool:
    """Return whether a call has a semicolon in any case."""
    return bool(call.inputs and call.settings)
