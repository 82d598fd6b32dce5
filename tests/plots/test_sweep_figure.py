"""The figure of a sweep, against the metrics of its runs."""

from __future__ import annotations

import pytest

import specc
from specc.plots.kinds import find
from specc.plots.marks import Line, Points
from specc.plots.subject import of_run
from specc.runs.listener import AsWarnings

TEXT = """
model line {
  input  x: float[2]
  target t: float[1]
  let y = x -> dense(search(2, 3)) -> dense(1)
  output y
  loss   mse(y, t)
}
train { data npz("a.npz") optimizer sgd(lr = search(0.01, 0.1, 0.2)) epochs = 2 batch = 8 }
"""


def test_each_trial_is_a_point_with_the_value_of_its_run(tmp_path, monkeypatch):
    pytest.importorskip("optuna")
    import numpy as np

    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(1)
    x = random.normal(size=(40, 2)).astype(np.float32)
    np.savez("a.npz", x=x, t=x.sum(1, keepdims=True))
    (tmp_path / "line.dl").write_text(TEXT)
    result = specc.sweep("line.dl", sampler="grid")
    run = result.trials[3].run
    assert run is not None
    subject = of_run(run, AsWarnings())
    kind = find("sweep")
    assert not kind.why_not(subject)
    history, *panels = kind.draw(subject).parts
    points, best, own = history.marks
    assert isinstance(points, Points) and isinstance(best, Line) and isinstance(own, Points)
    values = []
    for number in range(1, 7):
        rows = (tmp_path / "runs" / "line" / str(number) / "metrics.csv").read_text().split()[1:]
        values.append(min(float(row.split(",")[3]) for row in rows))
    assert list(points.y) == pytest.approx(values, rel=1e-6)
    assert best.y[-1] == pytest.approx(min(values), rel=1e-6)
    assert own.y[0] == pytest.approx(values[3], rel=1e-6)
    assert [panel.title for panel in panels] == ["y", "lr"]
    assert panels[1].x.names == ("0.01", "0.1", "0.2")
    rates = [panels[1].x.names[int(place)] for place in panels[1].marks[0].x]
    assert rates == [str(each.values["lr"]) for each in result.trials]
