"""Pages about statements, types and operators, from the docstrings of the syntax tree.

    keywords()["let"]          # (Documented(name="let", kind="statement", ...),)
    operators()["->"]          # the row of `->` in the docstring of `Pipeline`, and all of it

The grammar tells which keywords and operators each rule has, and a class of the tree is named after
its rule. A docstring has a summary, text, rows with the meaning of each operator, and an example:

    Everything before the first blank line is the summary.

        x -> f   a row: the meaning of the operator in the formula on the left

    Example:

        a program
"""

from __future__ import annotations

import inspect
import re
from dataclasses import replace
from functools import cache

from specc.frontend.syntax import ast, grammar
from specc.frontend.syntax.build import ALLOWED_IN
from specc.system.records import dataclass

PUNCTUATION = frozenset("(){}[],=.")
"""Brackets and separators, which have no page."""
_RULE = re.compile(r"^\??([a-z_]+)(?:\{\w+\})?:((?:.*\n)(?:[ \t]+\|?.*\n)*)", re.MULTILINE)
_ALIAS = re.compile(r"->\s*(\w+)\s*$")
_SIGNS = re.compile(r"[^\w\s()\[\]]+|[()\[\]]|\w{2,}")
_LITERAL = re.compile(r'"([^"]+)"')


@dataclass(frozen=True)
class Documented:
    """The parts of a docstring. `rows` are formulas with the meaning of their operator."""

    name: str
    kind: str
    summary: str
    text: str
    rows: tuple[tuple[str, str], ...] = ()
    example: str = ""
    places: tuple[str, ...] = ()  # the bodies in which the statement is allowed


def documented(name: str, kind: str, node: type[ast.Node]) -> Documented:
    """Return the parts of the docstring of a class of the tree."""
    doc, _, example = inspect.cleandoc(node.__doc__ or "").partition("Example:\n")
    summary, *paragraphs = re.split(r"\n\n+", doc.strip())
    texts, rows = [], []
    for paragraph in paragraphs:
        if paragraph.startswith("    "):
            rows += [_row(line) for line in paragraph.split("\n")]
        else:
            texts.append(" ".join(paragraph.split()))
    return Documented(
        name,
        kind,
        " ".join(summary.split()),
        "\n\n".join(texts),
        tuple(rows),
        inspect.cleandoc(example) + "\n" if example else "",
        ALLOWED_IN.get(node, ()),
    )


def _row(line: str) -> tuple[str, str]:
    left, right = re.split(r"\s{2,}", line.strip(), maxsplit=1)
    return left, right


@cache
def literals() -> dict[str, tuple[type[ast.Node], ...]]:
    """Return the keywords and operators of the grammar, with the classes that use them."""
    found: dict[str, list[type[ast.Node]]] = {}
    for rule, body in _RULE.findall(grammar.text()):
        for line in re.split(r"\n\s*\|", body):
            alias = _ALIAS.search(line.strip())
            name = (alias[1] if alias else rule).lstrip("_")
            node = getattr(ast, "".join(part.title() for part in name.split("_")), None)
            for literal in _LITERAL.findall(line):
                known = found.setdefault(literal, [])
                if node is not None and node not in known:
                    known.append(node)
    return {literal: tuple(nodes) for literal, nodes in found.items()}


@cache
def keywords() -> dict[str, tuple[Documented, ...]]:
    """Return the pages about reserved words, by word."""
    found: dict[str, tuple[Documented, ...]] = {}
    for word, nodes in literals().items():
        if not word.isalpha():
            continue
        own = [node for node in nodes if node.__name__.casefold().endswith(word)] or list(nodes)
        kind = "statement" if _begins(own[0], word) else "keyword"
        pages = (documented(word, kind, node) for node in own)
        found[word] = tuple(_of_row(page) or page for page in pages)
    return found


def _begins(node: type[ast.Node], word: str) -> bool:
    """Return whether the statements or definitions of a class start with the word."""
    is_whole = "body" in node.__annotations__ or "doc" in node.__annotations__
    return is_whole and node.__name__.casefold().endswith(word)


def _of_row(page: Documented) -> Documented | None:
    """Return the page with the row of its operator as summary; None if there is no such row."""
    row = next((row for row in page.rows if page.name in _SIGNS.findall(row[0])), None)
    if row is None:
        return None
    text = f"{page.summary}\n\n{page.text}".strip()
    return replace(page, summary=f"`{row[0]}`: {row[1]}.", text=text)


@cache
def operators() -> dict[str, tuple[Documented, ...]]:
    """Return the pages about operators, by operator, with its row as summary."""
    found: dict[str, tuple[Documented, ...]] = {}
    for sign, nodes in literals().items():
        pages = []
        for page in (documented(sign, "operator", node) for node in nodes):
            if (own := _of_row(page)) is not None:
                pages.append(own)
        if pages and not sign.isalpha() and sign not in PUNCTUATION - {"["}:
            found[sign] = tuple(pages)
    return found


@cache
def types() -> dict[str, Documented]:
    """Return the pages about the types of values, by the type's name."""
    page = documented("type", "type", ast.Type)
    text = f"{page.summary}\n\n{page.text}"
    return {
        left.partition("(")[0]: replace(
            page, name=left.partition("(")[0], summary=f"`{left}`: {right}.", text=text
        )
        for left, right in page.rows
    }
