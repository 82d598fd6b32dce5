"""The canonical layout of a .dl file, as `specc fmt` writes it.

In: a source without syntax errors. Out: the same tokens and comments in the canonical layout.

    formatted(Source("a.dl", "dim n=3   const  margin = 1"))
    # "dim   n      = 3\nconst margin = 1\n"

- Two spaces per level; one statement per line; at most one blank line, where the author left one,
and one around every definition of several lines.
- `name=value` in calls, `name = value` in signatures and in `train`; `1/255` for two integers.
- In `model` and `train`, and for sizes, the keywords, `=` and types of neighbouring lines are
aligned.
- A comment stays where it is; a statement with a comment inside keeps its line breaks.
"""

from __future__ import annotations

from bisect import bisect_left

from specc.diagnostics import Report, SpecError
from specc.frontend.layout.lines import STEP, WIDTH, Piece, fill, flat, lay
from specc.frontend.syntax import ast
from specc.frontend.syntax.build_indices import Token
from specc.frontend.syntax.lex import lex
from specc.frontend.syntax.parse import parse
from specc.source import Source
from specc.system.records import dataclass

WORDS = (ast.Fn, ast.Block, ast.Cell, ast.Optimizer)
# Statements whose keywords are padded to the same width as those of their neighbours.
FAMILIES = (
    (ast.Input, ast.Target, ast.Stream),
    (ast.Output, ast.Loss, ast.Metric),
    (
        ast.Data,
        ast.Validate,
        ast.Test,
        ast.Column,
        ast.Augment,
        ast.TrainOptimizer,
        ast.Start,
        ast.Freeze,
    ),
    (ast.Dim, ast.Seq, ast.Const),
)
SIZES = FAMILIES[3]
NAMED = (
    *SIZES,
    ast.Let,
    ast.Layer,
    ast.Output,
    ast.Loss,
    ast.Metric,
    ast.Column,
    ast.Augment,
    ast.Start,
    ast.Setting,
)
"""Statements of the form `name = value`."""
PORTS = FAMILIES[0]
FARTHEST = 40
"""The most columns by which an end-of-line comment is moved to align it with another."""


def formatted(source: Source) -> str:
    """Return the source's text in the canonical layout. Raises SpecError for syntax errors."""
    file, diagnostics = parse(source)
    if any(each.severity == "error" for each in diagnostics):
        raise SpecError(diagnostics)
    text = _FileWriter(file).written()
    assert says_the_same(source, Source(source.name, text)), (
        f"formatting {source.name} would change its meaning; please report this"
    )
    return text


def says_the_same(one: Source, other: Source) -> bool:
    """Return whether two texts differ only in spaces and line breaks."""
    tokens, comments = [], []
    for source in (one, other):
        lexed = lex(source, Report())
        tokens.append([(token.kind, token.text) for token in lexed.tokens])
        comments.append([comment.text.rstrip() for comment in lexed.comments])
    return tokens[0] == tokens[1] and comments[0] == comments[1]


@dataclass(slots=True)
class _Line:
    text: str
    comment: str = ""


