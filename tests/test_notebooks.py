"""The cell magic `%%specc`, and the notebooks of the documentation: every cell runs."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

pytest.importorskip("IPython")

from IPython.core.interactiveshell import InteractiveShell

NOTEBOOKS = sorted((Path(__file__).parents[1] / "docs" / "notebooks").glob("*.ipynb"))
MODEL = """model m {
  input  x: float[3]
  target t: float[1]
  let y = x -> dense(1)
  output y
  loss   mse(y, t)
}

train {
  optimizer sgd(lr = 0.1)
  batch = 4
}
"""


@pytest.fixture
def shell(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found = InteractiveShell()
    found.run_cell("%load_ext specc.notebook")
    yield found
    found.history_manager.end_session()


def run(shell, cell: str) -> None:
    result = shell.run_cell(cell)
    if not result.success:
        raise result.error_before_exec or result.error_in_exec


@pytest.mark.slow
@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_of_a_notebook_runs(path, shell):
    for cell in json.loads(path.read_text(encoding="utf-8"))["cells"]:
        if cell["cell_type"] == "code":
            run(shell, "".join(cell["source"]))


def test_notebooks_are_kept_without_outputs():
    assert len(NOTEBOOKS) >= 3
    for path in NOTEBOOKS:
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        assert all(not cell.get("outputs") for cell in cells)


def test_a_cell_is_checked_and_named(shell, capsys):
    run(shell, f"%%specc program --no-graph\n{MODEL}")
    assert shell.user_ns["program"].name == "m"
    run(shell, f"%%specc program --no-graph\n{MODEL.replace('dense', 'dens')}")
    printed = capsys.readouterr().out
    assert "unknown layer or function `dens`" in printed and "did you mean `dense`?" in printed


def test_a_cell_is_drawn(shell, capsys):
    run(shell, f"%%specc\n{MODEL}")
    assert "SVG" in capsys.readouterr().out


@pytest.mark.slow
def test_a_cell_is_trained_on_a_variable_with_changed_settings(shell):
    run(shell, "import numpy as np\nrows = {'x': np.eye(3), 't': np.ones((3, 1))}")
    run(shell, f"%%specc run --train --data rows --no-graph epochs=2\n{MODEL}")
    assert len(shell.user_ns["run"].metrics) == 2


def test_wrong_usage_is_an_error_of_the_cell(shell):
    with pytest.raises(ValueError, match="unrecognized"):
        run(shell, f"%%specc --trian\n{MODEL}")
