"""All topics of `specc explain`, by name; a name may have several topics.

    topics()["csv"]        # [Topic("csv", "source", "A table as text, ...", ...)]
    topics()["train"]      # the statement; the command line adds the command

No topic is listed by hand. Statements, operators and types come from the grammar and the docstrings
of the syntax tree; settings, sources and names from the checker's tables; functions and layers from
the library; errors and warnings from `specc/pages`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from functools import cache
from textwrap import fill

from specc.frontend.elaborate.names import MEANINGS
from specc.frontend.explain import statements, words
from specc.frontend.explain.statements import Documented
from specc.frontend.program.training import SETTINGS
from specc.frontend.words.settings import KINDS
from specc.frontend.words.signatures import signature_of
from specc.recipe.settings import REQUIRED, Setting
from specc.recipe.sources import SOURCES, DataSource
from specc.recipe.words import WORDS, ColumnWord
from specc.system.records import dataclass

PAGES = words.PACKAGE / "pages"
OF_SOURCES = "setting of the source"
OF_COLUMNS = "word of a column's formula"
"""The kind of a setting of sources starts with this."""
PORTS = "NAME: text"
"""The part of a source's signature for settings named after inputs and targets."""


@dataclass(frozen=True)
class Topic:
    """A topic of `specc explain`. `page` returns its text for a terminal."""

    name: str
    kind: str
    summary: str
    page: Callable[[], str]


