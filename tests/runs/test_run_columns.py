"""Runs of models with `column` formulas: resumed, evaluated and used on raw rows; folds."""

from __future__ import annotations

import json

import numpy as np
import pytest

import specc as package

MODEL = """
model flowers {
  input  x:    float[3]
  input  city: class(4)
  target kind: class(2)
  let scores = concat(x, embed(city; 2)) -> dense(4) -> tanh -> dense(2)
  output scores
  loss   cross_entropy(scores, kind)
  metric accuracy(scores, kind)
}

train {
  data      csv("flowers.csv")
  validate  split = 0.75
  test      split = 0.9
  column    filled = fill(age; median)
  column    x      = concat(standardize(filled), missing(age), scale(days(born)))
  column    city   = class(city; unknown = true)
  optimizer adam(lr = 0.05)
  epochs = 4
  batch  = 16
  stratify = kind
}
"""


def lines(count, seed=0, cities=("Ulm", "Bern", "Wien")):
    rng = np.random.default_rng(seed)
    for _ in range(count):
        age = rng.integers(20, 60)
        kind = "rose" if age + rng.normal() * 5 > 40 else "aster"
        shown = "" if rng.random() < 0.2 else age
        born = f"20{rng.integers(10, 24)}-0{rng.integers(1, 9)}-11"
        yield f"{shown},{rng.choice(cities)},{born},{kind}"


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "flowers.dl").write_text(MODEL)
    text = "age,city,born,kind\n" + "\n".join(lines(200)) + "\n"
    (tmp_path / "flowers.csv").write_text(text)
    return tmp_path


def test_a_run_keeps_what_its_columns_have_learned(folder, specc):
    runs = folder / "runs"
    assert specc("train", folder / "flowers.dl", "--run", runs, "-q")[0] == 0
    record = json.loads((runs / "flowers" / "1" / "run.json").read_text())
    assert record["statistics"]["city"] == {"class1": {"words": ["Bern", "Ulm", "Wien"]}}
    assert record["examples"] == {"training": 130, "validation": 50, "test": 20}
    assert "stratify by `kind`" in record["pins"]["split"]
    status, said, _ = specc("eval", runs / "flowers" / "1", "--json")
    assert status == 0 and json.loads(said)["part"] == "test"
    # raw rows: other columns, other words, a gap
    (folder / "new.csv").write_text("city,born,age\nRom,2015-03-11,\nUlm,2020-03-11,55\n")
    out = folder / "out.npz"
    assert specc("predict", runs / "flowers" / "1", folder / "new.csv", "-o", out)[0] == 0
    scores = np.load(out)["scores"]
    net = package.open(runs / "flowers" / "1")
    rows = {"city": ["Rom", "Ulm"], "born": ["2015-03-11", "2020-03-11"], "age": [None, 55]}
    found = net.predict(rows)
    assert found["kind"].tolist() == [["aster", "rose"][i] for i in scores.argmax(axis=1)]
    figures = net.evaluate({"age": [25, 55], "city": ["Ulm"] * 2, "born": ["2015-03-11"] * 2,
                            "kind": ["aster", "rose"]})  # fmt: skip
    assert figures["accuracy"] in (0.0, 0.5, 1.0)


def test_a_run_with_columns_is_resumed_exactly(folder, specc):
    whole, parts = folder / "whole", folder / "parts"
    assert specc("train", folder / "flowers.dl", "--run", whole, "-q")[0] == 0
    assert specc("train", folder / "flowers.dl", "epochs=2", "--run", parts, "-q")[0] == 0
    run = parts / "flowers" / "1"
    assert specc("train", "--resume", run, "epochs=4", "-q")[0] == 0
    ends = [each / "flowers" / "1" / "last.safetensors" for each in (whole, parts)]
    from safetensors.numpy import load_file

    one, two = (load_file(each) for each in ends)
    assert one.keys() == two.keys()
    assert all((one[name] == two[name]).all() for name in one)


def test_test_rows_stay_the_same_if_rows_are_added(folder, specc):
    runs = folder / "runs"
    assert specc("train", folder / "flowers.dl", "--run", runs, "-q")[0] == 0
    before = specc("eval", runs / "flowers" / "1", "--json")[1]
    with (folder / "flowers.csv").open("a") as file:
        file.write("\n".join(lines(50, seed=1)) + "\n")
    status, after, warned = specc("eval", runs / "flowers" / "1", "--json")
    assert status == 0 and after == before
    assert "the data has grown from 200 to 250 examples" in warned
    text = (folder / "flowers.csv").read_text().replace("rose", "aster")
    (folder / "flowers.csv").write_text(text)
    status, _, said = specc("eval", runs / "flowers" / "1")
    assert status == 1 and "has changed since the training" in said


def test_folds_are_trained_in_turn_and_their_results_summed_up(folder, specc):
    model = MODEL.replace("validate  split = 0.75", "folds = 3").replace("epochs = 4", "epochs = 1")
    (folder / "flowers.dl").write_text(model)
    runs = folder / "runs"
    status, said, _ = specc("train", folder / "flowers.dl", "--run", runs, "-q")
    assert status == 0 and "fold 3 of 3" in said
    records = [json.loads((runs / "flowers" / str(n) / "run.json").read_text()) for n in (1, 2, 3)]
    assert [each["overrides"] for each in records] == [{"fold": str(n)} for n in (1, 2, 3)]
    assert {each["examples"]["validation"] for each in records} == {60}
    losses = []
    for number in (1, 2, 3):
        path = runs / "flowers" / str(number) / "metrics.csv"
        header, row = (line.split(",") for line in path.read_text().splitlines())
        losses.append(float(row[header.index("val_loss")]))
    mean, deviation = np.mean(losses), np.std(losses, ddof=1)
    assert f"  loss      {mean:.4g} ± {deviation:.2g}" in said
    status, said, _ = specc("train", folder / "flowers.dl", "fold=2", "--run", runs, "-q")
    assert status == 0 and "fold 2 of" not in said
    with pytest.raises(ValueError, match="fold=k"):
        package.train(folder / "flowers.dl", quiet=True)
