"""The way of the weights: what a run keeps, and the figure, against numbers computed apart."""

import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import specc
from specc.plots import trajectory
from specc.plots.contours import contours
from specc.plots.kinds import find
from specc.plots.marks import Line, Points
from specc.plots.subject import of_run
from specc.runs.listener import AsWarnings
from specc.runs.snapshots import kept

MODEL = """
model line {
  input  x: float[3]
  target t: float
  let h = x -> dense(4) -> LAYER
  let y = flatten(h -> dense(1))[0]
  output y
  loss   mse(y, t)
}
train {
  data npz("a.npz") validate split = 0.75 batch = 8 epochs = 5
  optimizer momentum(lr = 0.05, mu = 0.9)
  SETTING
}
"""
ROWS = 77  # 58 of them to train on: eight steps an epoch


@pytest.fixture
def train(tmp_path, monkeypatch, specc):
    """Trains the model with lines in `train`; the folder of the run."""
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(3)
    x = random.normal(size=(ROWS, 3)).astype(np.float32)
    np.savez("a.npz", x=x, t=np.sin(x.sum(1)).astype(np.float32))

    def run(setting="", *arguments, layer="tanh"):
        text = MODEL.replace("LAYER", layer).replace("SETTING", setting)
        (tmp_path / "line.dl").write_text(text)
        status, _, err = specc("train", "line.dl", "--quiet", *arguments)
        assert status == 0, err
        numbers = [int(each.name) for each in (tmp_path / "runs/line").iterdir()]
        return tmp_path / "runs/line" / str(max(numbers))

    return run


def flat(path):
    arrays = load_file(path)
    return np.concatenate([np.ravel(arrays[name]) for name in sorted(arrays)]).astype(np.float64)


# What a run keeps


def test_snapshots_are_at_equal_distances_and_end_with_the_last_weights(train):
    folder = train("snapshots = 7")
    steps = 5 * 8
    assert list(kept(folder)) == [*range(0, steps, 6), steps]
    last, final = load_file(folder / "last.safetensors"), load_file(kept(folder)[steps])
    assert final and all(np.array_equal(last[name], final[name]) for name in final)
    assert not any(name.startswith("state/") for name in final)
    assert {each.name for each in (folder / "snapshots").iterdir()} == {
        f"{step}.safetensors" for step in kept(folder)
    }


def test_more_snapshots_than_steps_are_one_for_each_step(train):
    assert list(kept(train("snapshots = 1000", "epochs=1"))) == list(range(9))


def test_snapshots_beside_validation_within_an_epoch(train):
    folder = train("snapshots = 7 validate_every = 5")
    assert list(kept(folder)) == [*range(0, 40, 6), 40]
    lines = (folder / "evaluations.csv").read_text().splitlines()
    assert [int(line.split(",")[0]) for line in lines[1:]] == [5, 10, 15, 20, 25, 30, 35]


def test_keeping_them_changes_no_bit_of_the_training(train):
    one, other = train("snapshots = 11"), train()
    assert not kept(other)
    first, second = load_file(one / "last.safetensors"), load_file(other / "last.safetensors")
    assert all(first[name].tobytes() == second[name].tobytes() for name in first)


def test_a_resumed_training_keeps_those_that_a_whole_one_has(train, specc):
    whole = train("snapshots = 10")
    half = train("snapshots = 10", "max_time=1e-9")
    assert len(kept(half)) < len(kept(whole))
    save_file({"w": np.zeros(1, np.float32)}, half / "snapshots/39.safetensors")  # of a later step
    (half / "snapshots/.4.safetensors.0123456789abcdef.part").write_text("left by a kill")
    status, _, err = specc("train", "--resume", half, "max_time=1000")
    assert status == 0, err
    assert list(kept(half)) == list(kept(whole))
    for step, path in kept(half).items():
        assert path.read_bytes() == kept(whole)[step].read_bytes(), step
    assert not list((half / "snapshots").glob(".*"))


def test_a_setting_that_is_none(train, tmp_path, specc):
    (tmp_path / "line.dl").write_text(
        MODEL.replace("LAYER", "tanh").replace("SETTING", "snapshots = 1")
    )
    status, out, err = specc("check", "line.dl")
    assert status == 1 and "snapshots" in out + err and "must be > 1" in out + err


# The figure


def drawn(folder):
    return trajectory.trajectory(of_run(folder, AsWarnings()))


