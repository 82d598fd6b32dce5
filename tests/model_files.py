"""The model files of the project, and random examples for models."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import numpy as np

import specc
from specc import driver
from specc.ir.program import Program
from specc.recipe import Port

ROOT = Path(__file__).resolve().parents[1]
MODELS = {path.stem: path for path in sorted((ROOT / "models").glob("*.dl"))}
BENCHMARKS = {path.stem: path for path in sorted((ROOT / "benchmarks" / "models").glob("*.dl"))}
# values of symbolic dimensions, which data would give
SIZES = {"n": 4, "vocab": 20, "figures_": 11, "letters": 20, "length": 9}


def loaded(path: Path) -> Program:
    """Load a model file, with values for its symbolic dimensions."""
    program, _ = driver.check(path, {})
    return specc.load(path, **{name: SIZES[name] for name in program.open_sizes})


def random_examples(
    ports: Iterable[Port],
    count: int,
    seed: int | np.random.Generator = 0,
    draw: Callable[..., np.ndarray] = np.random.Generator.standard_normal,
) -> dict[str, np.ndarray]:
    """Return random values of `count` examples for each port, by its name.

    `draw(generator, shape)` gives the numbers. Sequences have one step or more.
    """
    rng = np.random.default_rng(seed)
    found = {}
    for port in ports:
        shape = count, *port.shape
        if port.length_of:
            found[port.name] = rng.integers(1, port.classes, count)
        elif port.kind == "class":
            found[port.name] = rng.integers(0, port.classes, shape)
        elif port.kind == "bool":
            found[port.name] = rng.random(shape) < 0.5
        else:
            found[port.name] = draw(rng, shape)
    return found
