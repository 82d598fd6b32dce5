"""The models that are timed: a .dl file each, and the arithmetic that it asks for.

    case = CASES["lenet"]
    case.program()                    # checked, or a reason why it cannot be
    case.training_flops               # of one step over one batch
    case.data(rows=1024, seed=0)      # random columns by port

`products` are the multiply-adds of one example going forward, layer by layer. A training step does
each of them three times (forward, weights' gradient, input's gradient), but those of the layers in
`first`, which need no input's gradient, only twice. Whatever else a step does counts as nothing:
the share of the machine's peak that follows is one of useful products.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

MODELS = Path(__file__).parent / "models"
LOOPED = Path(__file__).parent / "cells"


@dataclass(frozen=True)
class Case:
    """One model. `optimizer` is what its file trains with, for the peers to do the same."""

    name: str
    batch: int
    products: tuple[int, ...]
    optimizer: str = "momentum"
    first: int = 1
    rows: int = 1024
    folder: Path = MODELS

    @property
    def path(self) -> Path:
        return self.folder / f"{self.name}.dl"

    @property
    def forward_flops(self) -> int:
        """Of one example."""
        return 2 * sum(self.products)

    @property
    def training_flops(self) -> int:
        """Of one step over a batch."""
        return 2 * self.batch * (3 * sum(self.products) - sum(self.products[: self.first]))

    def data(self, seed: int = 0) -> dict[str, np.ndarray]:
        """Random rows for every port, the same for all peers."""
        from specc import driver

        rng = np.random.default_rng(seed)
        return {
            port.name: rng.integers(0, port.classes, (self.rows, *port.shape))
            if port.kind == "class"
            else rng.random((self.rows, *port.shape), dtype=np.float32)
            for port in driver.load(self.path).ports
        }

    def gap(self) -> str | None:
        """Why specc cannot compile the model yet; None if it can."""
        from specc import driver

        _, found = driver.check(self.path)
        errors = [each for each in found if each.severity == "error"]
        return f"{errors[0].message} (line {errors[0].span.line})" if errors else None


def _conv(channels: int, filters: int, kernel: int, size: int) -> int:
    return channels * kernel * kernel * filters * size * size


def _recurrent(steps: int, gates: int, *widths: int, classes: int = 65) -> tuple[int, ...]:
    """Layers of the widths, each on the one before, then scores over the classes at each step."""
    layers = [gates * n * (m + n) for m, n in pairwise(widths)]
    return tuple(steps * each for each in [*layers, widths[-1] * classes])


_ALL = (
    Case("tiny", 32, (2 * 16, 16 * 16, 16 * 3)),
    Case("mlp128", 64, (784 * 128, 128 * 10)),
    Case("mlp512", 128, (784 * 512, 512 * 512, 512 * 10)),
    Case("lenet", 64, (_conv(1, 6, 5, 28), _conv(6, 16, 5, 10), 400 * 120, 120 * 84, 84 * 10)),
    Case("vgg", 64, (_conv(3, 32, 3, 32), _conv(32, 32, 3, 32), _conv(32, 64, 3, 16),
                     _conv(64, 64, 3, 16), 4096 * 256, 256 * 10), rows=512),
    Case("resnet", 64, (_conv(3, 16, 3, 32), _conv(16, 16, 3, 32), _conv(16, 16, 3, 32),
                        _conv(16, 32, 3, 16), _conv(32, 32, 3, 16), _conv(16, 32, 1, 16),
                        _conv(32, 64, 3, 8), _conv(64, 64, 3, 8), _conv(32, 64, 1, 8), 640),
         rows=512),
    Case("autoencoder", 64, (784 * 256, 256 * 32, 32 * 256, 256 * 784), "adam"),
    Case("sentiment", 64, (64 * 64, 64 * 2), "adam", first=0),
    Case("rnn", 32, _recurrent(50, 1, 128, 128), first=0),
    Case("lstm", 32, _recurrent(50, 4, 128, 128), first=0),
    Case("lstm2", 50, _recurrent(50, 4, 256, 256, 256), first=0),
)  # fmt: skip

CASES = {case.name: case for case in _ALL}

# Cells that PyTorch has not, of `benchmarks.cells`.
CELLS = {case.name: case for case in (
    Case("independent", 32, (50 * 128 * 128, 50 * 128 * 65), first=0, folder=LOOPED),
    Case("irnn", 32, _recurrent(50, 1, 128, 128), first=0, folder=LOOPED),
    Case("minimal_gated", 32, _recurrent(50, 2, 128, 128), first=0, folder=LOOPED),
    Case("peephole_lstm", 32, _recurrent(50, 4, 128, 128), first=0, folder=LOOPED),
    Case("independent_32", 16, (50 * 32 * 32, 50 * 32 * 65), first=0, folder=LOOPED),
    Case("irnn_32", 16, _recurrent(50, 1, 32, 32), first=0, folder=LOOPED),
    Case("minimal_gated_32", 16, _recurrent(50, 2, 32, 32), first=0, folder=LOOPED),
    Case("peephole_lstm_32", 16, _recurrent(50, 4, 32, 32), first=0, folder=LOOPED),
)}  # fmt: skip
