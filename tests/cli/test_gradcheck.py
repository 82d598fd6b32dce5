"""`specc gradcheck`: gradients that agree, and a model that has none."""

from __future__ import annotations

import pytest

from specc.cli.main import status_of

MODEL = """model m {
  input  x: float[3]
  target y: class(2)
  let scores = x -> dense(4) -> tanh -> dropout(0.3) -> dense(2)
  loss cross_entropy(scores, y)
}
"""


def test_gradients_that_agree(tmp_path, capsys):
    path = tmp_path / "m.dl"
    path.write_text(MODEL)
    assert status_of(["gradcheck", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:-1]] == [
        "dense1.weight",
        "dense1.bias",
        "dense2.weight",
        "dense2.bias",
    ]
    assert lines[-1].endswith("the gradients agree")


def test_gradients_that_do_not_agree(tmp_path, capsys, monkeypatch):
    from specc.net.net import Net

    right = Net.loss_and_gradients

    def wrong(self, **arrays):
        loss, gradients = right(self, **arrays)
        return loss, {path: 1.01 * array for path, array in gradients.items()}

    monkeypatch.setattr(Net, "loss_and_gradients", wrong)
    path = tmp_path / "m.dl"
    path.write_text(MODEL)
    assert status_of(["gradcheck", str(path)]) == 1
    assert "do not agree" in capsys.readouterr().out


@pytest.mark.parametrize("text", ["model m { input x: float[3] output x }"])
def test_a_model_without_gradients_is_wrong_usage(tmp_path, text, capsys):
    path = tmp_path / "m.dl"
    path.write_text(text)
    assert status_of(["gradcheck", str(path)]) == 2
    assert "no gradients to check" in capsys.readouterr().err
