"""`python -m benchmarks.start ../old`: how fast specc starts, against another checkout.

Whole processes, imports included: the first training step of some models with an empty cache (cold)
and with a full one (warm), and `specc check`. Both checkouts take turns, so that a busy machine is
busy for both. The table has the least seconds of all rounds, other checkout first, and their ratio;
and the processor seconds of the process and its workers, which other programs change less.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
FIRST_STEP = """
import sys
import numpy as np
import specc
from specc.recipe import Column

net = specc.compile(specc.load(sys.argv[1]))
rng, data = np.random.default_rng(0), {}
for port in net.ports:
    shape = (net.batch, *port.shape)
    values = rng.integers(0, 2, shape) if port.kind == "class" else rng.random(shape, np.float32)
    data[port.name] = Column(values)
net.train(data, np.arange(net.batch), 0, 0, 0)
"""
CHECK = "import sys; from specc.cli.main import main; main(['check', sys.argv[1]])"
Took = tuple[float, float]  # seconds on the wall, and of processors


@click.command()
@click.argument(
    "checkout", required=False, type=click.Path(exists=True, file_okay=False, path_type=Path)
)
@click.option("--models", default="lenet,resnet,lstm2", show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(checkout: Path | None, models: str, rounds: int) -> None:
    """Time starts of this checkout, and of the one in the folder CHECKOUT."""
    roots = [*([checkout.resolve()] if checkout else []), ROOT]
    kinds = [("check digits", "models/digits.dl", CHECK)]
    kinds += [(each, f"benchmarks/models/{each}.dl", FIRST_STEP) for each in models.split(",")]
    for title, model, program in kinds:
        found: dict[str, list[list[Took]]] = {}
        for _ in range(rounds):
            for number, root in enumerate(roots):
                for state, took in started(root, model, program):
                    found.setdefault(state, [[] for _ in roots])[number].append(took)
        for state, times in found.items():
            cells = [tuple(min(each[n] for each in own) for n in (0, 1)) for own in times]
            text = " -> ".join(f"{wall:.2f} s ({own:.2f} s)" for wall, own in cells)
            ratio = f"  {cells[0][0] / cells[-1][0]:.2f}" if len(cells) > 1 else ""
            click.echo(f"{title:<12} {state:<5} {text}{ratio}")


def started(root: Path, model: str, program: str) -> Iterator[tuple[str, Took]]:
    """What a cold and a warm start take."""
    with tempfile.TemporaryDirectory() as cache:
        # Python's own compiled files are there, as they are where specc is installed
        run(root, model, program, f"{cache}/other", cache)
        yield "cold", run(root, model, program, f"{cache}/own", cache)
        yield "warm", run(root, model, program, f"{cache}/own", cache)


def run(root: Path, model: str, program: str, cache: str, folder: str) -> Took:
    """The seconds of one process with a cache folder."""
    return timed(root, ["-W", "ignore", "-c", program, str(ROOT / model)], cache, folder)[0]


def timed(root: Path, arguments: list[str], cache: str, folder: str) -> tuple[Took, str]:
    """The seconds of one process of Python with a cache folder, and what it prints."""
    environment = {
        **os.environ,
        "PYTHONPATH": str(root),
        "SPECC_CACHE_DIR": cache,
        "PYTHONPYCACHEPREFIX": str(Path(tempfile.gettempdir()) / "specc-start"),
        "PYTHONDONTWRITEBYTECODE": "",
    }
    before, start = sum(os.times()[2:4]), time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        env=environment,
        cwd=folder,
        check=True,
        stdout=subprocess.PIPE,
        text=True,
    )
    return (time.perf_counter() - start, sum(os.times()[2:4]) - before), done.stdout


if __name__ == "__main__":
    main()