def test_the_way_is_that_of_the_principal_components(train):
    folder = train("snapshots = 12")
    rows = np.stack([flat(path) for path in kept(folder).values()])
    left, sizes, _ = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    way = trajectory.way_of(kept(folder))
    expected = left[:, :2] * sizes[:2]
    expected = expected * np.where(expected[-1] < 0, -1, 1)
    assert way.places == pytest.approx(expected, abs=1e-9)
    assert way.moved == pytest.approx(sizes[:2] ** 2 / (sizes**2).sum())
    figure = drawn(folder)
    (panel,) = figure.parts
    points = next(mark for mark in panel.marks if isinstance(mark, Points) and len(mark.x) > 10)
    assert list(points.x) == pytest.approx(list(expected[:, 0]))
    assert points.titles[1] == "step 4"
    assert panel.x.label == f"direction 1: {way.moved[0]:.1%} of the movement"
    assert f"at {len(kept(folder))} moments" in figure.caption and figure.caption.endswith(".")


def test_a_snapshot_is_read_in_pieces(train, monkeypatch):
    folder = train("snapshots = 12")
    whole = trajectory.way_of(kept(folder))
    monkeypatch.setattr(trajectory, "PIECE", 3)
    pieces = trajectory.way_of(kept(folder))
    assert pieces.places == pytest.approx(whole.places, abs=1e-9)


def test_the_loss_is_that_of_the_weights_of_the_plane(train, monkeypatch):
    monkeypatch.setattr(trajectory, "GRID", 4)
    folder = train("snapshots = 12")
    subject = of_run(folder, AsWarnings())
    before = {name: np.array(each) for name, each in subject.net.params.items()}
    way = trajectory.way_of(kept(folder))
    across, along, losses, count = trajectory._losses(subject, kept(folder), way)
    assert all(np.array_equal(before[name], each) for name, each in subject.net.params.items())
    assert count == subject.count == 19
    rows = np.stack([flat(path) for path in kept(folder).values()])
    _, _, axes = np.linalg.svd(rows - rows.mean(0), full_matrices=False)
    signs = np.where((rows[-1] - rows.mean(0)) @ axes[:2].T < 0, -1, 1)
    x, t = subject.values("x"), subject.values("t")
    names = sorted(load_file(kept(folder)[0]))
    assert names == ["dense1.bias", "dense1.weight", "dense2.bias", "dense2.weight"]
    for i, b in enumerate(along):
        for j, a in enumerate(across):
            w = rows.mean(0) + np.array([a, b]) * signs @ axes[:2]
            hidden = np.tanh(x @ w[4:16].reshape(4, 3).T + w[:4])
            y = hidden @ w[17:21] + w[16]
            assert losses[i, j] == pytest.approx(((y - t) ** 2).mean(), rel=1e-4)


def test_lines_of_loss_are_named(train):
    (panel,) = drawn(train("snapshots = 12")).parts
    lines = [mark for mark in panel.marks if isinstance(mark, Line) and not mark.name]
    (labels,) = [mark for mark in panel.marks if isinstance(mark, Points) and mark.labels]
    assert 3 <= len(lines) == len(labels.labels) <= trajectory.LEVELS
    values = [float(each.replace(",", "")) for each in labels.labels]
    assert values == sorted(set(values)) and labels.radius == 0


@pytest.mark.parametrize(
    ("setting", "layer", "why"),
    [
        ("average = 0.9", "tanh", "evaluation takes means of the weights (`average`)"),
        ("", "batchnorm", "it depends on running statistics"),
    ],
)
def test_a_loss_that_no_place_has_is_not_drawn(train, setting, layer, why):
    figure = drawn(train(f"snapshots = 6 {setting}", layer=layer))
    assert why in figure.caption
    (panel,) = figure.parts
    assert not any(isinstance(mark, Points) and mark.labels for mark in panel.marks)


def test_a_model_that_is_too_large_has_no_loss(train, monkeypatch):
    monkeypatch.setattr(trajectory, "WORK", 1.0)
    monkeypatch.setattr(trajectory, "LEAST_EXAMPLES", 10)
    assert "too large to evaluate at 625 points" in drawn(train("snapshots = 6")).caption


