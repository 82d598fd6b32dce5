"""Everything that a model file, a message or the command line can say has a page."""

from __future__ import annotations

import inspect
import re

import click
import pytest

from specc import driver
from specc.cli.explain import command_topics
from specc.cli.main import COMMANDS, commands
from specc.frontend.elaborate import patterns
from specc.frontend.elaborate.names import MEANINGS
from specc.frontend.explain import statements, words
from specc.frontend.explain.explain import contents, explanation, nearest
from specc.frontend.explain.topics import OF_SOURCES, settings_of_words, topics
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.program.model import RESERVED
from specc.frontend.program.training import SETTINGS
from specc.frontend.syntax import ast, grammar
from specc.frontend.syntax.build import ALLOWED_IN
from specc.frontend.words import library
from specc.frontend.words.messages import ERRORS, TRAIN_SYNONYMS, WARNINGS
from specc.frontend.words.settings import KINDS
from specc.frontend.words.signatures import signature_of
from specc.recipe.sources import SOURCES
from specc.source import Source

TOKENS = {"NAME", "NUMBER", "STRING", "BROKEN", "$END"}
DOCUMENTED = {
    page.example: page
    for pages in (*statements.keywords().values(), *statements.operators().values())
    for page in pages
    if page.example
}


def kinds(name: str) -> set[str]:
    return {each.kind for each in topics().get(name, ())}


def signs() -> set[str]:
    """The signs and words of the grammar, as the parser knows them."""
    return {token for row in grammar.tables().actions for token in row} - TOKENS


def command_line() -> dict[str, list]:
    context = click.Context(commands, info_name="specc")
    found: dict[str, list] = {}
    for topic in command_topics(context):
        found.setdefault(topic.name, []).append(topic)
    return found


def test_every_word_and_sign_of_the_grammar_is_explained():
    for sign in signs() - statements.PUNCTUATION | {"["}:
        assert kinds(sign) & {"statement", "keyword", "operator"}, f"no page about `{sign}`"


@pytest.mark.parametrize("node", [*ALLOWED_IN, ast.Dim, ast.Fn, ast.Model, ast.Train])
def test_every_statement_has_a_sentence_that_shows_it(node):
    summary = statements.documented("x", "statement", node).summary
    assert summary.startswith("`") and summary.endswith(".") and len(summary) <= 100


@pytest.mark.parametrize("example", DOCUMENTED, ids=lambda text: DOCUMENTED[text].name)
def test_every_example_of_a_statement_is_a_good_program(example):
    program, found = driver.check(Source("example.dl", example), {})
    assert program is not None and not found
    assert DOCUMENTED[example].name.split()[0] in example


def test_every_setting_of_a_training_is_explained_where_it_is_declared():
    for setting in SETTINGS:
        assert setting.doc.endswith("."), f"give the setting `{setting.name}` of `train` a doc"
        assert "setting of `train`" in kinds(setting.name)
        assert setting.name in explanation("train")


def test_every_source_and_each_of_its_settings_is_explained_where_it_is_declared():
    for name, source in SOURCES.items():
        assert source.doc.endswith("."), f"give the source `{name}` a doc"
        assert "source" in kinds(name)
        text = explanation(name)
        for setting in source.settings:
            assert setting.doc.endswith("."), f"give `{setting.name}` of `{name}` a doc"
            assert str(setting) in text
            assert any(kind.startswith(OF_SOURCES) for kind in kinds(setting.name))


def test_every_type_kind_and_name_with_a_meaning_is_explained():
    assert set(statements.types()) == set(patterns.KINDS)
    for name in patterns.KINDS:
        assert "type" in kinds(name)
    for name in set(KINDS) - set(patterns.KINDS):
        assert "kind of setting" in kinds(name)
    assert set(RESERVED) == set(MEANINGS)
    for name in MEANINGS:
        assert "name" in kinds(name)


def test_every_word_of_the_library_and_each_setting_of_it_is_explained():
    for name in (*library.words(), *PRIMITIVES):
        assert kinds(name) & set(words.groups())
        for setting in signature_of(words.definition_of(name)).settings:
            assert settings_of_words(setting.name) and explanation(setting.name)


def test_every_error_and_warning_is_explained():
    for name in (*ERRORS, *WARNINGS):
        assert "error or warning" in kinds(name)


def test_every_command_and_option_is_explained():
    known = command_line()
    for name in COMMANDS:
        (topic,) = (each for each in known[name] if each.kind == "command")
        assert topic.summary and f"Usage: specc {name}" in topic.page()
        command = commands.get_command(click.Context(commands), name)
        for parameter in command.params:
            if isinstance(parameter, click.Option):
                assert parameter.help, f"say what {parameter.opts[0]} of `specc {name}` does"
                assert all(option in known for option in parameter.opts)


def test_one_name_of_several_things_has_all_their_pages():
    further = [each for named in command_line().values() for each in named]
    text = explanation("train", further)
    assert "`train { ... }` says how" in text and "Usage: specc train" in text
    assert kinds("optimizer") == {"statement"} and len(topics()["optimizer"]) == 2


@pytest.mark.parametrize(
    "written, meant",
    [
        *TRAIN_SYNONYMS.items(),
        ("patiance", "patience"),
        ("inputt", "input"),
        ("kernel_size", "kernel"),
        ("delimiter", "separator"),
        ("fc", "dense"),
    ],
)
def test_a_name_of_another_tool_or_a_slip_gets_a_suggestion(written, meant):
    assert nearest(written) == meant or written in topics()


def test_the_list_of_all_names_has_each_of_them():
    text = contents(each for named in command_line().values() for each in named)
    for name in (*topics(), *COMMANDS):
        assert name in text


def test_pages_fit_on_a_terminal():
    for named in topics().values():
        for topic in named:
            if topic.kind not in ("error or warning", *words.groups()):
                assert max(map(len, topic.page().split("\n"))) <= 100, topic.name


def test_docstrings_have_the_form_that_pages_are_made_of():
    page = statements.documented("x", "operator", ast.Binary)
    assert (
        "a @ b",
        "the matrix product: of a matrix and a vector, or of two matrices",
    ) in page.rows
    assert page.example.startswith("model m {\n") and inspect.getdoc(ast.Binary)
    assert not re.search(r"\n\n\n|Example", page.text)
