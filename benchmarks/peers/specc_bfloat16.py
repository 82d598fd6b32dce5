"""specc with `precision = bfloat16`."""

from __future__ import annotations

from benchmarks.peers import specc


def training(job):
    return specc.training(job, "bfloat16")
