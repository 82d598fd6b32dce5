"""`specc explain`: every function has a valid example, every error a page whose examples
hold."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from specc import driver
from specc.cli.main import status_of
from specc.diagnostics import SpecError
from specc.frontend.explain.examples import sample
from specc.frontend.explain.explain import contents, explanation, nearest
from specc.frontend.explain.topics import page_summary, pages
from specc.frontend.layout.format import formatted
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.words import library
from specc.frontend.words.messages import ERRORS, WARNINGS
from specc.runs.verdict import data_verdict
from specc.source import Source

PACKAGE = Path(driver.__file__).parent
# a run or a JSON file has it, or data that a page cannot hold
WITHOUT_EXAMPLES = {"bad-run", "bad-json", "large-data", "padded"}
DATA = re.compile(r"^```csv (.*)\n((?:.*\n)*?)```$", re.MULTILINE)
PROGRAM = re.compile(r"^## (Wrong|Fixed)\n\n```dl ?(.*)\n((?:.*\n)*?)```$", re.MULTILINE)


def programs(name: str) -> dict[str, tuple[str, str]]:
    """The programs of a page by their headings, with what stands behind `dl`."""
    return {title: (text, info) for title, info, text in PROGRAM.findall(pages()[name])}


def found_in(text: str, info: str, folder: Path) -> set[str]:
    """The names of the errors of a program; `info` says how far to go with it, or what to
    change."""
    source = Source(str(folder / "page.dl"), text)
    changes = dict(each.split("=") for each in info.split() if "=" in each)
    _, diagnostics = driver.check(source, changes)
    if not diagnostics and info == "data":
        diagnostics = data_verdict(source, driver.load(source), folder).found
    if diagnostics or info not in ("train", "compile"):
        return {each.name for each in diagnostics}
    try:
        if info == "compile":
            driver.compile(driver.load(source))
        else:
            _train(source, folder)
    except SpecError as error:
        return {each.name for each in error.diagnostics}
    return set()


def _train(source: Source, folder: Path) -> None:
    from specc.cli import train

    Path(source.name).write_text(source.text, encoding="utf-8")
    raised: list[SpecError] = []
    before = os.getcwd()
    os.chdir(folder)
    try:
        train.train.main([source.name, "--quiet"], standalone_mode=False)
    except SpecError as error:
        raised.append(error)
    finally:
        os.chdir(before)
    if raised:
        raise raised[0]


@pytest.mark.parametrize("name", sorted({*ERRORS, *WARNINGS}))
def test_every_name_of_a_mistake_has_a_page(name):
    page = pages().get(name)
    assert page is not None, f"write specc/pages/{name}.md"
    assert (
        page.startswith(f"# {name}\n\n") and page.endswith("\n") and len(page_summary(name)) < 120
    )
    assert set(programs(name)) == {"Wrong", "Fixed"} or name in WITHOUT_EXAMPLES


def test_every_page_is_of_a_name():
    assert set(pages()) == {*ERRORS, *WARNINGS}


@pytest.mark.parametrize("name", sorted(set(pages()) - WITHOUT_EXAMPLES))
def test_the_wrong_program_of_a_page_has_its_mistake_alone_and_the_fixed_one_none(name, tmp_path):
    found = programs(name)
    for file, text in DATA.findall(pages()[name]):
        (tmp_path / file).write_text(text, encoding="utf-8")
    assert found_in(*found["Wrong"], tmp_path) == {name}
    assert found_in(*found["Fixed"], tmp_path) == set()
    if name not in ("syntax", "too-deep"):
        for text, _ in found.values():
            assert formatted(Source("page.dl", text)) == text


@pytest.mark.parametrize("name", [*library.words(), *PRIMITIVES])
def test_every_word_is_explained_with_an_example_that_checks(name):
    text = sample(name)
    assert name in text
    program, diagnostics = driver.check(Source("example.dl", text))
    assert program is not None and not diagnostics, (
        f"give the doc comment of `{name}` an example: Example: `formula` of `x: float[8]`."
    )
    explained = explanation(name)
    assert explained is not None and re.search(rf"^{re.escape(name)}\(", explained, re.MULTILINE)
    assert max(map(len, explained.split("\n"))) <= 124


def test_a_word_shows_its_settings_shapes_and_definition():
    text = explanation("conv")
    for part in (
        "block, specc/std/layers.dl:",
        "  filters       int > 0                     required\n",
        "  parameter conv1.weight  [4, 3, 3, 3]\n",
        "  block conv(\n",
        '    "round": {"enum": ["exact", "floor"]},\n',
    ):
        assert part in text


def test_names_are_suggested():
    assert nearest("batch_norm") == "batchnorm" and nearest("fc") == "dense"
    assert nearest("shape-mismach") == "shape-mismatch"


def test_the_contents_name_everything():
    text = contents()
    assert all(name in text for name in [*library.words(), *PRIMITIVES, *pages()])


def test_the_command(capsys):
    assert status_of(["explain", "relu"]) == 0
    assert capsys.readouterr().out.startswith("relu(x: float)\n")
    assert status_of(["explain", "shape-mismatch"]) == 0
    assert capsys.readouterr().out == pages()["shape-mismatch"]
    assert status_of(["explain"]) == 0
    assert status_of(["explain", "rellu"]) == 2
    assert "did you mean `relu`?" in capsys.readouterr().err
    assert explanation("nothing") is None
