"""PyTorch, eager, with bfloat16 autocast."""

from __future__ import annotations

from benchmarks.peers import pytorch


def training(job):
    return pytorch.training(job, bfloat16=True)
