"""The index of the standard library against the library."""

from __future__ import annotations

import pytest

from specc.frontend.syntax import ast
from specc.frontend.syntax.parse import parse
from specc.frontend.words import library
from specc.source import Source

FILES = sorted(library.FOLDER.glob("*.dl"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_the_index_finds_what_a_full_parse_finds(path):
    source = Source(path.name, path.read_text(encoding="utf-8"))
    file, diagnostics = parse(source)
    assert diagnostics == []
    for definition in file.definitions:
        found = library.lookup(definition.name.text)
        assert found is not None and ast.alike(found, definition)
        assert found.doc == definition.doc
        for one, other in zip(ast.walk(found), ast.walk(definition), strict=True):
            assert (one.span.start, one.span.end) == (other.span.start, other.span.end)
    names = {definition.name.text for definition in file.definitions}
    indexed = {
        word for word in library.words() if library.source_of(word).name == f"std/{path.name}"
    }
    assert names == indexed


def test_every_word_of_the_library_has_a_doc():
    assert [word for word in library.words() if not library.lookup(word).doc] == []


def test_a_word_is_parsed_once():
    for word in library.words()[:3]:
        assert library.lookup(word) is library.lookup(word)


def test_there_is_nothing_for_a_word_that_is_not_there():
    assert library.lookup("no_such_word") is None
    with pytest.raises(KeyError):
        library.source_of("no_such_word")


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.setattr(library, "FOLDER", tmp_path)
    for function in (library.index, library._definition):
        function.cache_clear()
    yield tmp_path
    for function in (library.index, library._definition):
        function.cache_clear()


def test_a_definition_has_its_places_in_the_whole_file(folder):
    text = (
        "# words\n\n## first\nfn one(x) =\n  x + 1\n\n## second\n## word\nblock two(x) {\n  return"
        " x\n}\n"
    )
    (folder / "a.dl").write_text(text)
    assert library.words() == ("one", "two")
    two = library.lookup("two")
    assert isinstance(two, ast.Block) and two.doc == "second\nword"
    assert (two.span.line, two.span.column, two.span.end_line) == (9, 1, 11)
    assert two.span.source is library.source_of("two")
    assert library.lookup("one").doc == "first"


def test_a_word_defined_twice_is_a_mistake_of_the_library(folder):
    (folder / "a.dl").write_text("fn one(x) = x\n")
    (folder / "b.dl").write_text("fn one(x) = x\n")
    with pytest.raises(AssertionError, match="please report"):
        library.words()
