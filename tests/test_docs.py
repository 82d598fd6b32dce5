"""The documentation: every block of every page is run, and no link is dead."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from making import reference, typeset
from pages_run import Session, alike, blocks, commands, missing

from specc.cli.main import COMMANDS
from specc.frontend.explain import words
from specc.frontend.explain.topics import pages as diagnostics
from specc.frontend.explain.topics import topics
from specc.frontend.words import library

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = [ROOT / "README.md", *sorted(DOCS.rglob("*.md"))]
NAMES = {page: page.relative_to(ROOT).as_posix() for page in PAGES}
LONG = [page for page in PAGES if any(b.is_long for b in blocks(page.read_text(encoding="utf-8")))]
LINKED = [
    *PAGES,
    *(page for page in ROOT.glob("*.md") if page not in PAGES),
    *(ROOT / "examples").rglob("*.md"),
]
LINK = re.compile(r"\]\(([^)\s]+)\)")


def run(page: Path, folder: Path, specc, with_long: bool) -> None:
    session = Session(folder, specc)
    for block in blocks(page.read_text(encoding="utf-8")):
        if with_long or not block.is_long:
            wrong = session.run(block)
            assert wrong is None, f"{NAMES[page]}:{block.line}: {wrong}"


@pytest.mark.parametrize("page", PAGES, ids=NAMES.get)
def test_the_blocks_of_a_page_do_what_it_says(page, tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    run(page, tmp_path, specc, with_long=False)


@pytest.mark.long
@pytest.mark.parametrize("page", LONG, ids=NAMES.get)
def test_the_long_blocks_of_a_page_do_what_it_says(page, tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    run(page, tmp_path, specc, with_long=True)


def test_pages_have_commands():
    found = [c for page in PAGES for b in blocks(page.read_text("utf-8")) for c in commands(b.text)]
    assert len(found) >= 5


def test_the_model_of_the_architecture_page_is_the_file():
    text = (DOCS / "architecture.md").read_text(encoding="utf-8")
    assert f"```dl\n{(DOCS / 'curve.dl').read_text(encoding='utf-8')}```" in text


# Links


@pytest.fixture(scope="module")
def generated() -> dict[str, str]:
    return reference.pages()


def anchors(text: str) -> set[str]:
    """The anchors of a page's headings."""
    found = set(re.findall(r"\{: #(\S+) \}$", text, re.MULTILINE))
    for heading in re.findall(r"^#+ (.+)$", text, re.MULTILINE):
        plain = re.sub(r"[^\w\s-]", "", heading).strip().lower()
        found.add(re.sub(r"[\s-]+", "-", plain))
    return found


@pytest.mark.parametrize("page", LINKED, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_no_link_is_dead(page, generated):
    text = re.sub(r"^ *```.*?^ *```$", "", page.read_text("utf-8"), flags=re.MULTILINE | re.DOTALL)
    for link in LINK.findall(text):
        if re.match(r"\w+:", link):
            continue
        path, _, anchor = link.partition("#")
        target = (page.parent / path).resolve() if path else page
        name = target.relative_to(DOCS).as_posix() if target.is_relative_to(DOCS) else ""
        if name.startswith("drawings/"):
            assert (ROOT / "models" / f"{target.stem}.dl").is_file(), link
            continue
        if name in generated:
            known = anchors(generated[name])
        else:
            assert target.exists(), f"{link} leads nowhere"
            known = anchors(target.read_text("utf-8")) if target.suffix == ".md" else set()
        assert not anchor or anchor in known, f"{link}: the page has no such heading"


def test_the_links_of_the_reference_lead_to_headings(generated):
    for text in generated.values():
        for page, anchor in re.findall(r"\]\((\w+\.md)#([^)]+)\)", text):
            assert anchor in anchors(generated[f"reference/{page}"])


@pytest.mark.long
def test_the_site_is_built_and_asks_no_other_host_for_anything(tmp_path):
    pytest.importorskip("material")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-q", "-d", str(tmp_path)]
    subprocess.run(command, cwd=ROOT, check=True)
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) >= len(PAGES)
    for page in pages:
        text = page.read_text(encoding="utf-8")
        asked = re.findall(r"<(?:script|img|iframe)[^>]* src=\"?(https?:[^\s\">]+)", text)
        asked += re.findall(r"<link[^>]* href=\"?(https?:[^\s\">]+)[^>]*stylesheet", text)
        assert not asked, f"{page.relative_to(tmp_path)}: {asked}"
        for script in re.findall(r"<script src=\"?([^\s\">]+)", text):
            folder = tmp_path if script.startswith("/") else page.parent  # that of 404.html
            assert (folder / script.lstrip("/")).is_file(), f"{page.name}: {script}"


# The reference