class _FileWriter:
    """A writer of a file from its first token to its last, with comments as they occur."""

    def __init__(self, file: ast.File) -> None:
        self.file = file
        self.text = file.source.text
        self.tokens = lex(file.source, Report()).tokens[:-1]
        self.starts = [token.start for token in self.tokens]
        self.comments = file.comments
        self.next_comment = 0
        self.lines: list[_Line] = []
        self.end = 0  # of the last token that was written, in the text
        self.tight, self.unary, self.counted = _signs(file)

    def written(self) -> str:
        definitions = self.file.definitions
        laid = self._columns(definitions, 0)
        was_long = False
        for number, definition in enumerate(definitions):
            start, lines = definition.span.start, laid[number]
            body = getattr(definition, "body", None)
            is_long = body is not None or len(lines) > 1
            first = len(self.lines)
            self._comments_before(start, 0)
            self._blank_line(start)
            here = self.lines[first:]
            if number and (is_long or was_long) and all(line.text for line in here):
                self.lines.insert(first, _Line(""))
            if body is None:
                self._put(lines, definition.span.end, 0)
            else:
                self._definition(definition, body, lines)
            was_long = is_long
        self._comments_before(len(self.text) + 1, 0)
        while self.lines and not self.lines[0].text:
            del self.lines[0]
        return "".join(line + "\n" for line in _with_comments(self.lines))

    def _definition(self, definition, body: tuple[ast.Statement, ...], header: list[str]) -> None:
        opening = self._opening(definition)
        has_comment = self._next_comment_before(definition.span.end)
        if not body and not has_comment:
            header[-1] += " {}"
            self._put(header, definition.span.end, 0)
            return
        if self._comments_within(self._tokens(definition)[-1].end, opening):
            header.append("{")
        else:
            header[-1] += " {"
        self._put(header, opening + 1, 0)
        is_model = not isinstance(definition, WORDS)
        laid = self._columns(body, STEP, is_model)
        first = len(self.lines)
        for statement, lines in zip(body, laid, strict=True):
            self._comments_before(statement.span.start, STEP, first)
            if len(self.lines) > first:
                self._blank_line(statement.span.start)
            self._put(lines, statement.span.end, STEP)
        self._comments_before(definition.span.end, STEP, first)
        self._put(["}"], definition.span.end, 0)

    # Comments and blank lines

    def _next_comment_before(self, offset: int) -> bool:
        return (
            self.next_comment < len(self.comments)
            and self.comments[self.next_comment].span.start < offset
        )

    def _comments_before(self, offset: int, indent: int, first: int = 0) -> None:
        """Write the comments up to an offset, each on its own line."""
        while self._next_comment_before(offset):
            comment = self.comments[self.next_comment]
            if len(self.lines) > first:
                self._blank_line(comment.span.start)
            self.lines.append(_Line(" " * indent + comment.text.rstrip()))
            self.end = comment.span.end
            self.next_comment += 1

    def _blank_line(self, start: int) -> None:
        """Write a blank line if the author left one before this offset."""
        is_blank = not self.lines or not self.lines[-1].text
        if not is_blank and self.text.count("\n", self.end, start) > 1:
            self.lines.append(_Line(""))

    def _put(self, lines: list[str], end: int, indent: int) -> None:
        """Write lines that end at an offset of the text, and the comment after them."""
        while self._next_comment_before(end):  # it is part of the lines
            self.next_comment += 1
        self.lines += [_Line(line) for line in lines]
        self.end = end
        if self.next_comment < len(self.comments):
            comment = self.comments[self.next_comment]
            between = self.text[end : comment.span.start]
            if not between.strip() and "\n" not in between:
                self.lines[-1].comment = comment.text.rstrip()
                self.end = comment.span.end
                self.next_comment += 1

    # Statements

    def _columns(self, nodes, indent: int, is_model: bool = True) -> list[list[str]]:
        """Return the lines of statements or definitions, with neighbours aligned."""
        parts = [self._pieces(node) for node in nodes]
        if not is_model:
            return [self._laid(n, p, indent) for n, p in zip(nodes, parts, strict=True)]
        # A definition of several lines has blank lines around it, so it has no neighbours.
        is_long = [
            indent == 0 and (self._has_comment(n) or len(self._laid(n, p, indent)) > 1)
            for n, p in zip(nodes, parts, strict=True)
        ]
        runs = list(self._runs(nodes, is_long))
        for run in runs:
            self._keyword_column([nodes[i] for i in run], [parts[i] for i in run])
        for run in runs:
            at = 0
            while at < len(run):
                stop = at + 1
                kind = self._column_kind(nodes[run[at]], parts[run[at]], indent)
                while (
                    kind
                    and stop < len(run)
                    and kind == self._column_kind(nodes[run[stop]], parts[run[stop]], indent)
                ):
                    stop += 1
                if kind:
                    _align_sign([parts[i] for i in run[at:stop]], kind[1], indent)
                at = stop
        return [self._laid(n, p, indent) for n, p in zip(nodes, parts, strict=True)]

    def _runs(self, nodes, is_long: list[bool]):
        """Return the indices of statements with no blank line between them."""
        run: list[int] = []
        for number, node in enumerate(nodes):
            if run:
                before = nodes[number - 1].span.end
                gap = self.text[before : node.span.start].split("\n")
                is_apart = is_long[number] or is_long[number - 1]
                if is_apart or any(not line.strip() for line in gap[1:-1]):
                    yield run
                    run = []
            run.append(number)
        if run:
            yield run

    def _keyword_column(self, nodes, parts: list[list[Piece]]) -> None:
        """Pad the keywords of neighbours of one family to the width of the longest."""
        at = 0
        while at < len(nodes):
            family = _family(nodes[at])
            stop = at + 1
            while family and stop < len(nodes) and _family(nodes[stop]) is family:
                stop += 1
            if family:
                width = max(len(part[0].text) for part in parts[at:stop])
                pads = [width - len(part[0].text) for part in parts[at:stop]]
                widths = [
                    len(flat(part)) + pad for part, pad in zip(parts[at:stop], pads, strict=True)
                ]
                if family is SIZES and max(widths) > WIDTH:
                    pads = [0] * len(pads)
                for part, pad in zip(parts[at:stop], pads, strict=True):
                    part[1].space = 1 + pad
            at = stop

    def _column_kind(self, node, pieces: list[Piece], indent: int) -> tuple[type, str] | None:
        """Return the aligned neighbours of a one-line statement, and the sign in their column."""
        if self._has_comment(node) or len(self._laid(node, pieces, indent)) > 1:
            return None
        cls = SIZES[0] if isinstance(node, SIZES) else type(node)
        if isinstance(node, NAMED):
            return cls, "="
        if isinstance(node, PORTS):
            return cls, ":"
        return None

    def _has_comment(self, node) -> bool:
        return bool(self._comments_within(node.span.start, self._head_end(node)))

    def _comments_within(self, start: int, end: int) -> tuple[ast.Comment, ...]:
        first, stop = (
            bisect_left(self.comments, offset, key=lambda each: each.span.start)
            for offset in (start, end)
        )
        return self.comments[first:stop]

    def _head_end(self, node) -> int:
        """Return the offset where a statement ends, or where the body of a definition starts."""
        return self._opening(node) if getattr(node, "body", None) is not None else node.span.end

    def _opening(self, definition) -> int:
        """Return the offset of the opening brace of a definition's body."""
        at = bisect_left(self.starts, definition.span.start)
        while self.tokens[at].kind != "{":
            at += 1
        return self.tokens[at].start

    def _laid(self, node, pieces: list[Piece], indent: int) -> list[str]:
        """Return the lines of a statement, or of a definition up to its body."""
        if self._has_comment(node):
            return self._kept(node, indent)
        body = getattr(node, "body", None)
        if isinstance(node, WORDS):
            return _word(pieces, room=0 if body is None else 2)
        first, *rest = lay(pieces, indent, indent + STEP, is_statement=True)
        return [" " * indent + first, *rest]

    def _tokens(self, node) -> list[Token]:
        """Return the tokens of a statement, or of a definition up to its body."""
        at = bisect_left(self.starts, node.span.start)
        return self.tokens[at : bisect_left(self.starts, self._head_end(node))]

    def _pieces(self, node) -> list[Piece]:
        stack: list[list[Piece]] = [[]]
        before: Token | None = None
        for token in self._tokens(node):
            if token.kind in (")", "]"):
                inside = stack.pop()
                bracket = stack[-1][-1]
                bracket.inside, bracket.close = inside, token.kind
                bracket.flat = bracket.text + flat(inside) + token.kind
            else:
                in_index = len(stack) > 1 and stack[-2][-1].kind == "["
                piece = Piece(token.kind, token.text, token.start)
                if before is not None:
                    piece.space = self._space(before, token, in_index)
                    piece.is_broken = "\n" in self.text[before.end : token.start]
                piece.is_unary = token.start in self.unary
                stack[-1].append(piece)
                if token.kind in ("(", "["):
                    stack.append([])
            before = token
        return stack[0]

    def _space(self, before: Token, token: Token, in_index: bool) -> int:
        """Return the number of spaces between two tokens."""
        sign, kind = before.kind, token.kind
        if kind in (")", "]", ",", ";", ".", "[") or sign in ("(", "[", "."):
            return 0
        if kind == ":" or (sign == ":" and in_index):
            return int(in_index and sign == ",")
        if kind == "(" and sign in ("NAME", ")"):
            return int(before.start in self.counted)
        if {before.start, token.start} & self.tight or before.start in self.unary:
            return 0
        return 1

    def _kept(self, node, indent: int) -> list[str]:
        """Return the lines of a statement with comments inside, with the author's line breaks."""
        comments = self._comments_within(node.span.start, self._head_end(node))
        parts: list[Token | ast.Comment] = [*self._tokens(node), *comments]
        parts.sort(key=lambda part: part.start if isinstance(part, Token) else part.span.start)
        lines: list[str] = []
        depth, last_end = 0, 0
        before: Token | None = None
        stack: list[str] = []
        for part in parts:
            token = part if isinstance(part, Token) else None
            at = part if isinstance(part, Token) else part.span
            closes = token is not None and token.kind in (")", "]")
            depth -= closes
            if not lines:
                lines.append(" " * indent + part.text)
            elif "\n" in self.text[last_end : at.start]:
                level = depth if closes else max(1, depth)
                lines.append(" " * (indent + STEP * level) + part.text.rstrip())
            elif token is None:
                lines[-1] += "  " + part.text.rstrip()
            else:
                assert before is not None, "a comment ends its line; please report this"
                in_index = bool(stack) and stack[-1] == "["
                lines[-1] += " " * self._space(before, token, in_index) + token.text
            if token is not None:
                before = token
                if token.kind in ("(", "["):
                    depth += 1
                    stack.append(token.kind)
                elif closes:
                    stack.pop()
            last_end = at.end
        return lines


