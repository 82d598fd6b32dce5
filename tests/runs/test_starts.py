"""Weights from elsewhere: `start`, of a run, a saved model or a file."""

from __future__ import annotations

import json
import shutil

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import specc
from specc import driver
from specc.cli.main import status_of
from specc.runs.verdict import data_verdict
from specc.source import Source

HEAD = """model teacher {
  input  x: float[5]
  target t: class(3)
  layer tower = dense(4) -> batchnorm -> relu
  let scores = tower(x) -> dense(3)
  output scores
  loss cross_entropy(scores, t)
}
"""
TRAIN = """train {
  data npz("d.npz")
  optimizer adam(lr = 0.05)
  epochs = 2
  batch = 8
  MORE
}
"""
STUDENT = HEAD.replace("model teacher", "model student").replace(
    "dense(3)", "dense(6) -> relu -> dense(3)"
)


def student(more: str, model: str = STUDENT) -> str:
    return model + TRAIN.replace("MORE", more)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder with data and a trained run, `runs/teacher/1`; it is the working folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    x = rng.normal(size=(40, 5)).astype("float32")
    np.savez("d.npz", x=x, t=(x[:, 0] > 0) + 1 * (x[:, 1] > 0))
    (tmp_path / "teacher.dl").write_text(HEAD + TRAIN.replace("MORE", ""))
    specc.train("teacher.dl", quiet=True)
    return tmp_path


def first(text: str, folder, **overrides) -> dict[str, np.ndarray]:
    """The first checkpoint of a training, before any step."""
    from specc.runs.listener import Silent
    from specc.runs.start import prepare
    from specc.runs.train import texts_of_values

    values = texts_of_values(overrides)
    prepared = prepare(Source("s.dl", text), text.encode(), folder, values, Silent())
    training = prepared.begun(folder / "out")
    training.release()
    return load_file(training.run.last), training.run


def errors(text: str, folder) -> list:
    source = Source("s.dl", text)
    program, found = driver.check(source, {})
    assert program is not None, found
    return data_verdict(source, program, folder).found


def test_a_layer_begins_with_the_weights_of_a_run(folder):
    now, run = first(student('start tower = "runs/teacher/1"'), folder)
    then = load_file(folder / "runs/teacher/1/best.safetensors")
    same = [name for name in then if "tower." in name and not name.endswith((".m", ".v"))]
    assert len(same) >= 6  # weight, bias, gamma, beta, mean, variance
    for name in ("tower.dense1.weight", "tower.batchnorm1.gamma", "state/tower.batchnorm1.mean"):
        assert np.array_equal(now[name], then[name])
    assert not np.array_equal(now["dense1.weight"][:3, :3], then["dense1.weight"][:3, :3])
    assert run.record.pins.starts.keys() == {"runs/teacher/1"}
    assert len(run.record.pins.starts["runs/teacher/1"]) == 64


def test_a_frozen_layer_keeps_the_weights_that_it_began_with(folder):
    (folder / "s.dl").write_text(student('start tower = "runs/teacher/1" freeze tower'))
    run = specc.train("s.dl", quiet=True)
    teacher = specc.open("runs/teacher/1")
    assert np.array_equal(
        run.net.params["tower.dense1.weight"], teacher.params["tower.dense1.weight"]
    )
    assert not np.array_equal(run.net.params["dense2.weight"], run.net.params["dense2.weight"] * 0)


def test_a_whole_model_begins_with_a_file_and_a_statement_about_a_layer_counts_more(folder):
    program = specc.loads(HEAD)
    net = specc.compile(program, batch=4, seed=7)
    rng = np.random.default_rng(1)
    arrays = {name: rng.normal(size=each.shape) for name, each in net.params.items()}
    arrays |= {name: rng.random(each.shape) for name, each in net.states.items()}
    save_file({name: each.astype("float16") for name, each in arrays.items()}, "w.safetensors")
    text = student('start = "w.safetensors" start dense1.bias = "runs/teacher/1"', HEAD)
    now, _ = first(text, folder)
    then = load_file(folder / "runs/teacher/1/best.safetensors")
    for name in net.params:
        want = then[name] if name == "dense1.bias" else arrays[name].astype("float16")
        assert np.array_equal(now[name], want.astype("float32"))


