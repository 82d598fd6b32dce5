"""PyTorch through torch.compile: forward and backward compiled, the optimizer fused.

The optimizer's own step through torch.compile was seen to be slower than the fused one.
"""

from __future__ import annotations

from benchmarks.peers import pytorch


def training(job):
    return pytorch.training(job, compiled=True)


def inference(job, batch: int):
    return pytorch.inference(job, batch, compiled=True)
