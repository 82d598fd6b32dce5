"""Parts of the data: shares, strata, groups, times, folds, and leaks between parts."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from specc.recipe import DataCall, Port, Recipe, Split
from specc.runtime.data import load
from specc.runtime.errors import DataError

RNG = np.random.default_rng(5)
COUNT = 300
GROUP = RNG.integers(0, 40, COUNT)
LABEL = (RNG.random(COUNT) < 0.1).astype(int)
DATE = np.datetime64("2024-01-01") + RNG.integers(0, 100, COUNT)
FRAME = {
    "x": np.arange(COUNT, dtype=float),
    "label": LABEL,
    "group": [f"g{each}" for each in GROUP],
    "date": [str(each) for each in DATE],
}
PORTS = (Port("x", "input", "float", ()), Port("label", "target", "class", (), 2))
ALL = ("training", "validation", "test")


def recipe(**more):
    return Recipe(DataCall("frame", (FRAME,)), **more)


def rows(made, parts=ALL):
    data = load(made, PORTS, Path(), parts=parts)
    return {name: part.rows for name, part in data.parts.items()}


def check_whole(found):
    together = np.concatenate(list(found.values()))
    assert sorted(together) == list(range(COUNT))


def test_shares_for_validation_and_test_are_of_all_examples():
    found = rows(recipe(validate=0.2, test=0.1))
    check_whole(found)
    assert {name: len(each) for name, each in found.items()} == {
        "training": 210,
        "validation": 60,
        "test": 30,
    }
    alone = rows(recipe(test=0.1))
    assert (alone["test"] == found["test"]).all()  # nothing of it is trained on elsewhere
    again, other = rows(recipe(test=0.1)), rows(recipe(test=0.1, seed=1))
    assert (again["test"] == alone["test"]).all() and (other["test"] != alone["test"]).any()


def test_strata_have_their_share_in_each_part():
    found = rows(recipe(validate=0.2, test=0.1, split=Split("stratify", "label")))
    check_whole(found)
    for each in found.values():
        assert abs(LABEL[each].sum() - LABEL.sum() * len(each) / COUNT) <= 1


def test_groups_stay_together():
    found = rows(recipe(validate=0.2, test=0.1, split=Split("group", "group")))
    check_whole(found)
    groups = [set(GROUP[each]) for each in found.values()]
    assert not (groups[0] & groups[1] or groups[0] & groups[2] or groups[1] & groups[2])
    assert 40 <= len(found["validation"]) <= 80 and 20 <= len(found["test"]) <= 40


def test_the_latest_examples_are_held_out():
    found = rows(recipe(validate=0.2, test=0.1, split=Split("time", "date")))
    check_whole(found)
    dates = [DATE[each] for each in found.values()]
    assert dates[0].max() < dates[1].min() and dates[1].max() < dates[2].min()


@pytest.mark.parametrize("split", [Split(), Split("stratify", "label"), Split("group", "group")])
def test_each_example_is_validated_in_one_fold(split):
    seen = []
    for fold in range(1, 6):
        found = rows(recipe(folds=5, fold=fold, test=0.1, split=split))
        check_whole(found)
        seen.append(found["validation"])
        assert abs(len(found["validation"]) - 54) < 10
        if split.by == "group":
            assert not set(GROUP[found["validation"]]) & set(GROUP[found["training"]])
        if split.by == "stratify":
            assert abs(LABEL[found["validation"]].sum() - LABEL.sum() * 54 / COUNT) <= 1.5
    assert sorted(np.concatenate([*seen, found["test"]])) == list(range(COUNT))


def test_the_column_of_a_split_may_be_a_target_of_another_name():
    frame = {**FRAME, "kind": FRAME["label"]}
    del frame["label"]
    made = Recipe(
        DataCall("frame", (frame,), {"label": "kind"}),
        validate=0.5,
        split=Split("stratify", "label"),
    )
    found = rows(made)
    assert abs(LABEL[found["training"]].sum() - LABEL.sum() / 2) <= 1


def refused(made) -> str:
    with pytest.raises(DataError) as caught:
        load(made, PORTS, Path(), parts=ALL)
    return "\n".join(f"{each.message}\n{each.help}" for each in caught.value.diagnostics)


def part(chosen):
    frame = {name: np.array(each)[chosen].tolist() for name, each in FRAME.items()}
    return DataCall("frame", (frame,))


def test_a_group_in_two_parts_is_a_leak():
    left, right = GROUP < 30, GROUP >= 30
    made = Recipe(part(left), part(right), split=Split("group", "group"))
    assert len(rows(made)["validation"]) == right.sum()
    right[np.argmax(left)] = True
    leak = f"g{GROUP[np.argmax(left)]}"
    made = replace(made, validate=part(right))
    assert f"the value `{leak}` of `group` is in both the training and the validation data" in (
        refused(made)
    )


def test_validation_before_the_end_of_training_is_a_leak():
    early = np.sort(DATE)[200] > DATE
    made = Recipe(part(early), None, part(~early), split=Split("time", "date"))
    assert set(rows(made)) == {"training", "test"}
    made = replace(made, test=part(np.sort(DATE)[100] < DATE))
    assert "the test data starts at 2024-" in refused(made)


def test_splits_that_cannot_be_are_refused():
    assert "no column `gruop`, which `group` needs\ndid you mean `group`?" in refused(
        recipe(validate=0.1, split=Split("group", "gruop"))
    )
    assert "is not a date" in refused(recipe(validate=0.1, split=Split("time", "group")))
    frame = {**FRAME, "group": ["g"] * COUNT}
    made = replace(
        recipe(validate=0.1, split=Split("group", "group")), data=DataCall("frame", (frame,))
    )
    assert "1 group cannot be split" in refused(made)
    frame = {**FRAME, "group": ["g", None] * (COUNT // 2)}
    made = replace(made, data=DataCall("frame", (frame,)))
    assert "row 2 has no value in the column `group`" in refused(made)


def test_rare_classes_are_repeated_until_all_count_alike():
    made = recipe(validate=0.2, balance="label", balance_by="oversampling")
    data = load(made, PORTS, Path())
    counts = np.bincount(LABEL[data.training.rows])
    assert counts[0] == counts[1]
    plain = load(recipe(validate=0.2), PORTS, Path())
    assert set(data.training.rows) == set(plain.training.rows)
    repeats = np.bincount(data.training.rows)[plain.training.rows]
    rare = repeats[LABEL[plain.training.rows] == 1]
    assert rare.max() - rare.min() <= 1
    assert (data.validation.rows == plain.validation.rows).all()
