"""One vector of lanes: vectors across the rows of the weights, and lanes one by one.

A tile along a single vector of lanes loads a number for each multiply-add, which takes as long as
the multiply-adds. A tile of this form loads vectors of weights, and uses each lane's number for
several of them. Lanes without an example all hold the same values, so computing one of them is
enough.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial

from specc.backend.contraction.across import Across, shapes
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiling import by_weights


def _candidates(problem: Problem) -> Iterator[Candidate]:
    target, lanes = problem.target, problem.lanes
    if lanes != target.width:
        return
    rows, groups = problem.taps
    lists = by_weights(groups)
    if rows.size < target.width or not lists or not all(len(taps) for taps, _ in lists):
        return
    used = min(problem.examples + 1, lanes)
    for shape in shapes(target):
        q, v = shape
        padded = used <= q < lanes
        if not (padded or lanes % q == 0) or v * target.width > rows.size:
            continue
        across = Across(
            target, rows, lists, problem.names, q if padded else lanes, 1, problem.calls,
            problem.kept, padded,
        )  # fmt: skip
        yield Candidate(shape, across.cycles(shape), partial(across.plan, shape), usual=False)


FORM = KernelForm("across lanes", ContractionKind.LANES, _candidates)
