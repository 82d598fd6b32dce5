"""`mpiexec specc train`: the first process shows and writes, and all end together."""

from __future__ import annotations

import importlib.util
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from safetensors.numpy import load_file

MODEL = """
model small {
  input  image: float[1, 8, 8]
  target label: class(10)
  let scores = image -> conv(16, kernel=3) -> batchnorm -> relu -> flatten
    -> dropout(0.3) -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
}
train { data digits() optimizer adam(lr = 0.002) batch = 256 epochs = 2 }
"""
# Open MPI wants to be asked twice before it runs as root, and for more ranks than processors
os.environ |= {
    "OMPI_ALLOW_RUN_AS_ROOT": "1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
    "OMPI_MCA_rmaps_base_oversubscribe": "1",
}
LAUNCHER = shutil.which("mpiexec") or shutil.which(str(Path(sys.executable).with_name("mpiexec")))


def needs_mpi() -> str:
    """The launcher; the test is skipped without one."""
    if LAUNCHER is None or importlib.util.find_spec("mpi4py") is None:
        pytest.skip("mpi4py or mpiexec is not installed")
    return LAUNCHER


def is_hydra() -> bool:
    """Whether the launcher is that of MPICH."""
    asked = subprocess.run([needs_mpi(), "--version"], capture_output=True, text=True, timeout=60)
    return "HYDRA" in asked.stdout


def command(ranks: int, *arguments: str | Path) -> list[str]:
    own = [sys.executable, "-P", "-m", "specc", "train", *map(str, arguments)]
    return own if ranks == 1 else [needs_mpi(), "-n", str(ranks), *own]


def run(ranks: int, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command(ranks, *arguments),
        capture_output=True,
        text=True,
        timeout=120,
        stdin=subprocess.DEVNULL,
    )


def tensors(folder: Path) -> dict[str, bytes]:
    found = load_file(folder / "small" / "1" / "last.safetensors")
    return {name: array.tobytes() for name, array in found.items()}


@pytest.fixture
def model(tmp_path):
    needs_mpi()
    path = tmp_path / "small.dl"
    path.write_text(MODEL)
    return path


@pytest.mark.parametrize(
    "optimizer",
    [
        "adafactor",
        pytest.param("adam(lr = 0.002)", marks=pytest.mark.long),
        pytest.param("sam(lr = 0.02)", marks=pytest.mark.long),
    ],
)
def test_two_processes_train_one_run(model, tmp_path, specc, optimizer):
    model.write_text(MODEL.replace("adam(lr = 0.002)", optimizer))
    status, told, _ = specc("train", model, "--run", tmp_path / "alone", "--threads", "2")
    both = run(2, model, "--run", tmp_path / "both", "--threads", "1")
    assert (status, both.returncode) == (0, 0), both.stderr
    said = both.stdout.replace("both", "alone")  # a launcher may give the first rank a terminal
    assert all(line in said for line in told.splitlines()[-2:])
    assert tensors(tmp_path / "both") == tensors(tmp_path / "alone")
    assert os.listdir(tmp_path / "both" / "small") == ["1"]
    longer = run(2, "--resume", tmp_path / "alone" / "small" / "1", "epochs=3", "-q")
    assert longer.returncode == 0, longer.stderr
    specc("train", "--resume", tmp_path / "both" / "small" / "1", "epochs=3", "-q")
    assert tensors(tmp_path / "both") == tensors(tmp_path / "alone")


def test_a_launcher_of_another_mpi_is_an_error(model, tmp_path, monkeypatch):
    """Each process would train a run of its own."""
    monkeypatch.setenv("OMPI_COMM_WORLD_SIZE" if is_hydra() else "PMI_SIZE", "2")
    found = run(1, model, "--run", tmp_path / "runs")
    assert found.returncode != 0 and "the launcher belongs to another MPI" in found.stderr
    assert not (tmp_path / "runs").exists()


def test_a_mistake_in_the_file_is_told_once(model):
    found = run(2, model, "lr=fast")
    assert found.returncode != 0
    assert found.stderr.count("error[") == 1
    assert "rank" not in found.stderr


@pytest.mark.long
def test_a_loss_that_is_not_finite_is_told_once(model, tmp_path):
    found = run(2, model, "optimizer=sgd", "lr=1e30", "--run", tmp_path / "runs", "-q")
    assert found.returncode != 0
    assert found.stderr.count("error[diverged]") == 1, found.stderr