def test_the_reference_has_all_that_can_be_explained(generated):
    whole = "\n".join(generated.values())
    index = generated["reference/index.md"]
    for name, named in topics().items():
        for topic in named:
            if topic.kind in ("name", "kind of setting", "type", "operator", "keyword"):
                assert f"`{name}" in whole or f" {name} " in generated["reference/formulas.md"]
            elif topic.kind.startswith("setting of the source"):
                assert f"`{name}: " in generated["reference/sources.md"]
            else:
                assert f"[`{name}`]" in index, f"the reference lacks `{name}`, {topic.kind}"
    for name in COMMANDS:
        assert f"Usage: specc {name}" in generated["reference/commands.md"]


WITHOUT_A_PROGRAM = {"bad-json", "bad-run", "large-data", "padded"}
"""Pages about files, runs and the sizes of data, which no program shows."""


def test_errors_and_warnings_come_with_a_wrong_and_a_fixed_program(generated):
    text = generated["reference/errors.md"] + generated["reference/warnings.md"]
    for name in diagnostics():
        assert f"## `{name}`" in text
    for name, page in diagnostics().items():
        shown = page.count("```dl")
        assert shown >= 2 or (not shown and name in WITHOUT_A_PROGRAM), name
    assert text.count("```dl") >= 2 * (len(diagnostics()) - len(WITHOUT_A_PROGRAM))


def test_every_definition_of_the_library_is_typeset():
    for name in library.words():
        text = typeset.equations(words.definition_of(name))
        assert text.startswith("<math") and text.count("<mtr>") == text.count("</mtr>") >= 1


@pytest.mark.parametrize(
    ("name", "part"),
    [
        ("leaky_relu", "<mi>max</mi><mo>(</mo>"),
        ("huber", "<mi>δ</mi>"),
        ("adam", "<msub><mi>β</mi><mn>1</mn></msub>"),
        ("lecun", "<msqrt>"),
    ],
)
def test_formulas_are_those_of_the_definition(name, part):
    assert part in typeset.equations(words.definition_of(name))


@pytest.mark.slow
def test_the_site_is_built_without_a_warning(tmp_path, monkeypatch):
    pytest.importorskip("material")
    from mkdocs.commands.build import build
    from mkdocs.config import load_config

    monkeypatch.chdir(ROOT)
    config = load_config("mkdocs.yml", site_dir=str(tmp_path / "site"), strict=True)
    config.plugins.on_startup(command="build", dirty=False)
    build(config)
    page = (tmp_path / "site" / "reference" / "losses.html").read_text(encoding="utf-8")
    assert "<math" in page and 'id="cross_entropy"' in page
    for each in (tmp_path / "site" / "course").glob("*.html"):
        text = each.read_text(encoding="utf-8")
        assert not re.search("<mi>&(amp;)?</mi>", text), f"{each.name} shows the `&` of a formula"
    assert (tmp_path / "site" / "course" / "16-lstm.html").read_text("utf-8").count("<mtr>") == 4


# The runner of pages


@pytest.mark.parametrize(
    "lines, printed, wrong",
    [
        (["a", "b"], ["a", "b"], None),
        (["a"], ["a", "b"], "b"),
        (["...", "b"], ["a", "b"], None),
        (["a", "...", "d"], ["a", "b", "c", "d"], None),
        (["a", "...", "d"], ["a", "b", "d", "c"], "c"),
        (["a", "c"], ["a", "b", "c"], "c"),
        (["...", "b", "a", "..."], ["a", "b"], "a"),
    ],
)
def test_what_is_missing(lines, printed, wrong):
    assert missing(lines, printed) == wrong


def test_figures_of_a_training_may_differ_a_little_and_words_may_not():
    assert alike("loss 0.52 at 9", "loss 0.55 at 9", is_measured=True)
    assert alike("90,000 examples/s", "12,345 examples/s", is_measured=True)
    assert not alike("loss 0.52 at 9", "loss 0.55 at 9")
    assert not alike("loss 0.52 at 9", "loss 0.75 at 9", is_measured=True)
    assert not alike("loss 0.52 at 9", "loss 0.52 at 8", is_measured=True)
    assert not alike("loss 0.52", "mse 0.52", is_measured=True)
    assert alike("wrote ... boxes", "wrote a.svg (3 boxes", is_measured=False)


def test_a_block_that_is_wrong_is_found(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    session = Session(tmp_path, specc)
    wrong = "model m {\n  input x: float[8]\n  output y\n}\n"
    page = (
        f"```dl\n{wrong}```\n\n<!-- wrong: unknown-name -->\n```dl\n{wrong}```\n\n"
        "```console\n$ specc explain sqrt\nsomething else\n```\n\n"
        "```python\nassert 1 == 1\n```\n"
    )
    found = [session.run(block) for block in blocks(page)]
    assert [each is None for each in found] == [False, True, False, True]
    with pytest.raises(AssertionError):
        session.run(blocks("```python\nassert 1 == 2\n```\n")[0])


def test_files_are_included():
    (block,) = blocks('```dl\n--8<-- "models/svm.dl"\n```\n')
    assert block.text.startswith("# A linear support vector machine")
