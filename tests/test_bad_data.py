"""Programs whose data do not fit: `bad_data/<name>/x.dl` beside its data, and the exact messages.

`good_data/<name>` holds the near misses. `pytest --update-golden` writes the messages anew.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from transcript import transcript

from specc import driver
from specc.cli.main import status_of
from specc.cli.render import FORMATS, render
from specc.frontend.words.messages import WARNINGS
from specc.runs.verdict import data_verdict

BAD = Path(__file__).parent / "bad_data"
GOOD = Path(__file__).parent / "good_data"
NAMES = sorted(each.name for each in BAD.iterdir() if each.is_dir())
WITH_ERRORS = [
    name for name in NAMES if "\nerror[" in "\n" + (BAD / name / "message.txt").read_text()
]


def found_in(folder: Path) -> list:
    """What the data of a sound program have against it."""
    source = driver.read(folder / "x.dl")
    program, found = driver.check(source)
    assert program is not None and found == []
    verdict = data_verdict(source, program, folder)
    assert verdict.partial == ()
    return verdict.found


@pytest.mark.parametrize("name", NAMES)
def test_data_that_do_not_fit_are_told_with_the_expected_messages(name, golden):
    found = found_in(BAD / name)
    assert found
    golden(BAD / name / "message.txt", transcript(found).replace(f"{BAD / name}/", ""))
    assert all(render(found, each) for each in FORMATS)


@pytest.mark.parametrize("name", sorted(each.name for each in GOOD.iterdir()))
def test_near_misses_are_not_told(name):
    assert found_in(GOOD / name) == []


@pytest.mark.parametrize("name", WITH_ERRORS)
def test_training_refuses_what_the_check_refuses_and_compiles_nothing(
    name, tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr(driver, "compile", lambda *_, **__: pytest.fail("it was compiled"))
    checked = status_of(["check", str(BAD / name / "x.dl")]), capsys.readouterr().out
    trained = (
        status_of(["train", str(BAD / name / "x.dl"), "--run", str(tmp_path)]),
        capsys.readouterr().err,
    )
    assert checked[0] == trained[0] == 1
    assert checked[1].startswith(trained[1])  # and a line that sums up


def test_every_warning_of_data_has_a_program():
    text = "".join(path.read_text(encoding="utf-8") for path in BAD.glob("*/message.txt"))
    for name in ("large-batch", "missing-classes", "unreachable-target"):
        assert name in WARNINGS and f"warning[{name}]" in text
