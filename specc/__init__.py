"""specc checks, compiles and trains neural networks described in text files.

import specc

net = specc.compile(specc.load("models/lenet.dl"), batch=64)
net.step(image=images, label=labels)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specc.diagnostics import Diagnostic, Diverged, SpecError, SpecWarning

if TYPE_CHECKING:
    from pathlib import Path

    from specc.ir.program import Program
    from specc.net.net import Net

__version__ = "0.1.0"
__all__ = ["Diagnostic", "Diverged", "SpecError", "SpecWarning", "__version__", "compile", "load"]


def load(path: str | Path, **overrides: str | int | float) -> Program:
    """The checked program of a .dl file.

    `overrides` give sizes, constants and settings of `train` other values: `classes=10`. Raises
    `SpecError`, whose `.diagnostics` lists every mistake.

    Warnings are the program's `.warnings`, and each is given to Python's `warnings` as a
    `SpecWarning`. A comment in the file, `# allow: NAME`, silences one;
    `warnings.filterwarnings("ignore", category=specc.SpecWarning)` silences all.
    """
    import warnings

    from specc import driver

    program = driver.load(path, overrides)
    for each in program.warnings:
        warnings.warn(each.page().rstrip(), SpecWarning, stacklevel=2)
    return program


def compile(
    model: Program,
    batch: int | None = None,
    dtype: str = "float32",
    threads: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
) -> Net:
    """The model in machine code, its weights initialized from `seed`; see `specc.net.net.Net`.

    `batch` and `seed` default to the file's, `threads` to the processors there are, or fewer where
    a step has too little work for them; `dtype` is "float32" or "float64". The operands of products
    are rounded to the `precision`, "float32" or "bfloat16", by default the file's.
    """
    from specc import driver

    return driver.compile(model, batch, dtype, threads, seed, precision)
