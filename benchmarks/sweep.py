"""`python -m benchmarks.sweep`: the time of a step against its work, and where it does not follow.

Four sweeps of multilayer perceptrons: the batch, the width of the hidden layers, their number, and
with recurrent cells the length of the sequence; each with 1 and 2 threads. A *cliff* is a point
whose time for its work is more than 1.5 times that of both neighbours' (of the one at an end), or
that is slower than a larger one.
"""

from __future__ import annotations

import json
import statistics
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import click
import numpy as np

from benchmarks.drive import await_quiet

CLIFF = 1.5
TURN, TURNS = 0.01, 15

TEXT = """
model swept {{
  input  x: float[{width}]
  target label: class(10)
  let scores = x {layers} -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
}}
train {{ optimizer momentum(lr = 0.001) }}
"""

TEXT_OF_SEQUENCE = """
seq time = {length}
model swept {{
  input  x: float[time, {width}]
  target label: class(10)[time]
  let scores = x -> lstm({width}) -> dense(10)
  output scores
  loss   cross_entropy(scores, label)
}}
train {{ optimizer momentum(lr = 0.001) }}
"""


@dataclass(frozen=True)
class Point:
    """One model of a sweep. `work` is in multiply-adds of a step."""

    value: int
    batch: int
    width: int
    depth: int
    length: int = 0

    @property
    def text(self) -> str:
        if self.length:
            return TEXT_OF_SEQUENCE.format(length=self.length, width=self.width)
        layers = f"-> dense({self.width}) -> relu " * self.depth
        return TEXT.format(width=self.width, layers=layers)

    @property
    def work(self) -> int:
        if self.length:
            return 3 * self.batch * self.length * (8 * self.width**2 + 10 * self.width)
        inner = self.depth * self.width**2 + 10 * self.width
        return self.batch * (3 * inner - self.width**2)


def _powers(first: int, last: int) -> list[int]:
    return [1 << n for n in range(first.bit_length() - 1, last.bit_length())]


SWEEPS = {
    "batch": [Point(n, n, 256, 2) for n in _powers(1, 1024)],
    "hidden": [Point(n, 64, n, 2) for n in _powers(32, 2048)],
    "depth": [Point(n, 64, 128, n) for n in _powers(1, 32)],
    "length": [Point(n, 32, 128, 1, n) for n in _powers(8, 256)],
}


@dataclass(frozen=True)
class Measured:
    sweep: str
    value: int
    threads: int
    microseconds: float
    work: int
    flag: str = ""

    @property
    def per_work(self) -> float:
        return self.microseconds / self.work


@click.command()
@click.option("--sweeps", default=",".join(SWEEPS), show_default=True)
@click.option("--threads", default="1,2", show_default=True)
@click.option("--json", "path", type=click.Path(dir_okay=False, path_type=Path))
def main(sweeps: str, threads: str, path: Path | None) -> None:
    """Print a table for each sweep, and its cliffs."""
    found: list[Measured] = []
    for name in sweeps.split(","):
        points = SWEEPS[name]
        if reason := _gap(points[0]):
            click.echo(f"{name}: left out, `specc check` says: {reason}\n")
            continue
        of_sweep = []
        for count in map(int, threads.split(",")):
            of_threads = [
                Measured(name, point.value, count, seconds * 1e6, point.work)
                for point, seconds in _measured(points, count)
            ]
            of_sweep.append(marked(of_threads))
        click.echo("\n".join(_table(name, of_sweep)) + "\n")
        found += [each for of in of_sweep for each in of]
    for flag in ("cliff", "slide"):
        where = [
            f"{each.sweep} {each.value} ({each.threads} threads)"
            for each in found
            if each.flag == flag
        ]
        click.echo(
            f"{len(where)} {flag}s of {len(found)} points"
            + (": " if where else "")
            + ", ".join(where)
        )
    if path is not None:
        path.write_text(json.dumps([asdict(each) for each in found], indent=1))


def _gap(point: Point) -> str | None:
    from specc import driver
    from specc.source import Source

    _, found = driver.check(Source("sweep.dl", point.text))
    return next((each.message for each in found if each.severity == "error"), None)


def _measured(points: list[Point], threads: int) -> Iterator[tuple[Point, float]]:
    """All models of a sweep take turns, as peers do: the least time of a step."""
    runs = [_run(point, threads) for point in points]
    best = [float("inf")] * len(runs)
    for _ in range(TURNS):
        for i, (run, steps) in enumerate(runs):
            await_quiet(0.1)
            best[i] = min(best[i], run(steps) / steps)
    yield from zip(points, best, strict=True)


def _run(point: Point, threads: int):
    from specc import driver
    from specc.recipe import Column
    from specc.source import Source

    net = driver.compile(driver.load(Source("sweep.dl", point.text)), batch=point.batch,
                         threads=threads)  # fmt: skip
    rng = np.random.default_rng(0)
    rows = max(256, point.batch)
    data = {
        port.name: Column(rng.integers(0, 10, (rows, *port.shape)) if port.kind == "class"
                          else rng.random((rows, *port.shape), dtype=np.float32))
        for port in net.ports}  # fmt: skip

    def run(steps: int) -> float:
        order = np.resize(np.arange(rows), steps * point.batch)
        start = time.perf_counter()
        net.train(data, order, 0, 0, 0)
        return time.perf_counter() - start

    run(1)
    once = statistics.median(run(2) / 2 for _ in range(3))
    return run, max(1, round(TURN / once))


def marked(of_threads: list[Measured]) -> list[Measured]:
    """The points of one sweep, cliffs and slides found."""
    done = []
    for i, each in enumerate(of_threads):
        smaller, larger = of_threads[:i], of_threads[i + 1 :]
        flag = ""
        if smaller and each.per_work > CLIFF * min(other.per_work for other in smaller):
            flag = "slide"
        steep = smaller and each.per_work > CLIFF * smaller[-1].per_work
        if steep or any(each.microseconds > 1.1 * other.microseconds for other in larger):
            flag = "cliff"
        done.append(replace(each, flag=flag))
    return done


def _table(name: str, of_sweep: list[list[Measured]]) -> list[str]:
    rows = [[name, *(f"{of[0].threads} threads us" for of in of_sweep),
             *(f"{of[0].threads} threads GF/s" for of in of_sweep), "times", ""]]  # fmt: skip
    for points in zip(*of_sweep, strict=True):
        times = f"{points[0].microseconds / points[-1].microseconds:.2f}" if len(points) > 1 else ""
        rows.append(
            [
                str(points[0].value),
                *(f"{each.microseconds:,.1f}" for each in points),
                *(f"{2e-3 / each.per_work:,.1f}" for each in points),
                times,
                ", ".join(f"{each.flag} with {each.threads}" for each in points if each.flag),
            ]
        )
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  ".join(cell.rjust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
            for row in rows]  # fmt: skip


if __name__ == "__main__":
    main()