def test_a_layer_begins_with_a_file_that_is_that_layer(folder):
    rng = np.random.default_rng(2)
    arrays = {
        "dense1.weight": rng.normal(size=(4, 5)),
        "dense1.bias": rng.normal(size=4),
        "batchnorm1.gamma": rng.normal(size=4),
        "batchnorm1.beta": rng.normal(size=4),
        "batchnorm1.mean": rng.normal(size=4),
        "batchnorm1.variance": rng.random(4),
        "dense2.weight": rng.normal(size=(9, 9)),  # of another layer
    }
    save_file(arrays, "layer.safetensors")
    now, _ = first(student('start tower = "layer.safetensors"'), folder)
    assert np.array_equal(now["tower.dense1.weight"], arrays["dense1.weight"].astype("float32"))
    mean = arrays["batchnorm1.mean"].astype("float32")
    assert np.array_equal(now["state/tower.batchnorm1.mean"], mean)


def test_moving_copies_begin_with_what_they_follow(folder):
    model = STUDENT.replace(
        "let scores", "layer judge = running(tower)\n  let far = judge(x)\n  let scores"
    )
    model = model.replace("output scores", "output scores\n  output far")
    now, _ = first(student('start tower = "runs/teacher/1" average = 0.9', model), folder)
    then = load_file(folder / "runs/teacher/1/best.safetensors")
    weight, mean = then["tower.dense1.weight"], then["state/tower.batchnorm1.mean"]
    assert np.array_equal(now["state/judge.dense1.weight"], weight)
    assert np.array_equal(now["state/judge.batchnorm1.mean"], mean)
    assert np.array_equal(now["state/tower.dense1.weight.average"], weight)


def test_a_run_that_predicts_with_moving_means_gives_those(folder):
    (folder / "t.dl").write_text(student("average = 0.5 lr = 1", HEAD).replace("lr = 1", ""))
    run = specc.train("t.dl", quiet=True)
    then = load_file(run.folder / "best.safetensors")
    now, _ = first(student(f'start tower = "{run.folder}"'), folder)
    mean = then["state/tower.dense1.weight.average"]
    assert np.array_equal(now["tower.dense1.weight"], mean)
    assert not np.array_equal(mean, then["tower.dense1.weight"])


def test_a_resumed_run_does_not_read_them_again(folder):
    (folder / "s.dl").write_text(student('start tower = "runs/teacher/1"'))
    assert status_of(["train", "s.dl", "--quiet"]) == 0
    shutil.rmtree("runs/teacher")
    assert status_of(["train", "--resume", "runs/student/1", "epochs=3", "--quiet"]) == 0
    assert status_of(["eval", "runs/student/1", "--data", str(folder)]) in (0, 1)
    assert specc.open("runs/student/1").epochs_done >= 1


def test_they_are_overrides_on_the_command_line_and_in_python(folder):
    (folder / "s.dl").write_text(student("freeze tower", STUDENT))
    then = load_file(folder / "runs/teacher/1/best.safetensors")["tower.dense1.weight"]
    assert status_of(["train", "s.dl", "start.tower=runs/teacher/1", "--quiet"]) == 0
    assert np.array_equal(load_file("runs/student/1/last.safetensors")["tower.dense1.weight"], then)
    record = json.loads((folder / "runs/student/1/run.json").read_text())
    assert record["overrides"] == {"start.tower": "runs/teacher/1"}
    run = specc.train("s.dl", start={"tower": "teacher/1"}, quiet=True)
    assert np.array_equal(run.net.params["tower.dense1.weight"], then)
    teacher = specc.train("teacher.dl", quiet=True, epochs=1)
    again = specc.train("teacher.dl", start=teacher, quiet=True, epochs=1, lr=0)
    assert np.array_equal(again.net.params["dense1.bias"], teacher.net.params["dense1.bias"])
    text = student('start tower = "nowhere"')
    now, _ = first(text, folder, start={"tower": "@last"}, lr=1)
    assert np.array_equal(now["tower.dense1.weight"], again.net.params["tower.dense1.weight"])


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ('start tower = "runs/teachr/1"', "there is no run and no file of weights `runs/teachr/1`"),
        ('start tower = "d.npz"', "is not a file of weights, or is damaged"),
        ('start = "runs/teacher/1"', "has no `dense2.weight`, `dense2.bias`"),
    ],
)
def test_what_is_not_there_is_an_error_at_its_place(folder, more, message):
    text = student(more)
    found = errors(text, folder)
    error = next(each for each in found if message in each.message)
    assert error.name == "bad-start"
    assert error.span.text == more.partition("= ")[2]