def _word(pieces: list[Piece], room: int) -> list[str]:
    """Return the lines of a definition's head, with the value of `fn name(x) = value`.

    `room` is the number of columns for its brace.
    """
    signature, rest = pieces[2], pieces[3:]
    text = flat(pieces)
    arrows_kept = any(piece.kind == "->" and piece.is_broken for piece in rest)
    if len(text) + room <= WIDTH and not arrows_kept:
        return [text]
    head = flat(pieces[:3])
    if len(head) + len(" =" if rest else " {") <= WIDTH:
        if not rest:
            return [head]
        value = rest[1:]
        if STEP + len(flat(value)) <= WIDTH and not arrows_kept:
            return [head + " =", " " * STEP + flat(value)]
        if any(piece.kind == "->" for piece in value):
            first, *others = lay(value, len(head) + 3, STEP, is_statement=True)
            return [f"{head} = {first}", *others]
        first, *others = lay(value, STEP, STEP)
        return [head + " =", " " * STEP + first, *others]
    lines = [flat(pieces[:2]) + "("]
    inside = signature.inside or []
    semicolon = next((i for i, piece in enumerate(inside) if piece.kind == ";"), None)
    if semicolon is None:
        lines += fill(inside, STEP)
    else:
        lines += fill(inside[: semicolon + 1], STEP)
        lines += fill(inside[semicolon + 1 :], STEP) if inside[semicolon + 1 :] else []
    if not rest:
        return [*lines, ")"]
    first, *others = lay(rest[1:], len(") = "), STEP, is_statement=True)
    return [*lines, ") = " + first, *others]


