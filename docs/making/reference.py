"""The pages of the reference, in Markdown, made of what `specc explain` knows.

    pages()["reference/losses.md"]     # "# Losses\n\n..."

A name links to its page wherever the reference says it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace
from html import escape

import click

from making.typeset import equations
from specc.cli.main import commands
from specc.frontend.elaborate.names import MEANINGS
from specc.frontend.explain import statements, words
from specc.frontend.explain.examples import sample
from specc.frontend.explain.statements import Documented
from specc.frontend.explain.topics import PORTS
from specc.frontend.explain.topics import pages as diagnostics
from specc.frontend.layout.format import formatted
from specc.frontend.program.training import SETTINGS
from specc.frontend.words.messages import WARNINGS
from specc.frontend.words.settings import KINDS, Declared
from specc.frontend.words.signatures import Primitive, signature_of
from specc.recipe.sources import SOURCES
from specc.recipe.words import WORDS as COLUMN_WORDS
from specc.source import Source

TITLES = {
    "activations": "Activations",
    "cells": "Recurrent cells",
    "initializers": "Initial values",
    "layers": "Layers",
    "losses": "Losses",
    "metrics": "Metrics",
    "optimizers": "Optimizers",
    "primitives": "Primitive functions",
    "augment": "Changes of inputs while training",
    "regularizers": "Penalties on weights",
    "schedules": "Schedules",
}


def pages() -> dict[str, str]:
    """Return the pages by their paths."""
    made = {
        "statements": _statements(),
        "formulas": _formulas(),
        "train": _train(),
        "sources": _sources(),
        "columns": _columns(),
        "errors": _diagnostics("Errors", [n for n in diagnostics() if n not in WARNINGS]),
        "warnings": _diagnostics("Warnings", list(WARNINGS)),
        "commands": _commands(),
    }
    made |= {group: _words(group, names) for group, names in words.groups().items()}
    made["index"] = _index(made)
    return {f"reference/{name}.md": text.rstrip() + "\n" for name, text in made.items()}


def navigation() -> list[dict[str, str]]:
    """Return the entries of the menu."""
    first = ("index", "statements", "formulas", "train", "sources", "columns")
    last = ("commands", "errors", "warnings")
    titles = {"index": "All names", "statements": "Statements", "formulas": "Types and operators",
              "train": "Settings of train", "sources": "Data sources",
              "columns": "Words of columns", "commands": "Commands",
              "errors": "Errors", "warnings": "Warnings", **TITLES}  # fmt: skip
    middle = sorted(words.groups(), key=lambda group: TITLES.get(group, group))
    return [
        {titles.get(name, name.title()): f"reference/{name}.md"}
        for name in (*first, *middle, *last)
    ]


def _page(title: str, intro: str, parts: Iterable[str]) -> str:
    return "\n\n".join([f"# {title}", intro, *parts])


def _anchor(name: str) -> str:
    return re.sub(r"\W", lambda match: f"-{ord(match[0]):x}", name)


def _heading(name: str, key: str = "") -> str:
    return f"## `{name}` {{: #{_anchor(key or name)} }}"


def _program(text: str) -> str:
    return f"```dl\n{text.rstrip()}\n```"


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join(
        f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines
    )


def _document(page: Documented) -> str:
    parts = [_heading(page.name), page.summary, page.text]
    if page.places:
        parts.append("It is used in " + ", ".join(f"`{each}`" for each in page.places) + ".")
    if page.rows:
        parts.append(_table(("Formula", "Meaning"), ((f"`{a}`", b) for a, b in page.rows)))
    if page.example:
        parts.append(_program(page.example))
    return "\n\n".join(part for part in parts if part)


def _statements() -> str:
    seen, parts = set(), []
    for word, documents in statements.keywords().items():
        for page in documents:
            if page.kind == "statement" and (page.summary, page.text) not in seen:
                seen.add((page.summary, page.text))
                again = page.name in {each[0] for each in parts}
                text = _document(page)
                if again:
                    text = text.replace(
                        _heading(word), _heading(f"{word} in train", f"{word}-train")
                    )
                parts.append((page.name, text))
    intro = (
        "Every statement starts with a reserved word; line breaks and indentation have no meaning."
        " `#` starts a comment, and `##` a doc comment, which belongs to the definition below it."
    )
    return _page("Statements", intro, [text for _, text in parts])


def _formulas() -> str:
    seen, parts = set(), []
    for page in statements.types().values():
        if not parts:
            text = (
                page.text
                + "\n\n"
                + _table(("Type", "Values"), ((f"`{a}`", b) for a, b in page.rows))
            )
            parts.append(f"## Types\n\n{text}\n\n{_program(page.example)}")
    kinds = _table(("Kind of a setting", "It takes"), ((f"`{a}`", b) for a, b in KINDS.items()))
    parts.append(
        "## Kinds of settings\n\nA `fn`, `block`, `cell` or `optimizer` says what its settings"
        f" take.\n\n{kinds}"
    )
    names = _table(("Name", "Meaning"), ((f"`{a}`", b) for a, b in MEANINGS.items()))
    parts.append(f"## Names with a meaning of their own\n\n{names}")
    for documents in (*statements.operators().values(), *statements.keywords().values()):
        for page in documents:
            if page.kind != "statement" and page.text not in seen:
                seen.add(page.text)
                summary, _, rest = page.text.partition("\n\n")
                title = page.rows[0][0] if page.rows else page.name
                own = replace(page, name=title, summary=summary, text=rest)
                parts.append(_document(own if page.rows else page))
    return _page("Types and operators", "What the formulas of a model are made of.", parts)


def _train() -> str:
    rows = [f"## `{each.name}` {{: #{each.name} }}\n\n`{each}`\n\n{each.doc}" for each in SETTINGS]
    intro = (
        "The settings of a `train` block. The command line changes any of them:"
        " `specc train FILE epochs=5`. Data sources, optimizers and `freeze` are"
        " [statements](statements.md)."
    )
    return _page("Settings of train", intro, rows)


def _sources() -> str:
    parts = []
    for name, source in SOURCES.items():
        rows = [(f"`{PORTS}`", "Where to find the input or target `NAME`.")] * source.names_ports
        rows += [(f"`{each}`", each.doc) for each in source.settings]
        files = ", ".join(source.files) or "no file"
        takes = f"It takes {files}{', any number of them' * source.more_files}."
        parts.append(
            "\n\n".join([_heading(name), source.doc, takes, _table(("Setting", "Meaning"), rows)])
        )
    return _page("Data sources", "What `data`, `validate` and `test` can name.", parts)


def _columns() -> str:
    parts = []
    for name, word in COLUMN_WORDS.items():
        found = [_heading(name), _program(str(word)), word.doc]
        found.append(f"```dl\ncolumn x = {word.example}\n```")
        parts.append("\n\n".join(found))
    intro = (
        "The words of `column NAME = formula` in `train`: how raw columns of the data become inputs"
        " and targets. What a word learns, such as a mean, comes from the training part alone; the"
        " run keeps it."
    )
    return _page("Words of columns", intro, parts)


def _words(group: str, names: list[str]) -> str:
    intro = (
        "These functions are written in Python; everything else in the library is written in the"
        " language."
        if group == "primitives"
        else f"The definitions are in `specc/std/{group}.dl`. Each example is checked by the tests."
    )
    return _page(TITLES.get(group, group.title()), intro, [_word(name) for name in names])


def _word(name: str) -> str:
    definition = words.definition_of(name)
    signature = signature_of(definition)
    parts = [_heading(name), _program(words.head(name, signature))]
    if not isinstance(definition, Primitive):
        parts.append(equations(definition))
    parts.append(_prose(words.doc_of(name)))
    if signature.settings:
        parts.append(_table(("Setting", "It takes", "Default"), map(_declared, signature.settings)))
    text = formatted(Source(f"{name}.dl", sample(name)))
    parts += [_program(text), f"```text\n{words.result(text)}\n```"]
    if not isinstance(definition, Primitive):
        file, line = words.location_of(name)
        parts.append(
            f'??? note "Definition: {file}, line {line}"\n\n'
            + _within(_program(definition.span.text))
        )
    return "\n\n".join(parts)


def _within(text: str) -> str:
    return "\n".join(f"    {line}".rstrip() for line in text.split("\n"))


def _prose(doc: str) -> str:
    """Return a doc comment as Markdown, in which formulas may have signs that Markdown reads."""
    pieces = re.split(r"(`[^`]*`)", " ".join(doc.split()))
    return "".join(
        piece
        if piece.startswith("`")
        else re.sub(r"([*_|\[\]\\])", r"\\\1", escape(piece, quote=False))
        for piece in pieces
    )


def _declared(each: Declared) -> tuple[str, str, str]:
    head, equals, default = str(each).partition(" = ")
    name, _, kind = head.partition(": ")
    given = "required" if each.is_required else f"`{default}`" if equals else "none"
    return f"`{name}`", f"`{kind or 'any'}`", given


def _diagnostics(title: str, names: list[str]) -> str:
    intro = (
        "`specc check` reports all errors of a file at once. Each page has a wrong program and a"
        " fixed one, which the tests run."
        if title == "Errors"
        else "A warning is about a model that compiles, but is probably wrong. To silence one, add"
        " the comment `# allow: NAME` on its line or on the line above."
    )
    parts = []
    for name in names:
        text = diagnostics()[name].partition("\n\n")[2]
        text = re.sub(r"^## ", "### ", text, flags=re.MULTILINE)
        text = re.sub(r"^```(dl|csv) .*$", r"```\1", text, flags=re.MULTILINE)
        text = re.sub(r"^### (.*)$", rf"### \1 {{: #{name}-\1 }}", text, flags=re.MULTILINE)
        parts.append(f"## `{name}` {{: #{name} }}\n\n{text.strip()}")
    return _page(title, intro, parts)


def _commands() -> str:
    context = click.Context(commands, info_name="specc")
    parts = []
    for name in commands.list_commands(context):
        command = commands.get_command(context, name)
        assert command is not None
        within = click.Context(command, info_name=name, parent=context)
        parts.append(f"{_heading(name)}\n\n```text\n{command.get_help(within)}\n```")
    return _page("Commands", "What `specc --help` and `specc COMMAND --help` print.", parts)


def _index(made: dict[str, str]) -> str:
    rows = []
    for page, text in made.items():
        for name, anchor in re.findall(r"^## `(.+?)` \{: #(\S+) \}", text, re.MULTILINE):
            rows.append((name, f"[`{name.replace('|', '')}`]({page}.md#{anchor})", _title(page)))
    listed = _table(
        ("Name", "What it is"), (row[1:] for row in sorted(rows, key=lambda r: r[0].casefold()))
    )
    intro = "`specc explain NAME` prints the same in a terminal."
    return _page("All names", intro, [listed])


KINDS_OF_PAGES = {
    "statements": "statement",
    "formulas": "operator or keyword",
    "train": "setting of `train`",
    "sources": "data source",
    "columns": "word of a column's formula",
    "commands": "command",
    "errors": "error",
    "warnings": "warning",
}


def _title(page: str) -> str:
    return KINDS_OF_PAGES.get(page, TITLES.get(page, page).lower())
