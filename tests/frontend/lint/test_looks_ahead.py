"""A model of texts whose steps read later ones is warned of, and no other."""

from __future__ import annotations

import pytest
from reading import AHEAD, CAUSAL, ENDLESS

from specc import driver
from specc.source import Source

TRAIN = 'train { data text("a.txt") optimizer adam(lr = 0.01) clip_norm = 1 }'


def warnings_of(text):
    program, found = driver.check(Source("x.dl", text))
    assert program is not None
    return [each for each in found if each.name == "looks-ahead"]


@pytest.mark.parametrize("text", AHEAD.values(), ids=AHEAD)
def test_a_step_that_reads_later_ones_is_warned_of(text):
    (found,) = warnings_of(f"{text} {TRAIN}")
    assert "`text`" in found.message
    assert found.span.source.name == "x.dl" and found.span.line > 1


@pytest.mark.parametrize("text", {**CAUSAL, **ENDLESS}.values(), ids={**CAUSAL, **ENDLESS})
def test_a_step_that_reads_no_later_one_is_not(text):
    assert warnings_of(f"{text} {TRAIN}") == []


def test_other_data_and_other_tasks_may_look_ahead():
    text = AHEAD["attention"]
    assert warnings_of(text) == []
    assert warnings_of(f"{text} {TRAIN.replace('text(', 'csv(')}") == []
    summed = text.replace("dense(vocab)", "mean(over=time) -> dense(vocab)")
    summed = summed.replace("target next_: class(vocab)[time]", "target next_: class(vocab)")
    assert warnings_of(f"{summed} {TRAIN.replace('text(', 'csv(')}") == []


def test_a_comment_silences_it():
    text = AHEAD["attention"].replace("let s =", "# allow: looks-ahead\n let s =")
    assert warnings_of(f"{text} {TRAIN}") == []


def test_open_sizes_are_no_hindrance():
    for text, count in ((CAUSAL["two layers"], 0), (AHEAD["attention"], 1)):
        opened = text.replace("dim vocab = 5", "dim vocab")
        assert len(warnings_of(f"{opened} {TRAIN}")) == count
