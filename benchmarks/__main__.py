"""`python -m benchmarks`: every model against every peer, and a line for every goal.

    python -m benchmarks --models lenet,vgg --peers specc,pytorch --threads 2,1 --json out.json

Also `python -m benchmarks.sweep` (growth), `python -m benchmarks.words` (words of one's own) and
`python -m benchmarks.cells` (cells of one's own).
"""

from __future__ import annotations

import compileall
import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from contextlib import ExitStack
from datetime import datetime
from importlib import metadata
from pathlib import Path

import click
import numpy as np

from benchmarks import report
from benchmarks.cases import CASES, Case
from benchmarks.drive import ROOT, Figures, Peer, PeerFailed, interleave

TRAINING = ("specc", "pytorch", "inductor", "xla")
EXTRA = ("xla_scan",)
INFERENCE = ("specc", "pytorch", "inductor", "xla", "onnx")
BATCHES = (1, 256)
AGREEMENT = 1e-3


@click.command()
@click.option("--models", help=f"By default all: {','.join(CASES)}.")
@click.option("--peers", help=f"By default {','.join(dict.fromkeys(TRAINING + INFERENCE))};"
              f" there is also {','.join(EXTRA)}.")  # fmt: skip
@click.option("--threads", default="2", show_default=True, help="One or more numbers: 2,1")
@click.option("--rounds", default=11, show_default=True, help="Turns of each peer.")
@click.option("--what", default="training,inference", show_default=True)
@click.option(
    "--warm/--no-warm",
    default=True,
    show_default=True,
    help="Time first steps with warm caches too (for the first number of threads).",
)
@click.option(
    "--measure/--no-measure",
    "measures",
    default=True,
    show_default=True,
    help="Let specc time its tiles after the first steps, as a long training does.",
)
@click.option(
    "--json", "path", type=click.Path(dir_okay=False, path_type=Path), help="Store all figures."
)
def main(
    models: str | None,
    peers: str | None,
    threads: str,
    rounds: int,
    what: str,
    warm: bool,
    measures: bool,
    path: Path | None,
) -> None:
    """Time specc against its peers; print the tables and the goals."""
    from specc.backend.measure.limits import measure

    compileall.compile_dir(ROOT / "specc", quiet=1)  # as an installed package is
    chosen = [CASES[name] for name in (models.split(",") if models else CASES)]
    wanted = peers.split(",") if peers else None
    counts = [int(each) for each in threads.split(",")]
    found = {"date": datetime.now().isoformat(timespec="seconds"), "machine": _machine(),
             "versions": _versions(), "rounds": rounds, "measured": measures, "limits": {},
             "gaps": {}, "missing": {}, "results": []}  # fmt: skip
    if shutil.which("c++") is None and shutil.which("g++") is None:
        found["missing"]["inductor"] = "torch.compile needs a C++ compiler, and there is none"
    for case in list(chosen):
        if reason := case.gap():
            found["gaps"][case.name] = reason
            click.echo(f"{case.name}: left out, `specc check` says: {reason}")
            chosen.remove(case)
    for count in counts:
        limits = measure("float32", count)
        found["limits"][str(count)] = {
            "gflops": limits.flops / 1e9,
            "memory_gbytes": limits.rates[-1] * count / 1e9,
        }
    for case in chosen:
        for count in counts:
            result = {
                "model": case.name,
                "threads": count,
                "batch": case.batch,
                "training_flops": case.training_flops,
                "forward_flops": case.forward_flops,
            }
            with prepared(case) as folder:
                for kind, names in (("training", TRAINING + EXTRA), ("inference", INFERENCE)):
                    default = TRAINING if kind == "training" else INFERENCE
                    names = [
                        each
                        for each in (names if wanted else default)
                        if (not wanted or each in wanted) and each not in found["missing"]
                    ]
                    if kind not in what.split(","):
                        continue
                    start = time.time()
                    run = training if kind == "training" else _inference
                    is_warm = warm and count == counts[0]
                    result[kind] = run(case, names, count, rounds, is_warm, measures, folder)
                    click.echo(
                        report.progress(case, count, kind, result[kind], time.time() - start)
                    )
            found["results"].append(result)
            if path is not None:
                path.write_text(json.dumps(found, indent=1))
    click.echo(report.tables(found))


class prepared:
    """A folder with the data and weights that all peers start from, and empty caches."""

    def __init__(self, case: Case):
        self._case, self._folder = case, tempfile.TemporaryDirectory(prefix="benchmark-")

    def __enter__(self) -> Path:
        import specc

        folder = Path(self._folder.__enter__())
        net = specc.compile(specc.load(self._case.path), threads=1)
        np.savez(folder / "weights.npz", **net.params)
        np.savez(folder / "data.npz", **self._case.data())
        return folder

    def __exit__(self, *exception) -> None:
        self._folder.__exit__(*exception)


