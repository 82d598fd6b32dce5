"""`specc flow`: what it prints, draws and exits with."""

from __future__ import annotations

import importlib.util
import json
import xml.etree.ElementTree as xml

import numpy as np
import pytest

MODEL = """
seq time = 12
const gain = 0.5
cell plain(x: float[n]; units: int > 0) {
  state h: float[units] = 0
  param U: float[units, units] = gain * orthogonal(U)
  let h2 = tanh(U @ h + (x -> dense(units)))
  next h = h2
  return h2
}
model recall {
  input  signs: float[time, 2]
  target first: class(2)
  let scores = signs -> plain(4) -> last -> dense(2) -> relu
  output scores
  loss   cross_entropy(scores, first)
}
train { data npz("signs.npz") optimizer sgd(lr=0.1) epochs = 1 batch = 8 }
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a model and its data."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "recall.dl").write_text(MODEL)
    random = np.random.default_rng(0)
    np.savez(tmp_path / "signs.npz", signs=random.standard_normal((20, 12, 2)),
             first=random.integers(2, size=20))  # fmt: skip
    return tmp_path


def test_it_prints_layers_steps_and_a_verdict(folder, specc):
    status, out, err = specc("flow", "recall.dl")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("recall: loss ") and lines[0].endswith(" on 8 examples")
    assert lines[2].split()[:4] == ["layer", "shape", "activation", "gradient"]
    assert [line.split()[0] for line in lines[3:8]] == [
        "plain1.dense1",
        "plain1",
        "last1",
        "dense1",
        "relu1",
    ]
    assert "  spectral radius: plain1.U 0.5, the Jacobian of a step 0." in out
    steps = [line.split()[0] for line in lines if line.split()[:1] and line.split()[0].isdigit()]
    assert steps == ["12", "10", "8", "6", "4", "2", "1"]
    assert "- plain1: the gradient at step 1 is " in out and ": it vanishes" in out
    assert lines[-1].startswith("- the norm of all gradients is ")
    assert "\x1b" not in out and all(line == line.rstrip() for line in lines)


def test_changes_of_the_command_line_hold(folder, specc):
    status, out, _ = specc("flow", "recall.dl", "gain=0.25", "batch=1", "--threads", 1)
    assert status == 0
    assert "on 1 example\n" in out and "plain1.U 0.25" in out


def test_json_holds_all_figures(folder, specc):
    status, out, _ = specc("flow", "recall.dl", "clip_norm=0.001", "--json")
    record = json.loads(out)
    assert status == 0
    assert (record["source"], record["model"], record["examples"]) == ("recall.dl", "recall", 8)
    assert record["clipped_norm"] == 0.001 < record["norm"]
    (cell,) = record["cells"]
    assert cell["matrices"] == [{"name": "plain1.U", "radius": pytest.approx(0.5)}]
    assert len(cell["total"]) == 12 and cell["ratio"] == cell["carried"][0] / cell["carried"][-1]
    assert record["verdict"][-1].endswith("clipping (clip_norm = 0.001) scales it to 0.001")


def test_a_run_is_measured_with_its_weights(folder, specc):
    before = json.loads(specc("flow", "recall.dl", "--json")[1])
    assert specc("train", "recall.dl", "gain=0.6", "--quiet")[0] == 0
    status, out, _ = specc("flow", "runs/recall/1", "--json")
    after = json.loads(out)
    assert status == 0
    radius = after["cells"][0]["matrices"][0]["radius"]
    assert radius == pytest.approx(0.6, abs=0.05) and radius != pytest.approx(0.6, abs=1e-6)
    assert after["loss"] != before["loss"]


def test_a_run_or_file_finds_data_elsewhere(folder, specc):
    (folder / "other").mkdir()
    (folder / "signs.npz").rename(folder / "other" / "signs.npz")
    assert specc("flow", "recall.dl", "--data", "other")[0] == 0
    status, _, err = specc("flow", "recall.dl")
    assert status == 1 and "signs.npz" in err and "--data DIR" in err


def test_a_drawing_is_svg_without_any_library(folder, specc, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, out, _ = specc("flow", "recall.dl", "--plot", "flow.svg")
    assert status == 0 and out.endswith("wrote flow.svg\n")
    root = xml.parse(folder / "flow.svg").getroot()
    texts = [each.text for each in root.iter("{http://www.w3.org/2000/svg}text")]
    assert "Layer by layer" in texts and "plain1: gradient for h" in texts
    assert {"plain1", "last1", "dense1", "12"} <= set(texts)
    lines = list(root.iter("{http://www.w3.org/2000/svg}polyline"))
    assert [len(each.get("points").split()) for each in lines] == [5, 5, 12]


def test_another_drawing_without_matplotlib_says_what_to_do(folder, specc, monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    status, out, err = specc("flow", "recall.dl", "--plot", "flow.png")
    assert (status, out) == (2, "")
    assert "a figure as .png needs matplotlib: `pip install 'specc-nn[plot]'`; or use .svg" in err


def test_matplotlib_draws_the_same(folder, specc):
    pytest.importorskip("matplotlib")
    assert specc("flow", "recall.dl", "--plot", "flow.png")[0] == 0
    assert (folder / "flow.png").read_bytes().startswith(b"\x89PNG")


@pytest.mark.parametrize("arguments", [
    [], ["nowhere.dl"], ["recall.dl", "gain"], ["recall.dl", "--threads", "0"],
    ["recall.dl", "--plot", "flow.jpg"], ["recall.dl", "--plot", "nowhere/flow.svg"]])  # fmt: skip
def test_wrong_usage_exits_with_two(folder, specc, arguments):
    status, out, err = specc("flow", *arguments)
    assert (status, out) == (2, "")
    assert "Usage" in err and "Traceback" not in err


@pytest.mark.parametrize("text, message", [
    ("model m { input x: float[2] output y = x -> dense(2)"
     " }", "m has no loss, so there are no gradients"),
    ("model m { input x: float[2] let y = x -> dense(1) output y loss l2(y)"
     " }", "`train` names no data"),
])  # fmt: skip
def test_what_has_no_flow_is_a_mistake(folder, specc, text, message):
    (folder / "m.dl").write_text(text)
    status, out, err = specc("flow", "m.dl")
    assert (status, out) == (1, "")
    assert message in err


def test_a_folder_that_is_no_run_is_a_mistake(folder, specc):
    status, _, err = specc("flow", ".")
    assert status == 2 and "there is no file or run `.`" in err
