"""`python -m benchmarks.before ../old`: this checkout against another one, interleaved, in one run.

Both run the same models from the same weights, in processes of their own that take turns. The table
has the other checkout's time divided by this one's: below 1 this one is slower.
"""

from __future__ import annotations

import statistics
from contextlib import ExitStack
from pathlib import Path

import click

from benchmarks.__main__ import BATCHES, prepared
from benchmarks.cases import CASES, Case
from benchmarks.drive import ROOT, Figures, Peer, interleave


@click.command()
@click.argument("checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", default=",".join(CASES), help="By default all of them.")
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=11, show_default=True, help="Turns of each checkout.")
def main(checkout: Path, models: str, threads: int, rounds: int) -> None:
    """Time this checkout of specc against the one in the folder CHECKOUT."""
    kinds = [("training", 0), *(("inference", batch) for batch in BATCHES)]
    titles = ["training", *(f"predict {batch}" for batch in BATCHES)]
    click.echo(f"{'':<12}" + "".join(f"{title:>24}" for title in titles))
    ratios: list[list[float]] = [[] for _ in kinds]
    for name in models.split(","):
        cells = []
        for column, (kind, batch) in enumerate(kinds):
            old, new = _pair(CASES[name], kind, batch, threads, rounds, checkout.resolve())
            ratio = old.seconds / new.seconds
            ratios[column].append(ratio)
            mark = "" if old.is_quiet and new.is_quiet else "~"
            cells.append(f"{_time(old)} -> {_time(new)} {mark}{ratio:.3f}")
        click.echo(f"{name:<12}" + "".join(f"{cell:>24}" for cell in cells))
    means = [f"{statistics.geometric_mean(each):.3f}" for each in ratios]
    click.echo(f"{'mean':<12}" + "".join(f"{mean:>24}" for mean in means))


def _pair(
    case: Case, kind: str, batch: int, threads: int, rounds: int, checkout: Path
) -> tuple[Figures, Figures]:
    """The figures of the other checkout, and of this one."""
    with prepared(case) as folder, ExitStack() as stack:
        peers = {}
        for root in (checkout, ROOT):
            caches = folder / f"caches-{root.name}"
            peer = Peer("specc", case.name, folder, threads, caches, root)
            peers[str(root)] = stack.enter_context(peer)
            peer.prepare(kind, batch)
        stretches = interleave(
            {root: lambda *size, peer=peer: peer.run(kind, *size, batch)
             for root, peer in peers.items()}, rounds)  # fmt: skip
        return Figures.of(stretches[str(checkout)]), Figures.of(stretches[str(ROOT)])


def _time(figures: Figures) -> str:
    microseconds = 1e6 * figures.seconds
    return f"{microseconds:.1f}us" if microseconds < 1000 else f"{microseconds / 1000:.2f}ms"


if __name__ == "__main__":
    main()