def training(
    case: Case,
    names: list[str],
    threads: int,
    rounds: int,
    warm: bool,
    measures: bool,
    folder: Path,
) -> dict:
    """Every peer's first steps cold and warm, then rounds of them all."""
    found: dict[str, dict] = {name: {} for name in names}
    with ExitStack() as stack:
        running: dict[str, Peer] = {}
        for name in names:
            try:
                for state in ("cold", "warm") if warm else ("cold",):
                    peer = Peer(name, case.name, folder, threads, folder / f"caches-{name}")
                    stack.enter_context(peer)
                    found[name]["losses"] = peer.prepare("training")
                    found[name][f"{state}_seconds"] = peer.seconds_to_first
                    if warm and state == "cold":
                        peer.__exit__()
                if measures and name == "specc":
                    peer.measure("training")
                    peer.__exit__()
                    peer = Peer(name, case.name, folder, threads, folder / f"caches-{name}")
                    stack.enter_context(peer)
                    peer.prepare("training")
            except PeerFailed as failure:
                found[name]["failed"] = str(failure)
                continue
            running[name] = peer
        for name in _disagreeing(found, "losses"):
            running.pop(name, None)
        stretches = interleave(
            {name: lambda *size, peer=peer: peer.run("training", *size)
             for name, peer in running.items()}, rounds)  # fmt: skip
        for name, peer in running.items():
            found[name].update(_figures(stretches, name), peak_bytes=peer.memory())
    return found


def _inference(
    case: Case,
    names: list[str],
    threads: int,
    rounds: int,
    warm: bool,
    measures: bool,
    folder: Path,
) -> dict:
    """Every peer's forward pass for each of the batch sizes."""
    found: dict[str, dict] = {}
    with ExitStack() as stack:
        running: dict[str, Peer] = {}
        for name in names:
            caches = folder / f"caches-{name}"
            if measures and name == "specc":
                with Peer(name, case.name, folder, threads, caches) as first:
                    for batch in BATCHES:
                        first.measure("inference", batch)
            peer = stack.enter_context(Peer(name, case.name, folder, threads, caches))
            try:
                answers = {
                    str(batch): {"outputs": peer.prepare("inference", batch)} for batch in BATCHES
                }
            except PeerFailed as failure:
                found[name] = {"failed": str(failure)}
                continue
            found[name], running[name] = answers, peer
        for batch in BATCHES:
            of_batch = {name: found[name][str(batch)] for name in running}
            wrong = _disagreeing(of_batch, "outputs")
            stretches = interleave(
                {name: lambda *size, peer=peer, batch=batch: peer.run("inference", *size, batch)
                 for name, peer in running.items() if name not in wrong}, rounds)  # fmt: skip
            for name in stretches:
                of_batch[name].update(_figures(stretches, name))
    return found


def _figures(stretches, name: str) -> dict:
    figures = Figures.of(stretches[name])
    return {**figures.record(), "seconds": figures.seconds, "is_quiet": figures.is_quiet,
            "all_seconds": [each.seconds for each in stretches[name]],
            "all_disturbed": [round(each.disturbed, 3) for each in stretches[name]]}  # fmt: skip


def _disagreeing(found: dict[str, dict], what: str) -> list[str]:
    """Peers that calculate something else than eager PyTorch (without it, than the first) are no
    peers: they are marked as failed. Raises click.ClickException where that is specc."""
    given = {name: np.array(each[what]) for name, each in found.items() if what in each}
    if not given:
        return []
    first = "pytorch" if "pytorch" in given else next(iter(given))
    wrong = []
    for name, values in given.items():
        error = np.max(np.abs(values - given[first]) / np.maximum(np.abs(given[first]), 1e-2))
        if not error <= AGREEMENT:
            text = f"{what} are {values[:3].tolist()}, those of {first} {given[first][:3].tolist()}"
            if name == "specc":
                raise click.ClickException(f"specc is wrong: its {text}")
            found[name]["failed"] = text
            wrong.append(name)
    return wrong


def _machine() -> dict:
    from specc.backend.machine import this_machine

    name = platform.processor()
    try:
        with open("/proc/cpuinfo") as file:
            name = next(
                line.split(":")[1].strip() for line in file if line.startswith("model name")
            )
    except (OSError, StopIteration):
        pass
    return {"processor": name, "processors": os.cpu_count(), "system": platform.system(),
            "python": platform.python_version(), "load": os.getloadavg(),
            "vector_bits": this_machine().vector_bits}  # fmt: skip


def _versions() -> dict[str, str]:
    found = {}
    for name in ("llvmlite", "numpy", "torch", "jax", "onnxruntime"):
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            found[name] = "none"
    commit = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, text=True,
                            capture_output=True, check=False)  # fmt: skip
    return {"specc": commit.stdout.strip(), **found}


if __name__ == "__main__":
    main()
