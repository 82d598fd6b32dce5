"""Sweeps from Python: `specc.sweep`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from specc.runs.train import given_sources, source_and_content, texts_of_values
from specc.sweeps.plan import SAMPLERS
from specc.sweeps.result import Result
from specc.sweeps.run import planned, searched
from specc.sweeps.run import sweep as carried_out


def sweep(
    model: str | Path,
    data: object,
    validate: object,
    *,
    trials: int | None,
    jobs: int,
    sampler: str,
    prune: bool,
    storage: str | None,
    runs: str | Path,
    threads: int | None,
    dtype: str,
    seen: Callable[[Result], object],
    **overrides: str | int | float,
) -> Result:
    """Run a sweep; see `specc.sweep`."""
    if sampler not in SAMPLERS:
        raise ValueError(f"sampler must be one of {', '.join(SAMPLERS)}, not {sampler!r}")
    if jobs < 1 or (trials is not None and trials < 1):
        raise ValueError("`trials` and `jobs` must be at least 1")
    source, _, own = source_and_content(model)
    values = {**own, **texts_of_values(overrides)}
    program, _ = searched(source, values)
    given, texts = given_sources(program.recipe, data, validate)
    if given and jobs > 1:
        raise ValueError("data that is not in a file can be swept only in one process: jobs=1")
    if texts:
        values |= texts
        program, _ = searched(source, values)
    plan = planned(
        source,
        program,
        Path(source.name).parent,
        values,
        runs=Path(runs),
        trials=trials,
        storage=storage,
        sampler=sampler,
        is_pruned=prune,
        threads=threads,
        dtype=dtype,
        given=given,
    )
    result, outcome = carried_out(plan, jobs, seen)
    if outcome == "interrupted":
        raise KeyboardInterrupt
    return result
