"""`python -m benchmarks.words`: words that a user defines run at the speed of built-in ones.

Each of `words/own.dl`, at most five lines and no Python, stands in a model that it dominates,
against a word of the library in the same model; training steps take turns. A word with the same
arithmetic must be within 5 % (where both come to the same machine code, they are); one with other
arithmetic is compared by what it moves through memory, or shown only.
"""

from __future__ import annotations

import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import click
import numpy as np

from benchmarks.drive import await_quiet

FOLDER = Path(__file__).parent / "words"
CLOSE = 1.05
TURN, TURNS = 0.01, 41

# The word is nearly all of the step: a chain of activations, a wide loss, a small batch on large
# weights.
ACTIVATION = """
block scaled(x: float[n]) {{ param factor: float[n] = 1  return factor * x }}
model timed {{
  input  x: float[4096]
  target label: class(2)
  let scores = x -> scaled -> 3 * ({word}) -> dense(2)
  output scores
  loss   cross_entropy(scores, label)
}}
train {{ optimizer sgd(lr = 1e-4) batch = 64 }}
"""
LOSS = """
model timed {{
  input  x: float[8]
  target label: class(2000)
  let scores = x -> dense(2000)
  output scores
  loss   {word}(scores, label)
}}
train {{ optimizer sgd(lr = 1e-4) batch = 64 }}
"""
OPTIMIZER = """
model timed {{
  input  x: float[1024]
  target label: class(2)
  let scores = x -> dense(1024) -> relu -> dense(1024) -> relu -> dense(2)
  output scores
  loss   cross_entropy(scores, label)
}}
train {{ optimizer {word}(lr = 1e-4) batch = 16 }}
"""


@dataclass(frozen=True)
class Pair:
    """A word of one's own and the library's; `judged` where it must be as fast."""

    own: str
    library: tuple[str, ...]  # the first that there is
    text: str
    judged: bool = True


PAIRS = (
    Pair("own_swish", ("silu",), ACTIVATION),
    Pair("own_mish", ("mish",), ACTIVATION),
    Pair("own_mish", ("gelu",), ACTIVATION, judged=False),
    Pair("own_cross_entropy", ("cross_entropy",), LOSS),
    Pair("own_focal", ("focal", "cross_entropy"), LOSS, judged=False),
    Pair("own_momentum", ("momentum",), OPTIMIZER),
    Pair("own_adam", ("adam",), OPTIMIZER),
    Pair("own_lion", ("momentum",), OPTIMIZER),  # reads and writes as much as momentum
)


@click.command()
@click.option("--threads", default=1, show_default=True)
def main(threads: int) -> None:
    """Print the microseconds of both, and their ratio."""
    nets: dict[tuple[str, str], tuple] = {}
    failed = []
    click.echo(f"{'own word':18} {'library':16} {'us':>9} {'us':>9}  ratio (quartiles)")
    for pair in PAIRS:
        known = [word for word in pair.library if _program(pair.text, word) is not None]
        if not known:
            click.echo(f"{pair.own:18} {pair.library[0]:16} left out: the library has no such word")
            continue
        for word in (pair.own, known[0]):
            if (pair.text, word) not in nets:
                nets[pair.text, word] = runner(_program(pair.text, word), threads)
        *own, own_code = nets[pair.text, pair.own]
        *library, library_code = nets[pair.text, known[0]]
        mine, theirs = turns(own, library)
        low, _, high = statistics.quantiles([a / b for a, b in zip(mine, theirs, strict=True)], n=4)
        ratio = min(mine) / min(theirs)
        if own_code == library_code:  # any difference is one of the memory's, or of other programs
            verdict = "the same machine code"
        else:
            verdict = "" if not pair.judged else "yes" if ratio <= CLOSE else "NO"
        failed += [pair.own] if verdict == "NO" else []
        click.echo(
            f"{pair.own:18} {known[0]:16} {min(mine) * 1e6:9,.1f} {min(theirs) * 1e6:9,.1f}"
            f"  {ratio:.2f} ({low:.2f}..{high:.2f})  {verdict}"
        )
    click.echo(f"within {CLOSE - 1:.0%}: " + (f"all but {', '.join(failed)}" if failed else "all"))


def turns(first, second) -> tuple[list[float], list[float]]:
    """The seconds a step of two runners, in turns."""
    found: tuple[list[float], list[float]] = [], []
    for number in range(TURNS):
        for (run, steps), times in list(zip((first, second), found, strict=True))[
            :: 1 - 2 * (number % 2)
        ]:
            await_quiet(0.1)
            times.append(run(steps) / steps)
    return found


def _program(text: str, word: str):
    """The checked model; None where there is no such word."""
    from specc import driver
    from specc.source import Source

    source = Source(str(FOLDER / "timed.dl"), 'use "own.dl"\n' + text.format(word=word))
    program, found = driver.check(source)
    errors = [each for each in found if each.severity == "error"]
    if any(each.name == "unknown-name" for each in errors):
        return None
    assert program is not None, errors
    return program


def runner(program, threads: int):
    """A function that trains so many steps and gives the seconds; how many make a turn.

    And the keys of the kernels that a step calls, in order.
    """
    from specc import driver
    from specc.ir.kind import Kind
    from specc.recipe import Column

    net = driver.compile(program, threads=threads)
    rng = np.random.default_rng(0)
    rows = 256
    data = {
        port.name: Column(rng.integers(0, port.classes, (rows, *port.shape)) if port.kind == "class"
                          else rng.standard_normal((rows, *port.shape), dtype=np.float32))
        for port in net.ports}  # fmt: skip
    done = 0

    def run(steps: int) -> float:
        nonlocal done
        order = np.resize(np.arange(rows), steps * net.batch)
        start = time.perf_counter()
        net.train(data, order, done, 0, 0)
        done += steps
        return time.perf_counter() - start

    run(1)
    once = min(run(2) / 2 for _ in range(3))
    code = [call.kernel.key for call in net.compiled(Kind.TRAIN).calls()]
    return run, max(1, round(TURN / once)), code


if __name__ == "__main__":
    main()
