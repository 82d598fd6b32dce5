"""Figures by class and by slice, and the calibration, against counting by hand."""

from __future__ import annotations

import json

import numpy as np
import pytest

import specc

TEXT = """model flowers {
  input  x: float[2]
  target kind: class(3)
  target big: bool
  let scores = x -> dense(3)
  let size = x -> dense(1) -> flatten
  output scores
  output chance = sigmoid(size[0])
  loss cross_entropy(scores, kind)
  loss binary_cross_entropy(size[0], big)
  metric accuracy(scores, kind)
}
train {
  data csv("flowers.csv"; x = "a, b", missing = "drop")
  validate split = 0.5
  optimizer sgd(lr = 0.3)
  epochs = 3
  batch = 8
}
"""
KINDS = ("aster", "rose", "tulip")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A folder with a run, and the rows of its table."""
    folder = tmp_path_factory.mktemp("detail")
    generator = np.random.Generator(np.random.PCG64(5))
    rows = []
    for k in range(90):
        a, b = generator.normal(size=2) + np.array([1.5, -1]) * (k % 3)
        rows.append((f"{a:.3f}", "" if k % 17 == 3 else f"{b:.3f}", KINDS[k % 3],
                     "yes" if a > 1 else "no", f"shop {k % 4}"))  # fmt: skip
    lines = ["a,b,kind,big,shop", *(",".join(row) for row in rows)]
    (folder / "flowers.csv").write_text("\n".join(lines) + "\n")
    (folder / "flowers.dl").write_text(TEXT)
    specc.train(folder / "flowers.dl", runs=folder / "runs", dtype="float64", quiet=True)
    return folder, rows


def held_out(folder, rows):
    """The rows of the validation part, as the run divided them."""
    from specc.runtime.order import SPLIT, permutation

    whole = [row for row in rows if row[1]]
    order = permutation(0, SPLIT, len(whole))
    kept = len(whole) - round(len(whole) * 0.5)
    return [whole[k] for k in np.sort(order[kept:])]


@pytest.mark.filterwarnings("ignore:.*left out")
def test_the_figures_are_those_of_counting(made, specc, monkeypatch):
    folder, rows = made
    monkeypatch.chdir(folder)
    status, out, _ = specc("eval", "@last", "--by", "shop", "--json")
    found = json.loads(out)
    part = held_out(folder, rows)
    assert status == 0 and found["examples"] == len(part)
    net = __import__("specc").open("@last")
    scores = net.forward(x=np.array([[float(a), float(b)] for a, b, *_ in part]))
    chances = np.exp(scores["scores"]) / np.exp(scores["scores"]).sum(axis=1, keepdims=True)
    guess, truth = chances.argmax(axis=1), np.array([KINDS.index(row[2]) for row in part])
    for k, kind in enumerate(KINDS):
        assert found["by_class"]["kind"][kind] == {
            "name": kind,
            "examples": int((truth == k).sum()),
            "found": int(((truth == k) & (guess == k)).sum()),
            "predicted": int((guess == k).sum()),
        }
    big = np.array([row[3] == "yes" for row in part])
    assert found["by_class"]["big"]["true"]["found"] == int((big & (scores["chance"] > 0.5)).sum())
    sure, right = chances.max(axis=1), guess == truth
    assert found["calibration"]["kind"]["confidence"] == pytest.approx(sure.mean())
    error = 0.0
    for k in range(10):
        own = (sure >= k / 10) & (sure < (k + 1) / 10 if k < 9 else True)
        if own.any():
            error += own.mean() * abs(sure[own].mean() - right[own].mean())
    assert found["calibration"]["kind"]["error"] == pytest.approx(error)
    for shop, own in found["by"]["shop"].items():
        chosen = np.array([row[4] == shop for row in part])
        assert own["examples"] == chosen.sum()
        assert own["accuracy"] == pytest.approx(right[chosen].mean())
    assert sum(own["examples"] for own in found["by"]["shop"].values()) == len(part)


def test_the_tables_fit_a_terminal(made, specc, monkeypatch):
    folder, _ = made
    monkeypatch.chdir(folder)
    status, out, _ = specc("eval", "flowers", "--by", "kind")
    lines = out.splitlines()
    assert status == 0 and max(map(len, lines[1:])) <= 110
    assert lines[lines.index("") + 1].split() == ["kind", "examples", "found", "predicted", "right"]
    assert any(line.startswith("  kind: probability of the predicted class ") for line in lines)
    status, _, err = specc("eval", "flowers", "--by", "shp")
    assert status == 2 and "did you mean `shop`?" in err