def _signs(file: ast.File) -> tuple[set[int], set[int], set[int]]:
    """Return offsets of operators without spaces, of unary ones, and of names of copy counts."""
    tight: set[int] = set()
    unary: set[int] = set()
    counted: set[int] = set()
    text = file.source.text
    for definition in file.definitions:
        for node in ast.walk(definition):
            match node:
                case ast.Argument(name=ast.Name() as name) if not isinstance(definition, ast.Train):
                    tight.add(_next_sign(text, name.span.end, "="))
                case ast.Bind(start=start) if start is not None:
                    tight.add(_next_sign(text, start.span.end, ":"))
                case ast.Repeat(index=ast.Name() as name):
                    counted.add(name.span.start)
                case ast.Unary(operator=sign) if sign.text == "-":
                    unary.add(sign.span.start)
                case ast.Binary(
                    operator=sign, left=ast.Number(text=left), right=ast.Number(text=right)
                ):
                    numbers = (left, right)
                    if sign.text == "/" and all(each.isdigit() for each in numbers):
                        tight.add(sign.span.start)
    return tight, unary, counted


def _next_sign(text: str, at: int, sign: str) -> int:
    """Return the offset of the next `sign` from `at` on."""
    while text[at] != sign:
        at = text.index("\n", at) if text[at] == "#" else at + 1
    return at


def _family(node) -> tuple[type, ...] | None:
    return next((family for family in FAMILIES if isinstance(node, family)), None)


def _align_sign(parts: list[list[Piece]], sign: str, indent: int) -> None:
    """Align the first `=`, or the token after the first `:`, of all parts."""
    places: list[tuple[list[Piece], int]] = []
    for part in parts:
        at = next((i for i, piece in enumerate(part) if piece.kind == sign), None)
        if at is not None:
            places.append((part, at if sign == "=" else at + 1))
    widths = [len(flat(part[: at + 1])) - len(part[at].flat) for part, at in places]
    if not widths:
        return
    widest = max(widths)
    if any(
        indent + len(flat(part)) + widest - width > WIDTH
        for (part, _), width in zip(places, widths, strict=True)
    ):
        return
    for (part, at), width in zip(places, widths, strict=True):
        part[at].space += widest - width


def _with_comments(lines: list[_Line]) -> list[str]:
    """Return the lines with their end-of-line comments, aligned with those of neighbours."""
    out: list[str] = []
    at = 0
    while at < len(lines):
        stop = at + 1
        if not lines[at].comment:
            out.append(lines[at].text)
            at = stop
            continue
        while stop < len(lines) and lines[stop].comment:
            stop += 1
        widths = [len(line.text) for line in lines[at:stop]]
        width = max(widths) if max(widths) - min(widths) <= FARTHEST else 0
        out += [f"{line.text.ljust(width)}  {line.comment}" for line in lines[at:stop]]
        at = stop
    return out