FAILS = """
import sys
from specc.cli.main import main
from specc.runtime import train
from specc.runtime.errors import run_error

def stretch(loop):
    raise run_error("cannot read `images.bin`: input/output error", "images.bin")

train._Loop.stretch = stretch
main(["train", *sys.argv[1:]])
"""


def test_a_rank_that_fails_ends_all_and_says_which_it_is(model, tmp_path):
    arguments = [str(model), "epochs=100000", "-q", "--run", str(tmp_path / "runs")]
    other = [":", "-n", "1", sys.executable, "-P", "-c", FAILS, *arguments]
    first = [needs_mpi(), "-n", "1", *command(1, *arguments)]
    found = subprocess.run(
        [*first, *other], capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL
    )
    assert found.returncode != 0
    assert "rank 1 of 2" in found.stderr
    assert found.stderr.count("cannot read `images.bin`") == 1
    assert (tmp_path / "runs" / "small" / "1" / "run.json").is_file()


@pytest.mark.parametrize("killed", [0, 1])
def test_a_rank_that_is_killed_is_named_by_another_one(killed, model, tmp_path):
    launched = command(
        2, model, "epochs=100000", "--run", tmp_path / "runs", "--threads", "1", "-q"
    )
    if is_hydra():  # it would end the other rank at once
        launched.insert(1, "-disable-auto-cleanup")
    with subprocess.Popen(
        launched,
        stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True,
    ) as launched:  # fmt: skip
        metrics = tmp_path / "runs" / "small" / "1" / "metrics.csv"
        while not metrics.is_file() or len(metrics.read_text().splitlines()) < 3:
            time.sleep(0.01)
            assert launched.poll() is None
        process = _process_of(killed, str(tmp_path))
        os.kill(process, signal.SIGKILL)
        _, errors = launched.communicate(timeout=10)
    assert launched.returncode != 0
    assert errors.count("error[") == 1, errors
    found = re.search(rf"rank {killed} of 2 \(.*, process {process}\) .* after step (\d+)", errors)
    assert found is not None and int(found[1]) > 0, errors
    assert f"specc train --resume {tmp_path / 'runs' / 'small' / '1'}" in errors


COUNTS = """
import os, sys
from pathlib import Path
from specc.cli.main import main

name = "OMPI_COMM_WORLD_RANK" if "OMPI_COMM_WORLD_RANK" in os.environ else "PMI_RANK"
opened = 0

def count(event, arguments):
    global opened
    opened += event == "open" and str(arguments[0]).endswith(("table.csv", "rows.csv"))

sys.addaudithook(count)
try:
    main(sys.argv[2:])
finally:
    Path(sys.argv[1], f"rank{os.environ.get(name, 0)}").write_text(str(opened))
"""
TABLE = """
model small {
  input  x: float[3]
  target kind: class(2)
  let scores = x -> dense(8) -> tanh -> dense(2)
  output scores
  loss   cross_entropy(scores, kind)
}
train {
  data csv("table.csv")
  column x = concat(standardize(a), standardize(fill(b; mean)), onehot(c))
  validate split = 0.8 optimizer adam(lr = 0.01) batch = 64 epochs = 2
}
"""


@pytest.mark.parametrize("more", [[], pytest.param(["memory=0.01"], marks=pytest.mark.long)])
def test_one_process_of_a_machine_reads_the_data(more, tmp_path, monkeypatch):
    """Of two ranks the second one never opens the table: in training, eval, predict and resume."""
    needs_mpi()
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    (tmp_path / "small.dl").write_text(TABLE)
    lines = [
        f"{i % 7},{'' if i % 9 == 0 else i % 5},u,{'yes' if i % 3 else 'no'}" for i in range(500)
    ]
    (tmp_path / "table.csv").write_text("\n".join(["a,b,c,kind", *lines]) + "\n")
    (tmp_path / "rows.csv").write_text("\n".join(["a,b,c", *(x.rpartition(",")[0] for x in lines)]))
    found = {}
    for ranks in (1, 2):
        folder = tmp_path / f"of{ranks}"
        run = folder / "small" / "1"
        own = [sys.executable, "-P", "-c", COUNTS, str(tmp_path)]
        own = own if ranks == 1 else [needs_mpi(), "-n", "2", *own]
        out = str(tmp_path / f"{ranks}.csv")
        for arguments in (
            ["train", str(tmp_path / "small.dl"), *more, "--run", str(folder), "-q"],
            ["eval", str(run)],
            ["predict", str(run), str(tmp_path / "rows.csv"), "-o", out, "--keep", "c"],
            ["train", "--resume", str(run), "epochs=3", "-q"],
        ):
            done = subprocess.run(
                [*own, *arguments, "--threads", "1"],
                capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
            )  # fmt: skip
            assert done.returncode == 0, done.stderr
            counts = [int((tmp_path / f"rank{k}").read_text()) for k in range(ranks)]
            if ranks == 2:
                assert counts[1] == 0 and (more or counts[0] > 0), (arguments, counts)
            if arguments[0] == "eval":
                found[ranks, "eval"] = done.stdout.replace("of2", "of1")
        found[ranks, "predict"] = Path(out).read_bytes()
        found[ranks, "weights"] = tensors(folder)
    for what in ("eval", "predict", "weights"):
        assert found[1, what] == found[2, what]


