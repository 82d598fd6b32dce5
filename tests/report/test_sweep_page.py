"""The page of a sweep, against its runs, and `specc report SWEEP`."""

import json
import re
from html import unescape
from pathlib import Path

import numpy as np
import pytest

import specc
from specc.plots.marks import Points
from specc.plots.sweep import of_trials
from specc.report.sweep import sweep_page
from specc.runs.trials import TrialRun
from specc.sweeps.kept import FILE, folder_of, keep, kept, names

pytest.importorskip("optuna")

TEXT = """
model line {
  input  x: float[3]
  target t: float
  let y = flatten(x -> dense(search(2, 3)) -> search(relu, tanh) -> dense(1))[0]
  output y
  loss   mse(y, t)
  metric error = mae(y, t)
}
train {
  data npz("a.npz") validate split = 0.75 epochs = 2 batch = 8
  optimizer sgd(lr = search(0.01, 0.1, 0.2, 30))
  monitor = error
}
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    x = random.normal(size=(60, 3)).astype(np.float32)
    np.savez("a.npz", x=x, t=np.sin(x.sum(1)).astype(np.float32))
    (tmp_path / "line.dl").write_text(TEXT)
    return tmp_path


def plain(text):
    return unescape(re.sub(r"<[^>]+>", "", text))


def rows_of(text):
    body = text[text.index("<tbody>") : text.index("</tbody>")]
    return [
        [plain(cell) for cell in re.findall(r"<td[^>]*>(.*?)</td>", row)]
        for row in re.findall(r"<tr>(.*?)</tr>", body)
    ]


def test_the_page_of_a_sweep_has_all_that_came_of_it(folder, specc):
    status, out, err = specc("sweep", "line.dl", "--sampler", "grid")
    assert status == 0, err
    study = re.search(r"sweep (line-\w+)", out)[1]
    own = Path("runs/line/sweeps") / study
    assert out.splitlines()[-1] == f"report: {own / 'report.html'}"
    text = (own / "report.html").read_text()
    assert re.findall(r"<h2[^>]*>(.*?)</h2>", text) == [
        "Trials", "Values", "Importance", "Curves of the trials", "The best text",
        "What was searched",
    ]  # fmt: skip
    rows = rows_of(text)
    assert len(rows) == 16 and {row[3] for row in rows} == {"complete"}
    for row in rows:
        record = json.loads(Path(f"runs/{row[1]}/run.json").read_text())
        assert row[5:] == list(record["sweep"].values())
        lines = Path(f"runs/{row[1]}/metrics.csv").read_text().split()
        place = lines[0].split(",").index("val_error")
        values = [float(line.split(",")[place]) for line in lines[1:]]
        if row[2] != "inf":  # of a training that diverged
            assert float(row[2]) == pytest.approx(min(values), rel=1e-3)
    assert [row[2] == "inf" for row in rows] == [row[7] == "30" for row in rows]
    assert [float(row[2]) for row in rows] == sorted(float(row[2]) for row in rows)
    best = (folder / "best.dl").read_text()
    assert best in plain(text) and TEXT.strip() in plain(text)
    assert "best error" in plain(text) and "validation loss" not in plain(text)
    assert not re.search(r"(href|src)=\"(?!#|data:)", text)


def test_report_takes_a_sweep_by_its_name_or_folder(folder, specc):
    specc("sweep", "line.dl", "--trials", "3", "--quiet")
    (study,) = names()
    own = folder_of(study)
    assert own == Path("runs/line/sweeps") / study and not (own / "report.html").exists()
    status, out, err = specc("report", study)
    assert (status, out) == (0, f"wrote {own / 'report.html'}\n"), err
    status, out, err = specc("report", own, "-o", "here.html")
    assert status == 0 and Path("here.html").is_file(), err
    status, _, err = specc("report", study, "--part", "test")
    assert status == 2 and "the report of a sweep takes no --part" in err
    status, _, err = specc("report", "line-00000000")
    assert status == 2 and "there is no run `line-00000000`" in err
    (own / FILE).write_text("{}")
    status, _, err = specc("report", study)
    assert status == 1 and "is not what specc wrote" in err


def test_trials_that_failed_or_were_stopped_are_told(folder):
    result = specc.sweep(
        "line.dl", trials=2, epochs=1, data=str(folder / "a.npz"), runs=folder / "runs"
    )
    one, two = result.trials
    broken = type(two)(two.number, "failed", two.values, None, None, 0.5, "it was <too> wide")
    pruned = type(two)(3, "pruned", two.values, two.value, two.run, 0.5)
    page = sweep_page(type(result)(result.plan, (one, broken, pruned)))
    assert "1 complete, 1 pruned, 1 failed" in page
    assert "trial 2: it was &lt;too&gt; wide" in page
    assert [row[3] for row in rows_of(page)] == ["complete", "pruned", "failed"]


def test_a_sweep_without_a_complete_trial_has_a_page(folder):
    result = specc.sweep("line.dl", trials=1, epochs=1)
    page = sweep_page(type(result)(result.plan, ()))
    assert "0 trials of line.dl: none" in page and "The best text" not in page


def test_a_password_is_not_kept(folder):
    plan = specc.sweep("line.dl", trials=1, epochs=1).plan
    assert kept(plan.own_folder).storage == plan.storage
    other = type(plan)(**{**plan.__dict__, "storage": "postgresql://me:hidden@there/sweeps"})
    keep(other)
    assert "hidden" not in (plan.own_folder / FILE).read_text()
    with pytest.raises(specc.SpecError, match="has a password, which specc does not keep"):
        kept(plan.own_folder)
    open_ = type(plan)(**{**plan.__dict__, "storage": "postgresql://me@there/sweeps"})
    keep(open_)
    assert kept(plan.own_folder).storage == "postgresql://me@there/sweeps"


def test_the_best_so_far_leaves_out_trials_that_were_stopped():
    runs = [TrialRun(1, Path(), {"lr": "1"}, 3.0), TrialRun(2, Path(), {"lr": "2"}, 1.0, False),
            TrialRun(3, Path(), {"lr": "1"}, 2.0)]  # fmt: skip
    figure = of_trials(runs, "loss", False)
    whole, stopped, best = figure.parts[0].marks
    assert isinstance(whole, Points) and list(whole.x) == [1, 3]
    assert isinstance(stopped, Points) and list(stopped.x) == [2]
    assert list(best.y) == [3.0, 3.0, 2.0] and figure.figures == {"best": 2.0}
