"""`python -m benchmarks.bfloat16`: training steps with `precision = bfloat16`, peers in turns.

The table has a step's time in float32 and in bfloat16, and in PyTorch with bfloat16 autocast, and
how many times as long as specc's bfloat16 the others take.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack

import click

from benchmarks.__main__ import prepared
from benchmarks.cases import CASES
from benchmarks.drive import Figures, Peer, interleave

PEERS = {"specc_bfloat16": "bfloat16", "specc": "float32", "pytorch_bfloat16": "PyTorch bfloat16"}


@click.command()
@click.option("--models", default=",".join(CASES), help="By default all of them.")
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=11, show_default=True, help="Turns of each peer.")
def main(models: str, threads: int, rounds: int) -> None:
    """Time training in bfloat16 against float32, and against PyTorch's autocast."""
    titles = "".join(f"{title:>22}" for title in PEERS.values())
    click.echo(f"{'':<12}{titles}")
    ratios: dict[str, list[float]] = {name: [] for name in PEERS}
    for model in models.split(","):
        found = _figures(model, threads, rounds)
        own = found["specc_bfloat16"].seconds
        cells = []
        for name, each in found.items():
            ratios[name].append(each.seconds / own)
            mark = "" if each.is_quiet else "~"
            cells.append(f"{each.seconds * 1e6:,.0f} us {mark}{each.seconds / own:.2f}")
        click.echo(f"{model:<12}" + "".join(f"{cell:>22}" for cell in cells))
    means = [f"{statistics.geometric_mean(each):.2f}" for each in ratios.values()]
    click.echo(f"{'mean':<12}" + "".join(f"{mean:>22}" for mean in means))


def _figures(model: str, threads: int, rounds: int) -> dict[str, Figures]:
    """The figures of each peer."""
    with prepared(CASES[model]) as folder, ExitStack() as stack:
        runs = {}
        for name in PEERS:
            peer = stack.enter_context(Peer(name, model, folder, threads, folder / "caches"))
            peer.prepare("training")
            runs[name] = lambda *size, peer=peer: peer.run("training", *size)
        found = interleave(runs, rounds)
        return {name: Figures.of(each) for name, each in found.items()}


if __name__ == "__main__":
    main()
