"""`python -m benchmarks.cells`: cells that a user defines, against the library's and PyTorch's.

First, a cell of `cells/own.dl` with the formula of one of the library's runs at its speed, within 5
%: training steps of the same model take turns. Then cells that PyTorch has not, where its users
write a Python loop over the steps, of 128 units over 50 steps with batches of 32, and of 32 units
with batches of 16: the same arithmetic, optimizer and number of threads, each peer a process of its
own. The goal is a training step that is ten times as fast.
"""

from __future__ import annotations

import statistics
import time

import click

from benchmarks import report
from benchmarks.__main__ import prepared, training
from benchmarks.cases import CELLS, LOOPED
from benchmarks.words import CLOSE, runner, turns

PAIRS = {"own_rnn": "rnn", "own_gru": "gru", "own_lstm": "lstm"}
TIMES = 10
PEERS = ("specc", "pytorch", "pytorch_before")
MODEL = """
use "own.dl"
seq time = 50
model timed {{
  input  text: class(65)[time]
  target following: class(65)[time]
  let scores = text -> embed(128) -> {word}(128) -> dense(65)
  output scores
  loss   cross_entropy(scores, following)
}}
train {{ optimizer momentum(lr = 0.01) batch = 32 }}
"""


@click.command()
@click.option("--threads", default=2, show_default=True)
@click.option("--rounds", default=11, show_default=True, help="Turns of each peer.")
@click.option("--cells", help=f"By default all: {','.join([*PAIRS, *CELLS])}.")
@click.option("--compiled", is_flag=True, help="Also torch.compile, which unrolls the loop.")
def main(threads: int, rounds: int, cells: str | None, compiled: bool) -> None:
    """Print the microseconds of a training step, and their ratios."""
    chosen = cells.split(",") if cells else [*PAIRS, *CELLS]
    if own := [name for name in chosen if name in PAIRS]:
        _against_library(own, threads)
    if looped := [name for name in chosen if name in CELLS]:
        _against_loops(looped, threads, rounds, (*PEERS, *(["inductor"] if compiled else [])))


def _against_library(chosen: list[str], threads: int) -> None:
    click.echo(f"{'own cell':15} {'library':8} {'us':>9} {'us':>9}  ratio (quartiles)")
    failed = []
    for name in chosen:
        (*own, own_code), (*library, code) = (
            runner(_program(word), threads) for word in (name, PAIRS[name])
        )
        mine, theirs = turns(own, library)
        ratios = [a / b for a, b in zip(mine, theirs, strict=True)]
        low, middle, high = statistics.quantiles(ratios, n=4)
        same = own_code == code  # any difference is one of the memory's, or of other programs
        failed += [] if same or middle <= CLOSE else [name]
        click.echo(
            f"{name:15} {PAIRS[name]:8} {statistics.median(mine) * 1e6:9,.0f}"
            f" {statistics.median(theirs) * 1e6:9,.0f}  {middle:.2f} ({low:.2f}..{high:.2f})"
            + ("  the same machine code" if same else "")
        )
    click.echo(f"within {CLOSE - 1:.0%}: " + (f"all but {', '.join(failed)}" if failed else "all"))


def _against_loops(chosen: list[str], threads: int, rounds: int, peers: tuple[str, ...]) -> None:
    below = []
    for name in chosen:
        start = time.time()
        with prepared(CELLS[name]) as folder:
            found = training(CELLS[name], list(peers), threads, rounds, False, folder)
        click.echo(report.progress(CELLS[name], threads, "training", found, time.time() - start))
        for each in (each for each in peers if "failed" in found[each]):
            click.echo(f"    {report.NAMES[each]} left out: {found[each]['failed']}")
        own, theirs = found["specc"], found["pytorch"]
        ratio = theirs["seconds"] / own["seconds"]
        rate = CELLS[name].training_flops / own["seconds"] / 1e9
        click.echo(f"    {ratio:.1f} times as fast as PyTorch's loop, {rate:.0f} GF/s")
        below += [f"{name} {ratio:.1f}"] if ratio < TIMES else []
    which = f"all but {', '.join(below)}" if below else "all"
    click.echo(f"{TIMES} times as fast as a loop: {which}")


def _program(word: str):
    from specc import driver
    from specc.source import Source

    return driver.load(Source(str(LOOPED / "timed.dl"), MODEL.format(word=word)))


if __name__ == "__main__":
    main()
