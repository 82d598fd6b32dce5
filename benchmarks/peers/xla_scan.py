"""JAX with a stretch of steps in one jitted `lax.scan`: no Python between steps."""

from __future__ import annotations

from benchmarks.peers import xla


def training(job):
    return xla.training(job, scan=True)