SCRIPT = """
import os, sys, specc
run = specc.train(sys.argv[1], runs=sys.argv[2], quiet=True, threads=1, ranks=int(sys.argv[3]))
total = sum(float(abs(array).sum()) for array in run.net.params.values())
images = [[[[i % 7 / 7] * 8] * 8] for i in range(40)]
for _ in range(3):  # by itself: the weights of one process are none of the other's any more
    total += run.net.step(image=images, label=[i % 10 for i in range(40)])
line = f"{run.outcome} {run.net.epochs_done} {total} {run.metrics['epoch']}" + chr(10)
os.write(1, line.encode())  # in one piece, as the other rank writes to the same pipe
"""


def test_python_trains_with_the_ranks_that_it_asks_for(model, tmp_path):
    (tmp_path / "script.py").write_text(SCRIPT)
    own = [sys.executable, "-P", str(tmp_path / "script.py"), str(model)]

    def trained(launched: list[str], folder: str, ranks: int) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*launched, *own, str(tmp_path / folder), str(ranks)],
            capture_output=True, text=True, timeout=120, stdin=subprocess.DEVNULL,
        )  # fmt: skip

    alone = trained([], "alone", 1)
    both = trained([needs_mpi(), "-n", "2"], "both", 2)
    assert both.returncode == 0, both.stderr
    assert both.stdout.split("\n") == [alone.stdout.strip()] * 2 + [""]
    assert tensors(tmp_path / "both") == tensors(tmp_path / "alone")
    other = trained([needs_mpi(), "-n", "2"], "other", 3)
    assert other.returncode != 0 and "a launcher has started 2" in other.stderr


@pytest.mark.long
@pytest.mark.parametrize("ranks", [2, 3])
def test_a_run_whose_rank_was_killed_resumes_with_any_number_of_them(ranks, model, tmp_path):
    run(1, model, "epochs=12", "--run", tmp_path / "alone", "-q")
    for attempt in range(5):
        folder = tmp_path / f"killed{attempt}"
        with subprocess.Popen(
            command(ranks, model, "epochs=12", "--run", folder, "-q"),
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        ) as launched:  # fmt: skip
            metrics = folder / "small" / "1" / "metrics.csv"
            while not metrics.is_file() or len(metrics.read_text().splitlines()) < 2 + attempt:
                time.sleep(0.01)
                assert launched.poll() is None
            os.kill(_last_rank(launched.pid), signal.SIGKILL)
            launched.wait(timeout=10)
        found = run(1 + attempt % 3, "--resume", folder / "small" / "1", "-q")
        assert found.returncode == 0, found.stderr
        assert tensors(folder) == tensors(tmp_path / "alone")


def _process_of(rank: int, argument: str) -> int:
    """The process of a rank, one of whose arguments begins with `argument`."""
    own = {f"{name}={rank}" for name in ("PMI_RANK", "OMPI_COMM_WORLD_RANK")}
    for folder in Path("/proc").glob("[0-9]*"):
        try:
            words = (folder / "cmdline").read_text().split("\0")
            given = (folder / "environ").read_text().split("\0")
        except OSError:
            continue
        if own & {*given} and any(each.startswith(argument) for each in words):
            return int(folder.name)
    raise AssertionError(f"rank {rank} is not running")


def _last_rank(launcher: int) -> int:
    """The process of a rank that a launcher has started, by way of another process."""
    started = [launcher]
    while b"specc" not in _words(started[-1]):
        text = Path(f"/proc/{started[-1]}/task/{started[-1]}/children").read_text()
        started.append(int(text.split()[-1]))
    return started[-1]


def _words(process: int) -> list[bytes]:
    """The command line of a process, unless it is a launcher."""
    words = Path(f"/proc/{process}/cmdline").read_bytes().split(b"\0")
    return [] if any(each in words[0] for each in (b"mpiexec", b"hydra")) else words
