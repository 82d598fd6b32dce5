"""Programs with errors: `bad/<name>/x.dl`, and the exact messages beside it.

`pytest --update-golden` writes the messages anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from transcript import transcript

from specc import driver
from specc.frontend.fix.fixes import edited, moved
from specc.frontend.syntax.reading import read_source
from specc.frontend.words.messages import ERRORS
from specc.source import Source

BAD = Path(__file__).parent / "bad"
NAMES = sorted(each.name for each in BAD.iterdir() if each.is_dir())


def diagnostics(path: Path, text: str | None = None) -> list:
    """What is wrong with a file."""
    source = Source(str(path), text) if text is not None else read_source(path)
    program, found = driver.check(source)
    is_wrong = any(each.severity == "error" for each in found)
    assert (program is None) == is_wrong or not is_wrong
    return found


@pytest.mark.parametrize("name", NAMES)
def test_a_bad_program_is_refused_with_the_expected_messages(name, golden):
    found = diagnostics(BAD / name / "x.dl")
    assert any(each.severity == "error" for each in found)
    golden(BAD / name / "message.txt", transcript(found))


@pytest.mark.parametrize("name", NAMES)
def test_every_fix_mends_its_mistake(name):
    path = BAD / name / "x.dl"
    for each in diagnostics(path):
        for fix in each.fixes:
            text = edited(each.span.source.text, fix.edits)
            place = moved(each.span.start, fix.edits)
            after = diagnostics(path, text)
            assert not any(d.name == each.name and d.span.start == place for d in after), fix


def test_no_expected_message_is_left_over():
    for folder in BAD.iterdir():
        assert (folder / "x.dl").is_file(), f"{folder} has no x.dl"
        known = {"x.dl", "message.txt"} | {each.name for each in folder.glob("*.dl")}
        assert {each.name for each in folder.iterdir()} == known


def test_every_kind_of_mistake_has_a_bad_program():
    named = {
        line.split("[", 1)[1].split("]")[0]
        for path in BAD.glob("*/message.txt")
        for line in path.read_text(encoding="utf-8").splitlines()
        if line.startswith("error[")
    }
    reported_elsewhere = {"unknown-override", "too-deep"}  # see test_check.py
    reported_elsewhere |= {
        "data",
        "missing-data",
        "bad-json",
        "bad-run",
        "bad-start",
        "diverged",
        "no-train",
        "open-size",
    }  # with data at hand
    assert set(ERRORS) - named - reported_elsewhere == set()