def test_weights_that_move_on_a_line_have_a_plane(train):
    folder = train("snapshots = 6")
    for k, path in enumerate(kept(folder).values()):
        arrays = load_file(path)
        save_file({name: np.full_like(each, k) for name, each in arrays.items()}, path)
    way = trajectory.way_of(kept(folder))
    assert way.moved == pytest.approx((1, 0)) and np.isfinite(way.shares).all()
    assert drawn(folder).parts


def test_what_a_run_lacks(train, specc):
    subject = of_run(train(), AsWarnings())
    why = find("trajectory").why_not(subject)
    assert why == "the run kept no weights on its way: `snapshots = 50` in `train` does"
    few = train("snapshots = 2", "max_time=1e-9")
    status, _, err = specc("plot", few, "trajectory")
    assert status == 2 and "a plane takes 3" in err
    same = train("snapshots = 4")
    first = load_file(kept(same)[0])
    for path in kept(same).values():
        save_file(first, path)
    status, _, err = specc("plot", same, "trajectory")
    assert status == 2 and "the weights did not move" in err
    kept(same)[10].write_bytes(b"nothing")
    status, _, err = specc("plot", same, "trajectory")
    assert status == 2 and "a snapshot is damaged or missing" in err


@pytest.mark.parametrize("ending", ["svg", "png"])
def test_it_is_drawn_to_a_file(train, specc, ending):
    if ending == "png":
        pytest.importorskip("matplotlib")
    folder = train("snapshots = 8")
    status, out, err = specc("plot", folder, "trajectory", "-o", f"way.{ending}")
    assert status == 0 and out.endswith(f"wrote way.{ending}\n"), err


def test_python_keeps_them_too(train, tmp_path):
    train()
    run = specc.train(tmp_path / "line.dl", quiet=True, snapshots=5)
    assert list(kept(run.folder)) == [0, 8, 16, 24, 32, 40]
    assert json.loads((run.folder / "run.json").read_text())["overrides"] == {"snapshots": "5"}


# Contours


def test_the_contour_of_a_cone_is_a_circle():
    x, y = np.linspace(-2, 2, 41), np.linspace(-2, 2, 33)
    heights = np.hypot(*np.meshgrid(x, y))
    (line,) = contours(x, y, heights, 1.23)
    assert np.array_equal(line[0], line[-1])
    assert np.hypot(*line.T) == pytest.approx(np.full(len(line), 1.23), abs=2e-3)
    turns = np.unwrap(np.arctan2(line[:, 1], line[:, 0]))
    assert abs(turns[-1] - turns[0]) == pytest.approx(2 * np.pi)
    assert len(set(map(tuple, line[:-1]))) == len(line) - 1


def test_lines_end_at_the_edge_and_at_values_that_are_not_finite():
    x = y = np.arange(5.0)
    heights = np.tile(x, (5, 1))
    (line,) = contours(x, y, heights, 2.25)
    assert line[:, 0] == pytest.approx(np.full(5, 2.25))
    assert sorted(line[:, 1]) == [0, 1, 2, 3, 4]
    heights[2, 2] = np.nan
    found = contours(x, y, heights, 2.25)
    assert [sorted(each[:, 1]) for each in found] in ([[0, 1], [3, 4]], [[3, 4], [0, 1]])


@pytest.mark.parametrize("lifted", [0.0, 1.0])
def test_a_saddle_has_two_lines_that_do_not_cross(lifted):
    heights = np.array([[1.0, -1.0], [-1.0, 1.0]]) + np.array([[lifted, 0], [0, lifted]]) - 0.1
    lines = contours(np.arange(2.0), np.arange(2.0), heights, 0.0)
    assert len(lines) == 2 and all(len(line) == 2 for line in lines)
    # the corners that stay together are those of the mean's side
    together = heights.mean() > 0
    for line in lines:
        near = line.mean(0)
        corner = heights[round(near[1]), round(near[0])]
        assert (corner < 0) == together


def test_no_line_above_the_highest_or_through_a_plain():
    x = y = np.arange(4.0)
    assert contours(x, y, np.ones((4, 4)), 1.0) == []
    assert contours(x, y, np.add.outer(x, y), 7.0) == []


@pytest.mark.parametrize(("low", "high"), [(0.2, 40.0), (0.3001, 0.3004), (-3.0, 5.0), (0.0, 1.0)])
def test_levels_are_between_the_losses(low, high):
    found = trajectory.levels(low, high)
    assert len(found) >= 4 and found == sorted(found) and low < found[0] and found[-1] < high
