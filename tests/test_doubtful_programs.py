"""The exact words of each warning: of the wrong program of its page, in `doubtful/<name>.txt`.

`pytest --update-golden` writes them anew. Warnings that need data at hand are in `bad_data`.
"""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from transcript import transcript

from specc import driver
from specc.frontend.explain.topics import pages
from specc.frontend.lint import habits
from specc.frontend.words.messages import WARNINGS
from specc.source import Source

DOUBTFUL = Path(__file__).parent / "doubtful"
WITH_DATA = {"large-data", "padded", "unreachable-target", "unscaled"}
NAMES = sorted(set(WARNINGS) - WITH_DATA)


@pytest.mark.parametrize("name", NAMES)
def test_a_doubtful_program_is_warned_of_in_the_expected_words(name, golden, monkeypatch):
    monkeypatch.setattr(habits, "machine_memory", lambda: 16 * 10**9)
    text = re.search(r"^## Wrong\n\n```dl.*\n((?:.*\n)*?)```$", pages()[name], re.MULTILINE)[1]
    _, found = driver.check(Source("page.dl", text))
    assert {each.severity for each in found} == {"warning"}
    golden(DOUBTFUL / f"{name}.txt", transcript(found))


def test_no_expected_message_is_left_over():
    assert {path.stem for path in DOUBTFUL.iterdir()} == set(NAMES)
