"""The commands, from their arguments to what they print, write and exit with."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from click import Argument, Context
from safetensors.numpy import load_file

from specc.backend.toolchain import workers
from specc.cli.main import COMMANDS, commands, status_of
from specc.driver import stages

ROOT = Path(__file__).resolve().parents[2]

TINY = """# softmax regression
use "parts/words.dl"
dim classes = 10

model tiny {
  input  image: float[64]
  target label: class(classes)
  let scores = image -> double -> dense(classes)
  output scores
  loss   cross_entropy(scores, label)
  loss   penalty = 1e-4 * l2(weights)
  metric accuracy(scores, label)
}

train {
  data      digits()
  validate  split = 0.8
  optimizer momentum(lr = 0.1)
  epochs = 3
  batch  = 32
}
"""

TABLE = """dim n
dim kinds
model flowers {
  input  x: float[n]
  target kind: class(kinds)
  let scores = x -> dense(kinds)
  output scores
  loss cross_entropy(scores, kind)
}
train {
  data csv("flowers.csv"; x = "length, width", scale = 0.5)
  optimizer sgd(lr = 0.5)
  epochs = 2
  batch = 4
}
"""

FLOWERS = "length,width,kind\n" + "1,2,rose\n2,1,aster\n3,0,tulip\n" * 5


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A folder to work in, with a model."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tiny.dl").write_text(TINY)
    (tmp_path / "parts").mkdir()
    (tmp_path / "parts" / "words.dl").write_text("fn double(x) = 2 * x\n")
    return tmp_path


@pytest.mark.parametrize("name", COMMANDS)
def test_help_shows_the_whole_summary_of_a_command(name):
    command = commands.get_command(Context(commands), name)
    summary = command.get_short_help_str(limit=60)  # as `specc --help` cuts it at 80 columns
    assert summary[0].isupper() and summary.endswith(".") and not summary.endswith("...")
    for option in command.params:
        assert isinstance(option, Argument) or option.help, f"{name} {option.name} has no help"


def test_check_prints_every_mistake_and_exits_with_one(folder, specc):
    (folder / "bad.dl").write_text("model m { input x: float[3] output y output z }\n")
    status, out, _ = specc("check", "tiny.dl", "bad.dl")
    assert status == 1
    assert "`y`" in out and "`z`" in out and out.endswith("2 files checked: 2 errors\n")
    assert specc("check", "tiny.dl")[:2] == (0, "1 file checked: no errors\n")


def test_check_prints_records_as_json(folder, specc):
    (folder / "bad.dl").write_text("model m { input x: float[3] output y }\n")
    status, out, _ = specc("check", "bad.dl", "--format", "json")
    (record,) = json.loads(out)
    assert status == 1
    assert (record["name"], record["file"], record["line"]) == ("unknown-name", "bad.dl", 1)
    assert json.loads(specc("check", "tiny.dl", "--format=json")[1]) == []


@pytest.mark.parametrize(
    "arguments",
    [
        ["check"], ["check", "nowhere.dl"], ["nothing"], ["check", "tiny.dl", "--format", "html"],
        ["train"], ["train", "nowhere.dl"], ["train", "tiny.dl", "epochs"],
        ["train", "tiny.dl", "epochs=1", "epochs=2"], ["train", "tiny.dl", "--threads", "0"],
        ["show", "tiny.dl", "--stage", "nothing"], ["eval", "nowhere"], ["build"],
    ],
)  # fmt: skip
def test_wrong_usage_exits_with_two(folder, specc, arguments):
    status, out, err = specc(*arguments)
    assert (status, out) == (2, "")
    assert "Usage" in err and "Traceback" not in err


def test_train_leaves_a_run_that_eval_and_predict_read(folder, specc):
    status, out, err = specc("train", "tiny.dl", "epochs=2")
    assert (status, err) == (0, "")
    lines = out.splitlines()
    assert lines[0].startswith("compiled in ")
    assert lines[1].split() == [
        "train", "loss", "accuracy", "val", "loss", "accuracy", "examples/s", "*", "best",
    ]  # fmt: skip
    assert lines[2].startswith("epoch 1/2  ") and lines[2].endswith(" *")
    assert lines[-2].startswith("best validation after epoch ")
    assert lines[-1] == "runs/tiny/1"
    run = folder / "runs" / "tiny" / "1"
    assert (run / "model.dl").read_text() == TINY
    record = json.loads((run / "run.json").read_text())
    assert record["overrides"] == {"epochs": "2"} and record["status"] == "finished"
    with (run / "metrics.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert list(rows[0])[:7] == [
        "epoch", "step", "seconds", "train_loss", "val_loss", "train_accuracy", "val_accuracy",
    ]  # fmt: skip
    assert float(rows[-1]["val_accuracy"]) > 0.8

    # the run is complete: neither the file nor what it uses is needed any more
    (folder / "tiny.dl").unlink()
    (folder / "parts" / "words.dl").unlink()
    status, out, _ = specc("eval", "runs/tiny/1", "--json")
    found = json.loads(out)
    best = min(rows, key=lambda row: float(row["val_loss"]))
    assert status == 0
    assert (found["part"], found["examples"]) == ("validation", 359)
    assert found["loss"] == pytest.approx(float(best["val_loss"]), rel=1e-6)
    assert found["accuracy"] == pytest.approx(float(best["val_accuracy"]))
    assert "validation, 359 examples" in specc("eval", "runs/tiny/1")[1]

    digits = np.load(ROOT / "specc" / "data" / "digits.npz")
    np.save(folder / "images.npy", digits["image"].reshape(-1, 64))
    assert specc("predict", run, "images.npy", "-o", "scores.npz")[0] == 0
    scores = np.load(folder / "scores.npz")["scores"]
    assert scores.shape == (1797, 10)
    assert (scores.argmax(axis=1) == digits["label"]).mean() > 0.8
    assert specc("predict", run, "images.npy", "-o", "scores.csv")[0] == 0
    table = (folder / "scores.csv").read_text().splitlines()
    names = table[0].split(",")
    assert names[:2] == ["label", "label_0"] and names[11:13] == ["scores_1", "scores_2"]
    row = np.fromstring(table[1], sep=",")
    assert len(table) == 1798 and row[0] == scores[0].argmax()
    assert np.allclose(row[11:], scores[0], rtol=1e-6) and np.isclose(row[1:11].sum(), 1)
    np.save(folder / "images.npy", np.zeros((3, 63)))
    status, _, err = specc("predict", run, "images.npy", "-o", "scores.npz")
    assert status == 1 and "[63], but `image` is float[64]" in err


def test_quiet_prints_the_result_alone(folder, specc):
    status, out, _ = specc("train", "tiny.dl", "epochs=1", "--quiet", "--run", "elsewhere")
    assert status == 0
    assert [line.split()[0] for line in out.splitlines()] == ["best", "elsewhere/tiny/1"]


def test_a_training_goes_on_where_it_was_interrupted(folder, specc, monkeypatch):
    from specc.cli.train import Interruption

    assert specc("train", "tiny.dl")[0] == 0
    asked = iter([False, True])
    monkeypatch.setattr(Interruption, "is_asked", lambda self: next(asked, False))
    status, out, _ = specc("train", "tiny.dl")
    assert status == 130
    assert out.endswith("interrupted; to continue, use `specc train --resume runs/tiny/2`\n")
    status, out, _ = specc("train", "tiny.dl", "--resume", "runs/tiny/2")
    assert status == 0 and out.endswith("runs/tiny/2\n")
    one, other = (load_file(f"runs/tiny/{i}/last.safetensors") for i in (1, 2))
    assert list(one) == list(other)
    assert all(np.array_equal(one[name], other[name]) for name in one)
    status, out, _ = specc("train", "--resume", "runs/tiny/2")
    assert status == 0 and "has finished its 3 epochs" in out
    assert json.loads(Path("runs/tiny/2/run.json").read_text())["status"] == "finished"
    assert specc("train", "--resume", "runs/tiny/2", "epochs=4")[0] == 0
    assert Path("runs/tiny/2/metrics.csv").read_text().splitlines()[-1].startswith("4,")


def test_a_run_goes_on_with_what_it_was_started_with(folder, specc):
    assert specc("train", "tiny.dl", "epochs=1")[0] == 0
    status, _, err = specc("train", "--resume", "runs/tiny/1", "batch=16")
    assert status == 1 and "the batch of a run cannot change: it was 32 and is now 16" in err
    status, _, err = specc("train", "--resume", "runs/tiny/1", "--dtype", "float64")
    assert status == 1 and "the dtype of a run cannot change" in err
    (folder / "tiny.dl").write_text(TINY.replace("0.1)", "0.2)"))
    status, _, err = specc("train", "tiny.dl", "--resume", "runs/tiny/1")
    assert status == 1 and "which the run was trained with" in err
    last = folder / "runs" / "tiny" / "1" / "last.safetensors"
    last.write_bytes(last.read_bytes()[:100])
    status, _, err = specc("train", "--resume", "runs/tiny/1", "epochs=2")
    assert status == 1 and "last.safetensors` is damaged" in err


def test_sizes_and_words_come_from_a_table_and_are_kept_in_the_run(folder, specc):
    (folder / "flowers.dl").write_text(TABLE)
    (folder / "data").mkdir()
    (folder / "data" / "flowers.csv").write_text(FLOWERS)
    status, _, err = specc("train", "flowers.dl")
    assert status == 1 and "there is no file `flowers.csv`" in err and "--data DIR" in err
    assert not Path("runs").exists()
    assert specc("train", "flowers.dl", "--data", "data")[0] == 0
    record = json.loads(Path("runs/flowers/1/run.json").read_text())
    assert record["sizes"] == {"n": 2, "kinds": 3}
    assert record["vocabularies"] == {"kind": ["aster", "rose", "tulip"]}
    status, _, err = specc("eval", "runs/flowers/1")
    assert status == 1 and "there is no data to evaluate on" in err
    (folder / "new.csv").write_text("width,length\n1,2\n")
    assert specc("predict", "runs/flowers/1", "new.csv", "-o", "out.csv")[0] == 0
    assert len(Path("out.csv").read_text().splitlines()) == 2


def test_a_mistake_in_the_data_is_shown_at_the_call_before_a_run_is_made(folder, specc):
    (folder / "flowers.dl").write_text(TABLE)
    (folder / "flowers.csv").write_text(FLOWERS.replace("3,0", "3,o", 1))
    status, _, err = specc("train", "flowers.dl", "n=2", "kinds=3")
    assert status == 1
    assert "error[data]: `flowers.csv`, line 4, column `width`: `o` is not a number" in err
    assert "flowers.dl:11:12" in err and "^^^^" in err
    assert not Path("runs").exists()


def test_a_loss_that_diverges_exits_with_one(folder, specc):
    text = TINY.replace("momentum(lr = 0.1)", "sgd(lr = 1e30)")
    (folder / "tiny.dl").write_text(text)
    status, _, err = specc("train", "tiny.dl")
    assert status == 1 and "error[diverged]" in err and "smaller learning rate" in err
    assert json.loads(Path("runs/tiny/1/run.json").read_text())["status"] == "failed"


def test_a_file_without_train_cannot_be_trained(folder, specc):
    (folder / "m.dl").write_text("model m { input x: float[3] output x }\n")
    status, _, err = specc("train", "m.dl")
    assert status == 1 and "error[no-train]" in err


def test_ctrl_c_saves_the_run(folder):
    command = [sys.executable, "-m", "specc", "train", "tiny.dl", "epochs=1000000"]
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    # a shell's background job ignores interruptions, and so would what it starts
    with subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    ) as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(signal.SIGINT)
        rest = process.stdout.read()
    assert process.returncode == 130
    assert rest.endswith("interrupted; to continue, use `specc train --resume runs/tiny/1`\n")
    assert json.loads(Path("runs/tiny/1/run.json").read_text())["status"] == "interrupted"


def test_ctrl_c_while_compiling_is_answered_at_once(folder, specc, monkeypatch):
    """Nothing is trained yet, so nothing is lost: the training does not wait for the compiler."""
    from specc.backend.toolchain import load as loading

    compile_all = workers.compile_all

    def interrupted(kernels, *rest):
        if any(each.name.startswith("gather") for each in kernels):  # those of the training
            os.kill(os.getpid(), signal.SIGINT)
            raise AssertionError("the signal was not answered")
        return compile_all(kernels, *rest)

    monkeypatch.setenv("SPECC_CACHE_DIR", str(folder / "cache"))
    monkeypatch.setattr(loading, "_addresses", {})
    monkeypatch.setattr(workers, "compile_all", interrupted)
    monkeypatch.setattr(workers, "start_ahead", lambda: None)
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        status, _, err = specc("train", "tiny.dl", "epochs=3")
    finally:
        signal.signal(signal.SIGINT, before)
    assert status == 130 and "interrupted" in err
    assert json.loads(Path("runs/tiny/1/run.json").read_text())["status"] == "interrupted"


def test_a_metric_may_be_a_table_that_eval_prints(folder, specc):
    text = TINY.replace("metric accuracy", "metric confusion(scores, label)\n  metric accuracy")
    (folder / "tiny.dl").write_text(text)
    assert specc("train", "tiny.dl", "epochs=1", "-q")[0] == 0
    found = json.loads(specc("eval", "runs/tiny/1", "--json")[1])
    table = np.array(found["confusion"])
    assert table.shape == (10, 10) and table.sum() == pytest.approx(1)
    assert table.trace() == pytest.approx(found["accuracy"])
    lines = specc("eval", "runs/tiny/1")[1].splitlines()
    start = next(k for k, line in enumerate(lines) if "confusion" in line)
    printed = [[float(cell) for cell in line.split()] for line in lines[start + 1 : start + 11]]
    assert np.allclose(printed, table, atol=1e-4)
    header = (folder / "runs" / "tiny" / "1" / "metrics.csv").read_text().splitlines()[0]
    assert "confusion" not in header


def test_show_prints_the_layers_or_a_stage(folder, specc):
    status, out, _ = specc("show", "tiny.dl", "classes=12")
    assert status == 0
    assert out.splitlines()[2].split() == [
        "layer",
        "call",
        "shape",
        "parameters",
        "FLOPs",
        "memory",
    ]
    (dense,) = [line for line in out.splitlines() if line.startswith("dense1")]
    assert dense.split()[2:] == ["[12]", "780", "1,548", "48", "B"]
    assert specc("show", "tiny.dl", "--stage", "source")[1] == TINY
    assert "tiny" in specc("show", "tiny.dl", "--stage", "program")[1]


def test_show_says_which_sizes_are_open(folder, specc):
    (folder / "flowers.dl").write_text(TABLE)
    status, out, _ = specc("show", "flowers.dl")
    assert status == 0
    assert "dense1  dense(kinds)  [kinds]  kinds*n + kinds" in out
    assert out.endswith("symbolic: n, kinds (set them with n=10)\n")


def test_build_writes_or_prints_python(folder, specc):
    status, out, _ = specc("build", "tiny.dl", "-o", "tiny.py")
    assert status == 0 and out.startswith("wrote tiny.py (")
    text = (folder / "tiny.py").read_text()
    compile(text, "tiny.py", "exec")
    assert specc("build", "tiny.dl")[:2] == (0, text)


def test_a_model_that_is_not_trained_can_be_built_and_shown_in_all_stages_but_its_gradient(
    folder, specc
):
    (folder / "plain.dl").write_text("model m {\n  input x: float[3]\n  output x -> dense(2)\n}\n")
    status, out, _ = specc("build", "plain.dl")
    assert status == 0 and "def forward(m):" in out
    for stage in stages():
        status, out, err = specc("show", "plain.dl", "--stage", stage)
        assert (status, "no loss" in err) == (
            (1, True) if stage in ("gradient", "autodiff") else (0, False)
        ), stage


def test_a_bug_of_ours_asks_for_a_report(folder, capsys, monkeypatch):
    from specc import driver

    def broken(*_):
        raise KeyError("an invariant")

    monkeypatch.setattr(driver, "check_all", broken)
    assert status_of(["check", "tiny.dl"]) == 70
    err = capsys.readouterr().err
    assert "Traceback" in err and "this is a bug in specc" in err


def test_help_and_version_import_nothing_heavy():
    code = (
        "import sys; from specc.cli.main import COMMANDS, commands, status_of\n"
        "for arguments in (['--help'], ['train', '--help'], ['--version']):\n"
        "    assert status_of(arguments) == 0\n"
        "heavy = {'numpy', 'numba', 'llvmlite', 'rich', 'safetensors', 'lark'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr


def test_a_dry_run_does_all_but_the_steps(folder, specc):
    status, out, err = specc("train", "tiny.dl", "batch=100", "--dry-run")
    assert (status, err) == (0, "") and not (folder / "runs").exists()
    lines = out.splitlines()
    assert lines[0] == "tiny: 650 parameters, 1,438 training, 359 validation examples"
    assert lines[1].startswith("3 epochs of 15 steps with up to 100 examples, on ")
    assert specc("train", "--resume", "nowhere", "--dry-run")[0] == 2


def test_a_few_examples_are_learned_by_heart(folder, specc):
    status, out, _ = specc("train", "tiny.dl", "lr=1", "--overfit", "8", "-q", "--log", "jsonl")
    assert status == 0 and "so the model can learn them" in out
    record = json.loads((folder / "runs" / "tiny" / "1" / "run.json").read_text())
    assert record["examples"] == {"training": 8, "validation": 8}
    assert record["overrides"]["epochs"] == "200"
    events = (folder / "runs" / "tiny" / "1" / "log.jsonl").read_text().splitlines()
    assert sum(json.loads(line)["event"] == "epoch" for line in events) == 200
    out = specc("train", "tiny.dl", "lr=1e-9", "--overfit", "8", "-q")[1]
    assert "may have an error, or the learning rate may be too small" in out


def test_a_training_ends_when_its_time_is_over_and_goes_on(folder, specc):
    status, out, _ = specc("train", "tiny.dl", "epochs=500", "max_time=1e-9", "-q")
    assert status == 0 and out.startswith("stopped after max_time = 1e-09 s\n")
    run = folder / "runs" / "tiny" / "1"
    assert json.loads((run / "run.json").read_text())["status"] == "time"
    assert specc("train", "--resume", run, "max_time=1e9", "epochs=2", "-q")[0] == 0
    assert specc("train", "tiny.dl", "epochs=2", "-q")[0] == 0
    one, other = (load_file(folder / "runs" / "tiny" / n / "last.safetensors") for n in "12")
    assert all(np.array_equal(one[name], other[name]) for name in other)
