"""A learning rate range test: one short training in which the rate grows with each step.

found = sweep(Path("digits.dl"), {}, None, 1e-5, 10, 200, listener)
found.suggestion      # 0.02: where the loss falls fastest
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from specc.diagnostics import Diverged
from specc.runs.listener import Listener
from specc.runs.start import prepare
from specc.system.records import dataclass

SMOOTHING = 0.8  # decay of the moving average of the losses
WORSE = 4.0  # the test ends if the loss exceeds its minimum by this factor
ROWS, WIDTH = 20, 40  # size of the text plot, in characters


@dataclass(frozen=True)
class Sweep:
    """Learning rates with their smoothed losses, and the suggested rate."""

    points: list[tuple[float, float]]
    suggestion: float | None

    def lines(self) -> list[str]:
        """Return the curve as lines of text, with a bar for the loss."""
        size = max(1, -(-len(self.points) // ROWS))
        rows = [self.points[at : at + size] for at in range(0, len(self.points), size)]
        means = [
            (math.exp(sum(math.log(rate) for rate, _ in row) / len(row)), _mean(row))
            for row in rows
        ]
        losses = [loss for _, loss in means]
        low, high = min(losses), max(losses)
        span = high - low or 1.0
        lines = ["        lr        loss"]
        near, wanted = None, self.suggestion
        if wanted is not None:
            near = min(means, key=lambda each: abs(math.log(each[0] / wanted)))[0]
        for rate, loss in means:
            bar = "█" * round((loss - low) / span * WIDTH)
            mark = " <" if rate == near else ""
            lines.append(f"{rate:10.2g}  {loss:10.4g}  {bar}{mark}")
        if self.suggestion is None:
            return [*lines, "the loss does not fall at any of these rates"]
        return [*lines, f"the loss falls fastest near lr = {self.suggestion:.2g}"]


def _mean(row: list[tuple[float, float]]) -> float:
    return sum(loss for _, loss in row) / len(row)


def sweep(
    file: Path,
    values: Mapping[str, str],
    data: Path | None,
    low: float,
    high: float,
    steps: int,
    listener: Listener,
    threads: int | None = None,
) -> Sweep:
    """Train with rates from `low` to `high`. Raises SpecError if the optimizer has no `lr`.

    The rate at a step is `low * (high / low) ^ (step / (steps - 1))`; it overrides the file's `lr`.
    """
    from specc import driver

    source = driver.read(file)
    growth = f"{low!r} * {high / low!r} ^ (step / {steps - 1})"
    changes = {**values, "optimizer.lr": growth}
    prepared = prepare(source, b"", data or file.parent, changes, listener, threads)
    net, part = prepared.net, prepared.data.training
    size = net.examples_per_step
    rates = [low * (high / low) ** (step / (steps - 1)) for step in range(steps)]
    order = np.concatenate(
        [
            np.random.Generator(np.random.PCG64([net.seed, epoch])).permutation(part.numbers)
            if not part.is_stream
            else part.numbers
            for epoch in range(-(-steps * size // len(part)))
        ]
    )[: steps * size]
    losses: list[float] = []
    for step in range(steps):
        rows = order[step * size : (step + 1) * size]
        try:
            (record,) = net.train(part.columns, rows, step, 0, 0)
        except Diverged:
            break
        loss = float(record[0])
        if not math.isfinite(loss) or (losses and loss > WORSE * max(losses[0], min(losses))):
            break
        losses.append(loss)
    return _judged(list(zip(rates, losses, strict=False)))


def _judged(points: list[tuple[float, float]]) -> Sweep:
    """Return the smoothed losses, and the rate at which they fall fastest over log(rate).

    The smoothed loss is the mean of a forward and a backward moving average, so it has no lag.
    """
    losses = np.array([loss for _, loss in points])
    if len(losses) < 5:
        return Sweep(points, None)
    smooth = (_averaged(losses) + _averaged(losses[::-1])[::-1]) / 2
    least = int(np.argmin(smooth))
    slopes = np.gradient(smooth)[: least + 1]
    suggestion = None
    if len(slopes) and slopes.min() < 0:
        suggestion = points[int(np.argmin(slopes))][0]
    return Sweep([(rate, float(loss)) for (rate, _), loss in zip(points, smooth, strict=True)],
                 suggestion)  # fmt: skip


def _averaged(values: np.ndarray) -> np.ndarray:
    found, mean, weight = [], 0.0, 0.0
    for value in values:
        mean = SMOOTHING * mean + (1 - SMOOTHING) * value
        weight = SMOOTHING * weight + 1 - SMOOTHING
        found.append(mean / weight)
    return np.array(found)
