"""PyTorch, eager, with the inputs' products of a cell before the loop over the steps."""

from __future__ import annotations

from benchmarks.peers import pytorch


def training(job):
    return pytorch.training(job, before=True)
