"""What goes wrong while commands run: full disks, damaged runs, readers that leave, signals."""

from __future__ import annotations

import errno
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors import safe_open
from safetensors.numpy import load_file, save_file

from specc.cli.main import status_of
from specc.runtime import files
from specc.runtime import run as runs
from specc.runtime.checkpoint import Checkpoints
from specc.runtime.metrics import MetricsFile

ROOT = Path(__file__).resolve().parents[2]

MODEL = """model tiny {
  input  image: float[64]
  target label: class(10)
  let scores = image -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
  metric accuracy(scores, label)
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
    (tmp_path / "tiny.dl").write_text(MODEL)
    return tmp_path


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    """A run of two epochs."""
    folder = tmp_path_factory.mktemp("finished")
    (folder / "tiny.dl").write_text(MODEL)
    assert status_of(["train", str(folder / "tiny.dl"), "--run", str(folder / "runs"), "-q"]) == 0
    return folder / "runs" / "tiny" / "1"


@pytest.fixture
def run(folder, finished):
    """A copy of it, called `run`."""
    shutil.copytree(finished, folder / "run")
    return Path("run")


def full(monkeypatch, suffix, times=10**6):
    """From now on no file that ends so fits on the disk."""
    plain, left = files.replace, [times]

    def replace(path, content):
        if str(path).endswith(suffix) and left[0] > 0:
            left[0] -= 1
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        plain(path, content)

    monkeypatch.setattr(files, "replace", replace)
    monkeypatch.setattr(runs, "replace", replace)


def names(folder):
    return sorted(each.name for each in Path(folder).iterdir())


# Disks


@pytest.mark.parametrize("suffix", ["model.dl", "run.json"])
def test_a_run_that_cannot_be_written_leaves_no_folder(folder, specc, monkeypatch, suffix):
    full(monkeypatch, suffix)
    status, _, err = specc("train", "tiny.dl")
    assert status == 1
    assert "no run can be written to `runs`: No space left on device" in err
    assert names("runs/tiny") == []


def test_a_run_whose_first_checkpoint_cannot_be_written_leaves_no_folder(
    folder, specc, monkeypatch
):
    full(monkeypatch, "last.safetensors")
    status, _, err = specc("train", "tiny.dl")
    assert status == 1
    assert "runs/tiny/1/last.safetensors`: No space left on device" in err
    assert names("runs/tiny") == []


@pytest.mark.parametrize("suffix", ["best.safetensors", "metrics.csv"])
def test_a_full_disk_ends_a_training_with_a_message(folder, specc, monkeypatch, suffix):
    full(monkeypatch, suffix)
    status, _, err = specc("train", "tiny.dl")
    assert status == 1
    assert f"runs/tiny/1/{suffix}`: No space left on device" in err
    assert json.loads(Path("runs/tiny/1/run.json").read_text())["status"] == "failed"
    assert not [name for name in names("runs/tiny/1") if name.startswith(".")]


def test_what_a_full_disk_interrupted_goes_on_from_the_last_checkpoint(run, specc, monkeypatch):
    before = load_file(run / "last.safetensors")
    with monkeypatch.context() as patch:
        full(patch, ".safetensors")
        status, _, err = specc("train", "--resume", run, "epochs=3")
        assert status == 1 and "No space left on device" in err
    after = load_file(run / "last.safetensors")
    assert all(np.array_equal(before[name], after[name]) for name in before)
    assert specc("train", "--resume", run, "epochs=3")[0] == 0
    assert (run / "metrics.csv").read_text().splitlines()[-1].startswith("3,")


def test_a_line_of_metrics_is_written_whole_or_not_at_all(tmp_path, monkeypatch):
    from specc.runtime.errors import RunError
    from specc.runtime.metrics import Epoch

    table = MetricsFile(tmp_path / "metrics.csv", ("loss",))
    before = table.path.read_text()
    writes = iter([lambda handle, content: os.write(handle, content[:5]), lambda *_: 0])

    with monkeypatch.context() as patch:
        patch.setattr(files.disk, "write", lambda *arguments: next(writes)(*arguments))
        with pytest.raises(RunError, match="No space left on device"):
            table.append(Epoch(1, 3, 0.5, {"loss": 1.0}, None, 1.0, True))
    assert table.path.read_text() == before


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no such device")
def test_a_device_is_written_to_and_stays(folder, specc):
    status, _, err = specc("build", "tiny.dl", "-o", "/dev/full")
    assert status == 2 and "cannot write `/dev/full`: No space left on device" in err
    assert Path("/dev/full").is_char_device()


def test_a_link_stays_a_link(tmp_path):
    (tmp_path / "there").write_text("old")
    (tmp_path / "link").symlink_to("there")
    files.replace(tmp_path / "link", b"new")
    assert (tmp_path / "link").is_symlink() and (tmp_path / "there").read_text() == "new"


@pytest.mark.parametrize("blocker", ["runs", "runs/tiny"])
def test_a_file_in_the_place_of_the_folder_for_runs(folder, specc, blocker):
    Path(blocker).parent.mkdir(exist_ok=True)
    Path(blocker).write_text("")
    status, _, err = specc("train", "tiny.dl")
    assert status in (1, 2) and ("no run can be written" in err or "is a file" in err)


@pytest.mark.skipif(not hasattr(os, "geteuid") or os.geteuid() == 0, reason="root may do all")
def test_an_unwritable_folder_for_runs(folder, specc):
    Path("closed").mkdir(mode=0o500)
    status, _, err = specc("train", "tiny.dl", "--run", "closed")
    assert status == 1 and "Permission denied" in err and "`--run DIR`" in err


# Damaged runs


def changed(path, **values):
    record = json.loads(path.read_text())
    record.update(values)
    path.write_text(json.dumps(record))


@pytest.mark.parametrize(("values", "message"), [
    ({"dtype": "float16"}, '`dtype` is "float16", not float32 or float64'),
    ({"dtype": 3}, "`dtype` is 3, not float32 or float64"),
    ({"batch": None}, "`batch` is null, not an integer of at least 1"),
    ({"threads": 0}, "`threads` is 0, not an integer of at least 1"),
    ({"seed": 1.5}, "`seed` is 1.5, not an integer"),
    ({"sizes": None}, "`sizes` is null, not an object of integers"),
    ({"overrides": {"epochs": 3}}, '`overrides` is {"epochs": 3}, not an object of strings'),
    ({"vocabularies": 3}, "`vocabularies` is 3, not an object of lists of strings"),
    ({"examples": 5}, "`examples` is 5, not an object of integers"),
    ({"data": []}, "`data` is [], not a string"),
])  # fmt: skip
def test_a_record_with_a_wrong_value_names_it(run, specc, values, message):
    changed(run / "run.json", **values)
    np.save("x.npy", np.zeros((2, 64)))
    for command in (
        ("train", "--resume", run),
        ("eval", run),
        ("predict", run, "x.npy", "-o", "y.npz"),
    ):
        status, _, err = specc(*command)
        assert status == 1 and f"`run/run.json` is damaged: {message}" in err


@pytest.mark.parametrize(("text", "message"), [
    ("", "it ends, or is not JSON, at line 1, column 1"),
    ('{"model": "ti', "it ends, or is not JSON, at line 1, column 11"),
    ("[]", "it is not a JSON object"),
    ("null", "it is not a JSON object"),
    ("{}", "it does not say the `model`"),
    ("[" * 100000, "it is not JSON"),
    ("\udcff", "it is not UTF-8 text"),
])  # fmt: skip
def test_a_record_that_is_none_is_refused_in_words(run, specc, text, message):
    (run / "run.json").write_text(text, errors="surrogateescape")
    status, _, err = specc("eval", run)
    assert status == 1 and f"`run/run.json` is damaged: {message}" in err


@pytest.mark.parametrize(("change", "message"), [
    (lambda text: text.replace("epoch,step", "Epoch,step"), "line 1 does not name the columns"),
    (lambda text: text.replace("accuracy", "precision"), "its columns are epoch, step, seconds"),
    (lambda text: text.replace("1,", "one,", 1), "line 2: `one` is not a valid epoch"),
    (lambda text: text.replace("\n1,", "\n1,1,1,", 1), "line 2 has 9 cells, and the first 7"),
    (lambda text: "\0" * 30, "is damaged"),
    (lambda text: "\udcff" + text, "it is not a table"),
])  # fmt: skip
def test_a_table_of_metrics_that_was_edited_is_named_and_kept(run, specc, change, message):
    path = run / "metrics.csv"
    path.write_text(change(path.read_text()), errors="surrogateescape")
    before = path.read_bytes()
    status, _, err = specc("train", "--resume", run, "epochs=3")
    assert status == 1 and "`run/metrics.csv` is damaged" in err and message in err
    assert "repair it or move it away" in err
    assert path.read_bytes() == before
    assert json.loads((run / "run.json").read_text())["status"] == "finished"
    path.unlink()
    assert specc("train", "--resume", run, "epochs=3")[0] == 0


def test_a_line_of_metrics_that_a_kill_cut_short_is_dropped(run, specc):
    path = run / "metrics.csv"
    whole = path.read_text()
    path.write_text(whole + "3,13")
    assert specc("train", "--resume", run, "epochs=3")[0] == 0
    lines = path.read_text().splitlines()
    assert lines[:3] == whole.splitlines() and lines[3].startswith("3,135,") and len(lines) == 4


@pytest.mark.parametrize("size", [0, 5, 500, -1])
def test_a_damaged_checkpoint_is_named_and_the_other_one_offered(run, specc, size):
    path = run / "last.safetensors"
    path.write_bytes(path.read_bytes()[:size])
    status, _, err = specc("train", "--resume", run, "epochs=3")
    assert status == 1
    assert "`run/last.safetensors` is damaged: it is not, or not wholly, what specc wrote" in err
    assert "`run/best.safetensors` is whole (after epoch 2)" in err
    shutil.copy(run / "best.safetensors", path)
    assert specc("train", "--resume", run, "epochs=3")[0] == 0


def test_a_checkpoint_that_is_not_there_is_named_and_the_other_one_offered(run, specc):
    (run / "best.safetensors").unlink()
    status, _, err = specc("eval", run)
    assert status == 1 and "there is no checkpoint `run/best.safetensors`" in err
    assert "`run/last.safetensors` is whole (after epoch 2)" in err
    (run / "last.safetensors").unlink()
    assert "is whole" not in specc("eval", run)[2]


@pytest.mark.parametrize("kind", ["flip", "nan"])
def test_weights_that_are_damaged_are_refused_by_every_command(run, specc, kind):
    np.save("x.npy", np.zeros((2, 64), np.float32))
    for name, other in (("best", "last"), ("last", "best")):
        path = run / f"{name}.safetensors"
        whole = path.read_bytes()
        if kind == "flip":
            flipped = bytearray(whole)
            flipped[-100] ^= 4
            path.write_bytes(flipped)
            message = f"`{path}` is damaged: its SHA-256"
        else:
            with safe_open(path, framework="np") as file:
                metadata = file.metadata()
            arrays = load_file(path)
            arrays["dense1.weight"][3, 2] = np.nan
            del metadata["sha256"]  # as an older version wrote it
            save_file(arrays, path, metadata)
            message = (
                f"the parameter `dense1.weight` in `{path}` is not finite: it has the value nan"
            )
        commands = [("eval", run), ("predict", run, "x.npy", "-o", "y.npz"), ("flow", run)]
        for command in commands if name == "best" else [("train", "--resume", run, "epochs=3")]:
            status, out, err = specc(*command)
            assert (status, out) == (1, "") and message in err
            assert f"`run/{other}.safetensors` is whole (after epoch 2)" in err
        path.write_bytes(whole)
    assert not Path("y.npz").exists()


def test_a_loss_that_is_not_finite_is_a_failure_of_eval(folder, specc):
    sources = 'data npz("a.npz")\n  validate npz("a.npz")\n  test npz("b.npz")'
    Path("tiny.dl").write_text(
        MODEL.replace("validate  split = 0.8", "").replace("data      digits()", sources)
    )
    generator = np.random.Generator(np.random.PCG64(0))
    x, label = generator.normal(size=(64, 64)).astype(np.float32), np.arange(64) % 10
    np.savez("a.npz", image=x, label=label)
    np.savez("b.npz", image=np.sign(x) * np.float32(3e38), label=label)
    assert specc("train", "tiny.dl", "-q")[0] == 0
    status, out, err = specc("eval", "runs/tiny/1")
    assert status == 1 and "loss" in out
    assert "on the test part, although all weights are finite" in err


# Ends


def command(*arguments, **settings):
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    return subprocess.Popen(
        [sys.executable, "-m", "specc", *arguments],
        stdout=subprocess.PIPE,
        text=True,
        env=environment,
        **settings,
    )


@pytest.mark.parametrize("name", ["SIGTERM", "SIGHUP"])
def test_a_request_to_end_saves_the_run(folder, name):
    if not hasattr(signal, name):
        pytest.skip("no such signal on this system")
    number = getattr(signal, name)
    if signal.getsignal(number) is signal.SIG_IGN:
        pytest.skip(f"{name} is ignored here, as under nohup, and so by the command")
    with command("train", "tiny.dl", "epochs=1000000") as process:
        for line in process.stdout:
            if line.startswith("epoch"):
                break
        process.send_signal(number)
        rest = process.stdout.read()
    assert process.returncode == 128 + number
    assert rest.endswith("interrupted; to continue, use `specc train --resume runs/tiny/1`\n")
    run = Path("runs/tiny/1")
    assert json.loads((run / "run.json").read_text())["status"] == "interrupted"
    rows = (run / "metrics.csv").read_text().splitlines()
    assert status_of(["train", "--resume", str(run), f"epochs={len(rows)}"]) == 0


def test_a_second_training_of_a_run_is_refused_and_names_the_first(folder, specc):
    with command("train", "tiny.dl", "epochs=1000000") as process:
        process.stdout.readline()
        status, _, err = specc("train", "--resume", "runs/tiny/1")
        assert status == 1
        assert f"`runs/tiny/1` is being trained by process {process.pid} on " in err
        assert specc("train", "tiny.dl", "epochs=1", "-q")[0] == 0  # a run of its own
        process.kill()
    assert specc("train", "--resume", "runs/tiny/1", "epochs=1000000", "patience=1")[0] == 0
    assert names("runs/tiny") == ["1", "2"] and ".lock" not in names("runs/tiny/1")


def test_a_killed_training_has_saved_within_its_epoch(folder, specc):
    # a step for each example: an epoch takes seconds
    changes = ("batch=1", "epochs=100000", "checkpoint_seconds=0.2")
    kept = Path("runs/tiny/1/last.safetensors")
    with command("train", "tiny.dl", *changes) as process:
        process.stdout.readline()
        first = kept.read_bytes()
        while kept.read_bytes() == first:
            assert process.poll() is None
            time.sleep(0.01)
        process.kill()
    with safe_open(kept, framework="np") as file:
        done = json.loads(file.metadata()["progress"])
    assert done["epoch"] or done["step"]
    status, out, _ = specc("train", "--resume", "runs/tiny/1", f"epochs={done['epoch'] + 1}")
    assert status == 0 and f"epoch {done['epoch'] + 1}/" in out


@pytest.mark.long
def test_kills_at_any_time_resume_to_the_same_bytes(folder, specc):
    """30 kills, from the first moments of a run to its last epochs."""
    changes = ("batch=2", "epochs=150", "checkpoint_seconds=0.05")
    assert specc("train", "tiny.dl", *changes, "-q", "--run", "whole")[0] == 0
    run, random, kills = Path("runs/tiny/1"), np.random.Generator(np.random.PCG64(0)), 0
    states = set()
    while kills < 30:
        if (run / "run.json").exists():
            process = command("train", "--resume", str(run), stderr=subprocess.PIPE)
        else:
            shutil.rmtree("runs", ignore_errors=True)
            process = command("train", "tiny.dl", *changes, stderr=subprocess.PIPE)
        try:
            if random.random() < 0.7:
                process.stdout.readline()  # it trains
                process.wait(random.uniform(0.0, 0.5))
            else:
                process.wait(random.uniform(0.5, 5.0))
            process.communicate()
            assert process.returncode == 0
            shutil.rmtree("runs")  # it has come to its end: from the beginning
        except subprocess.TimeoutExpired:
            process.kill()
            process.communicate()
            kills += 1
            if (run / "run.json").exists():
                with safe_open(run / "last.safetensors", framework="np") as file:
                    states.add(file.metadata()["progress"])
    if not (run / "run.json").exists():
        assert specc("train", "tiny.dl", *changes, "-q")[0] == 0
    assert specc("train", "--resume", run)[0] == 0
    for name in ("last", "best"):
        kept, whole = (
            load_file(folder / f"{name}.safetensors") for folder in (run, Path("whole/tiny/1"))
        )
        assert all(np.array_equal(kept[each], whole[each]) for each in whole)
    lines = [
        [cell for at, cell in enumerate(line.split(",")) if at != 2]
        for line in (run / "metrics.csv").read_text().splitlines()
    ]
    assert lines == [
        [cell for at, cell in enumerate(line.split(",")) if at != 2]
        for line in Path("whole/tiny/1/metrics.csv").read_text().splitlines()
    ]
    print(f"{kills} kills, {len(states)} different states resumed")


def test_a_reader_that_leaves_ends_a_training_which_is_saved(folder):
    with command("train", "tiny.dl", "epochs=1000000", stderr=subprocess.PIPE) as process:
        process.stdout.readline()
        process.stdout.close()
        err = process.stderr.read()
    assert (process.returncode, err) == (141, "")
    assert json.loads(Path("runs/tiny/1/run.json").read_text())["status"] == "interrupted"
    assert status_of(["eval", "runs/tiny/1"]) == 0


def test_a_command_whose_reader_has_gone_ends_quietly(folder):
    read, write = os.pipe()
    os.close(read)
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "specc", "show", "tiny.dl"],
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


def test_an_interruption_at_the_end_of_an_epoch_ends_it(folder, specc, monkeypatch):
    from specc.cli.train import Interruption

    monkeypatch.setattr(Interruption, "is_asked", lambda self: True)
    status, out, _ = specc("train", "tiny.dl", "epochs=1", "batch=1000000")
    assert status == 0 and "epoch 1/1" in out
    status, out, _ = specc("train", "tiny.dl", "batch=1000000")
    assert status == 130 and "epoch 1/2" in out
    status, out, _ = specc("train", "--resume", "runs/tiny/2")
    assert status == 0 and "epoch 1/2" not in out and "epoch 2/2" in out


def test_epochs_of_milliseconds_wait_for_their_checkpoint(folder, specc, monkeypatch):
    written = []
    plain = Checkpoints.flush

    def flush(self):
        written.extend(path.name for path in self._waiting)
        plain(self)

    monkeypatch.setattr(Checkpoints, "flush", flush)
    monkeypatch.setattr(Checkpoints, "SECONDS", 1e6)
    monkeypatch.setattr("specc.runtime.checkpoint.time.monotonic", lambda: 1e7)
    assert specc("train", "tiny.dl", "epochs=30")[0] == 0
    assert written.count("last.safetensors") == 2  # the first epoch, and the end
    status, out, _ = specc("eval", "runs/tiny/1", "--json")
    assert status == 0 and json.loads(out)["accuracy"] > 0.9


# Words


def test_more_threads_than_processors_are_taken_with_a_warning(folder, specc):
    status, out, err = specc("train", "tiny.dl", "epochs=1", "--threads", "1000")
    assert status == 0 and "1000 threads share " in err
    assert ", runs on 1 thread\n" in out  # steps of so little work are not divided
    assert specc("train", "tiny.dl", "epochs=1", "--threads", "1")[2] == ""


@pytest.mark.parametrize(("model", "reason"), [
    ("model m { input x: float[3] output x }",
     "`m` cannot be trained: the file has no `train` block"),
    ("model m { input image: float[64] loss sum(image) }\n"
     "train { data digits() optimizer sgd(lr = 0.1) }", "the model has no parameter to train"),
])  # fmt: skip
def test_a_model_that_cannot_be_trained_says_why(folder, specc, model, reason):
    Path("m.dl").write_text(model)
    status, _, err = specc("train", "m.dl")
    assert status == 1 and reason in err
    assert not Path("runs").exists()


@pytest.mark.parametrize(("name", "save", "message"), [
    ("a.npy", lambda path: np.save(path, np.array([None]), allow_pickle=True),
     "it is an array of Python objects"),
    ("a.npy", lambda path: path.write_bytes(b""), "`: it is empty"),
    ("a.npz", lambda path: path.write_bytes(b""), "`: it is empty"),
    ("a.npz", lambda path: path.write_bytes(b"PK"), "it is cut short or damaged"),
    ("a.npy", lambda path: path.write_bytes(b"\x93NUMPY"), "it is cut short or damaged"),
    ("a.npy", lambda path: path.write_bytes(b"text"), "it is neither a NumPy array (.npy) nor"),
    ("a.npz", lambda path: np.savez(path, images=np.zeros((2, 64))),
     "has no array `image`, which `image: float[64]` needs"),
    ("a.gz", lambda path: path.write_bytes(b""), "is not an IDX file: it is empty"),
])  # fmt: skip
def test_inputs_that_cannot_be_read_are_described(run, specc, name, save, message):
    save(Path(name))
    status, _, err = specc("predict", run, name, "-o", "out.npz")
    assert status == 1 and message in err
    assert not Path("out.npz").exists()


def test_an_input_of_an_unknown_kind_is_refused(run, specc):
    Path("a.png").write_bytes(b"\x89PNG")
    status, _, err = specc("predict", run, "a.png", "-o", "out.npz")
    assert status == 2 and "`a.png` is not .npz, .npy, .csv or IDX" in err


def test_paths_may_have_spaces_and_letters_of_any_language(folder, specc):
    place = Path("mein Modell, 模型")
    place.mkdir()
    shutil.copy("tiny.dl", place / "ü 1.dl")
    status, out, _ = specc("train", place / "ü 1.dl", "epochs=1", "--run", place / "läufe 1")
    assert status == 0
    run = out.splitlines()[-1]
    np.save(place / "β.npy", np.zeros((2, 64)))
    assert specc("predict", run, place / "β.npy", "-o", place / "ö ö.csv")[0] == 0
    assert specc("eval", run)[0] == 0
    assert specc("build", place / "ü 1.dl", "-o", place / "ü.py")[0] == 0
    assert specc("train", "--resume", run, "epochs=2")[0] == 0


def test_settings_keep_their_names_in_the_built_code(folder, specc):
    changed = "lr = 0.1 * 0.5 ^ epoch, mu = 0.9 * progress"
    Path("tiny.dl").write_text(MODEL.replace("lr = 0.1", changed))
    text = specc("build", "tiny.dl")[1]
    assert "m.lr" in text and "m.mu" in text and "setting0" not in text
    assert "#   output lr = " in text and "#   output mu = " in text
