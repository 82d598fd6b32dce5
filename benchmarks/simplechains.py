"""`python -m benchmarks.simplechains --data FOLDER`: ten epochs of MNIST, as a whole process.

LeNet without padding, as the Julia library SimpleChains has it (Elrod, Korsbo and Rackauckas, Doing
small network scientific machine learning in Julia 5x faster than PyTorch, 2022): 5.32 s on 4 cores
and 3.08 s on 32 are published for it. Here the whole process counts, imports and compilation
included, with an empty cache folder (cold) and with a full one (warm). FOLDER has MNIST's files.
"""

from __future__ import annotations

import statistics
import tempfile
from pathlib import Path

import click

from benchmarks.start import ROOT, Took, timed

MODEL = ROOT / "models" / "lenet_unpadded.dl"
COMMAND = "import sys; from specc.cli.main import main; sys.exit(main())"
FOLDER = click.Path(exists=True, file_okay=False, path_type=Path)


@click.command()
@click.option("--data", type=FOLDER, required=True)
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=3, show_default=True)
def main(data: Path, threads: int, rounds: int) -> None:
    """Time the training of LeNet on MNIST."""
    found: dict[str, list[Took]] = {"cold": [], "warm": []}
    for _ in range(rounds):
        with tempfile.TemporaryDirectory() as folder:
            for state, times in found.items():
                took, text = trained(data, threads, folder)
                times.append(took)
                click.echo(f"{state}  {took[0]:.2f} s, {took[1]:.2f} s of processors  {text}")
    for state, times in found.items():
        wall, own = map(statistics.median, zip(*times, strict=True))
        click.echo(f"{state}: {wall:.2f} s in the median, {own:.2f} s of processors")


def trained(data: Path, threads: int, folder: str) -> tuple[Took, str]:
    """The seconds of a training, and the last line about the accuracy that it prints."""
    command = ["train", str(MODEL), "--data", str(data.resolve()), "--threads", str(threads)]
    took, text = timed(
        ROOT, ["-c", COMMAND, *command, "--run", f"{folder}/runs"], f"{folder}/cache", folder
    )
    lines = [line.strip() for line in text.splitlines() if "accuracy" in line]
    return took, lines[-1] if lines else ""


if __name__ == "__main__":
    main()