def test_another_shape_is_an_error_that_names_the_layer_and_the_file(folder):
    (error, *rest) = errors(
        student('start tower = "runs/teacher/1"').replace("dense(4)", "dense(7)"), folder
    )
    assert "`tower.dense1.weight` is [7, 5] here, but [4, 5] in `" in error.message
    assert "runs/teacher/1/best.safetensors`" in error.message
    assert len(rest) == 7 - 2  # the other arrays of the layer


def test_check_reports_it_with_its_caret(folder, capfd):
    (folder / "s.dl").write_text(student('start tower = "runs/teachr/1"'))
    assert status_of(["check", "s.dl"]) == 1
    printed = capfd.readouterr().out
    assert 'start tower = "runs/teachr/1"' in printed and "^^^^" in printed
    assert "did you mean `teacher/1`?" in printed


def test_damaged_values_are_refused(folder):
    best = folder / "runs/teacher/1/best.safetensors"
    content = bytearray(best.read_bytes())
    content[-5] ^= 64
    best.write_bytes(content)
    with pytest.raises(specc.SpecError, match="SHA-256"):
        first(student('start tower = "runs/teacher/1"'), folder)
    save_file(
        {"dense1.weight": np.full((3, 4), np.nan, "float32"), "dense1.bias": np.zeros(3)}, "n"
    )
    with pytest.raises(specc.SpecError, match="not finite"):
        first(student('start dense1 = "n"', HEAD), folder)
    save_file({"dense1.weight": np.ones((3, 4), "int32"), "dense1.bias": np.zeros(3)}, "i")
    with pytest.raises(specc.SpecError, match="numbers of the type I32"):
        first(student('start dense1 = "i"', HEAD), folder)


def test_a_word_start_is_a_name_elsewhere():
    text = """
    fn f(start: float) = start + 1
    model m { input start: float[2] let y = f(start) -> dense(2) output y loss mean(y * start) }
    """
    assert specc.loads(text).name == "m"


def test_fit_begins_with_them_as_train_does(folder):
    text = student('start tower = "runs/teacher/1"')
    (folder / "s.dl").write_text(text)
    run = specc.train("s.dl", quiet=True)
    with np.load("d.npz") as data:
        given = dict(data)
    net = specc.compile(specc.load("s.dl"))
    net.fit(given)
    last = specc.open(run.folder, which="last")
    assert all(np.array_equal(net.params[path], last.params[path]) for path in last.params)
    before = net.params["tower.dense1.weight"].copy()
    net.fit(given, epochs=1)  # goes on
    assert np.abs(net.params["tower.dense1.weight"] - before).max() < 0.5


def test_fit_keeps_the_weights_that_a_net_has(folder):
    text = student('start tower = "runs/teacher/1"').replace("adam(lr = 0.05)", "sgd(lr = 0)")
    then = load_file(folder / "runs/teacher/1/best.safetensors")["tower.dense1.weight"]
    with np.load("d.npz") as data:
        given = dict(data)
    plain, other = (specc.compile(specc.loads(text)) for _ in range(2))
    plain.fit(given, epochs=1)
    assert np.array_equal(plain.params["tower.dense1.weight"], then)
    own = np.ones((4, 5), "float32")
    other.params["tower.dense1.weight"][...] = own
    other.fit(given, epochs=1)
    assert np.array_equal(other.params["tower.dense1.weight"], own)
    other.save("saved")
    opened = specc.open("saved")
    opened.fit(given, epochs=1)
    assert np.array_equal(opened.params["tower.dense1.weight"], own)
    shutil.rmtree("runs/teacher")
    fresh = specc.compile(specc.loads(text))
    with pytest.raises(specc.SpecError, match="there is no run and no file of weights"):
        fresh.fit(given, epochs=1)
    assert fresh.weights.are_initial()
