"""`--precision`: what a command rounds, and what a run remembers of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from safetensors.numpy import load_file

TINY = """model tiny {
  input  image: float[64]
  target label: class(10)
  let scores = image -> dense(16) -> relu -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
}

train {
  data      digits()
  validate  split = 0.8
  optimizer momentum(lr = 0.1)
  epochs = 2
  batch  = 32
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    Path("tiny.dl").write_text(TINY)
    return tmp_path


def loss(out: str) -> float:
    return json.loads(out)["loss"]


def test_a_run_remembers_its_precision_and_another_one_can_be_evaluated(specc, folder):
    assert specc("train", "tiny.dl", "--precision", "bfloat16")[0] == 0
    record = json.loads(Path("runs/tiny/1/run.json").read_text())
    assert record["precision"] == "bfloat16" and record["overrides"] == {"precision": "bfloat16"}
    losses = {
        given: loss(specc("eval", "runs/tiny/1", "--json", *given)[1])
        for given in [(), ("--precision", "bfloat16"), ("--precision", "float32")]
    }
    own, rounded, exact = losses.values()
    assert own == rounded != exact == pytest.approx(own, rel=0.02)
    status, _, err = specc("train", "--resume", "runs/tiny/1", "--precision", "float32")
    assert status == 1
    assert "the precision of a run cannot change: it was bfloat16 and is now float32" in err


def test_a_resumed_training_has_the_bytes_of_one_that_never_stopped(specc, folder):
    Path("tiny.dl").write_text(TINY.replace("epochs = 2", "epochs = 2 precision = bfloat16"))
    assert specc("train", "tiny.dl", "epochs=4")[0] == 0
    assert specc("train", "tiny.dl")[0] == 0
    assert specc("train", "--resume", "runs/tiny/2", "epochs=4")[0] == 0
    whole, resumed = (load_file(f"runs/tiny/{n}/last.safetensors") for n in (1, 2))
    assert list(whole) == list(resumed)
    assert all(whole[name].tobytes() == resumed[name].tobytes() for name in whole)


def test_two_precisions_that_differ_are_refused(specc, folder):
    status, _, err = specc("train", "tiny.dl", "precision=float32", "--precision", "bfloat16")
    assert status == 2
    assert "`--precision bfloat16` and `precision=float32` differ" in err


def test_a_machine_without_the_products_says_that_rounding_is_slower(specc, folder, monkeypatch):
    monkeypatch.setenv("SPECC_VECTOR_BITS", "128")
    status, _, err = specc("train", "tiny.dl", "--precision", "bfloat16", "epochs=1")
    assert status == 0
    assert "warning: this CPU has no instruction for products of bfloat16, so" in err
    status, _, err = specc(
        "train", "tiny.dl", "--precision", "bfloat16", "--dtype", "float64", "epochs=1"
    )
    assert status == 0 and "warning: products are computed in float64, so" in err
    assert "bfloat16" not in specc("train", "tiny.dl", "epochs=1")[2]