@cache
def pages() -> dict[str, str]:
    """Return the pages about errors and warnings, by name."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.md"))}


def page_summary(name: str) -> str:
    """Return the first sentence of the page about an error or a warning."""
    return " ".join(pages()[name].split("\n\n")[1].split())


@cache
def topics() -> dict[str, tuple[Topic, ...]]:
    """Return all topics of the language, by name."""
    found: dict[str, list[Topic]] = {}
    for topic in all_topics():
        found.setdefault(topic.name, []).append(topic)
    return {name: tuple(each) for name, each in found.items()}


@cache
def all_topics() -> tuple[Topic, ...]:
    """Return all topics of the language, kind by kind."""
    return tuple(_all())


def _all() -> Iterator[Topic]:
    for documents in (*statements.keywords().values(), *statements.operators().values()):
        for document in documents:
            yield _documented(document)
    for document in statements.types().values():
        yield _documented(document)
    for setting in SETTINGS:
        yield _short(setting.name, "setting of `train`", setting.doc, str(setting))
    for name, source in SOURCES.items():
        yield Topic(name, "source", _first_sentence(source.doc), _source_page(name, source))
    yield from _settings_of_sources()
    for word in WORDS.values():
        yield Topic(word.name, OF_COLUMNS, _first_sentence(word.doc), _column_page(word))
    for name, doc in MEANINGS.items():
        yield _short(name, "name", doc)
    for name, doc in KINDS.items():
        if name not in statements.types():
            sentence = f"In a signature, a setting of the kind `{name}` takes {doc}."
            yield _short(name, "kind of setting", sentence)
    for group, names in words.groups().items():
        for name in names:
            yield Topic(name, group, _first_sentence(words.doc_of(name)), _word(name))
    for name in pages():
        yield Topic(name, "error or warning", page_summary(name), _page(name))


def _word(name: str) -> Callable[[], str]:
    return lambda: words.word_page(name)


def _page(name: str) -> Callable[[], str]:
    return lambda: pages()[name]


def _first_sentence(text: str) -> str:
    flat = " ".join(text.split())
    end = flat.find(". ")
    return flat if end < 0 else flat[: end + 1]


def _short(name: str, kind: str, doc: str, head: str = "") -> Topic:
    text = f"{head or name}\n\n{_filled(kind)}\n\n{_filled(doc)}\n"
    return Topic(name, kind, _first_sentence(doc), lambda: text)


def _filled(text: str) -> str:
    return "\n\n".join(
        fill(paragraph, 100, break_on_hyphens=False, break_long_words=False)
        for paragraph in text.split("\n\n")
    )


def _documented(document: Documented) -> Topic:
    def page() -> str:
        parts = [document.name, document.kind, _filled(document.summary), _filled(document.text)]
        if document.places:
            listed = ", ".join(f"`{each}`" for each in document.places)
            parts.append(f"It is used in {listed}.")
        if document.rows:
            parts.append(_rows(document.rows))
        if document.name == "train":
            parts.append("Settings\n" + _rows((str(each), each.doc) for each in SETTINGS))
        if document.example:
            parts.append("Example\n" + words.indented(document.example).rstrip())
        return "\n\n".join(part for part in parts if part) + "\n"

    return Topic(document.name, document.kind, document.summary, page)


def _rows(rows: Iterable[tuple[str, str]]) -> str:
    rows = list(rows)
    width = max(len(left) for left, _ in rows) + 2
    lines = [
        fill(right, 100, initial_indent=f"  {left:<{width}}", subsequent_indent=" " * (width + 2))
        for left, right in rows
    ]
    return "\n".join(lines)


def source_signature(name: str, source: DataSource) -> str:
    """Return the signature of a source: `csv(FILE; NAME: text, scale: number = 1, ...)`."""
    files = ", ".join(
        f"{each.removeprefix('the ').replace('name of a file', 'file')}" for each in source.files
    )
    files += ", ..." if source.more_files else ""
    settings = [PORTS] * source.names_ports + [str(each) for each in source.settings]
    return (
        f"{name}({files}; {', '.join(settings)})" if files else f"{name}(; {', '.join(settings)})"
    )


def _source_page(name: str, source: DataSource) -> Callable[[], str]:
    def page() -> str:
        own = [(PORTS, "The location of the input or target `NAME`, if it is not its name.")]
        rows = own * source.names_ports + [(str(each), each.doc) for each in source.settings]
        parts = [name, "source", _filled(source.doc), _usage(name, source)]
        return "\n\n".join([*parts, "Settings\n" + _rows(rows)]) + "\n"

    return page


def _usage(name: str, source: DataSource) -> str:
    files = [each + ", which is optional" * (at >= len(source.files) - source.optional)
             for at, each in enumerate(source.files)]  # fmt: skip
    takes = " and ".join(files) or "no file"
    return f"`{name}(...)` takes {takes}{', any number of them' * source.more_files}."


def _settings_of_sources() -> Iterator[Topic]:
    """Yield one topic per setting of sources, which covers all sources that have it."""
    owners: dict[str, dict[str, list[str]]] = {}
    for name, source in SOURCES.items():
        for setting in source.settings:
            by_text = owners.setdefault(setting.name, {})
            by_text.setdefault(f"{setting}\n\n{{kind}}\n\n{setting.doc}", []).append(name)
    for name, by_text in owners.items():
        for text, sources in by_text.items():
            listed = ", ".join(f"`{each}`" for each in sources)
            kind = f"{OF_SOURCES}{'s' * (len(sources) > 1)} {listed}"
            head, _, doc = text.split("\n\n")
            yield _short(name, kind, doc, head)


def _column_page(word: ColumnWord) -> Callable[[], str]:
    def page() -> str:
        parts = [str(word), OF_COLUMNS, _filled(word.doc)]
        if word.learns:
            parts.append(
                "Its statistics are computed from the training part and stored in the run."
            )
        if word.settings:
            rows = ((str(each), _default(each)) for each in word.settings)
            parts.append("Settings\n" + _rows(rows))
        parts.append(f"Example\n  column x = {word.example}")
        return "\n\n".join(parts) + "\n"

    return page


def _default(setting: Setting) -> str:
    return "required" if setting.default is REQUIRED else "optional"


@cache
def word_settings() -> dict[str, dict[str, str]]:
    """Return, by the name of a setting, the functions that have it and their declarations."""
    found: dict[str, dict[str, str]] = {}
    for word in (each for names in words.groups().values() for each in names):
        for setting in signature_of(words.definition_of(word)).settings:
            found.setdefault(setting.name, {})[word] = str(setting)
    return found


def settings_of_words(name: str) -> list[Topic]:
    """Return a topic for a setting of functions of the library; none if no function has it."""
    declared = word_settings().get(name)
    if declared is None:
        return []
    summary = f"`specc explain {next(iter(declared))}` describes it."
    note = f"These functions and layers have it; {summary}"
    text = f"{name}\n\nsetting\n\n{note}\n\n{_rows(declared.items())}\n"
    return [Topic(name, "setting", summary, lambda: text)]
