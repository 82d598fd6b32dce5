"""A contraction with known sizes to a call of a kernel that runs it in register tiles.

    plan = plan_contraction(Problem(op, left, right, out, lanes=64, target=target))
    block = plan.args(left=address, right=address, out=address, scratch=address)

The plan is that of the form which takes the fewest cycles by its own estimate; None if no form
fits. To add a form, write its file and name it in `FORMS`. A product whose operands are rounded
is carried out by the same forms: see `forms.rounded`."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from specc.backend.contraction.forms import (
    across,
    across_lanes,
    batched,
    contract,
    dot,
    outer,
    packed,
    rounded,
    rows,
    run,
    transposed,
    window,
    window_gradient,
    winograd,
    winograd_gradient,
    winograd_run,
)
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiling import ContractionPlan

# A usual tile is preferred if it takes at most so much more than the best: a part of the cycles,
# and cycles.
_HARDLY, _NOTHING = 1.02, 100

# If two forms take equally many cycles, the first one is chosen.
FORMS = tuple(
    each.FORM
    for each in (
        contract, packed, across_lanes, winograd, window,  # Kind.LANES
        across, dot, run, rows, winograd_run,  # Kind.SINGLE
        batched,  # Kind.BATCHED
        outer, transposed, winograd_gradient, window_gradient,  # Kind.GRADIENT
    )
)  # fmt: skip

# The forms of products whose operands are rounded: each of those above, on other operands.
ROUNDED = rounded.forms(FORMS)


@lru_cache(maxsize=1024)
def plan_contraction(problem: Problem) -> ContractionPlan | None:
    """Return the plan of the fastest form, made once for all shards and programs of a model."""
    if problem.kind is None:
        return None
    assert problem.kind is ContractionKind.SINGLE or problem.lanes % problem.target.width == 0, (
        problem
    )
    # each form has its own way to divide the result, so all parts must be of the form of the first
    # one
    part = problem.part
    leading = problem if part.even else replace(problem, part=replace(part, number=0))
    found = candidates(leading)
    if not found:
        return None
    form = chosen(found)[0]
    own = found if leading == problem else candidates(problem)
    own = [each for each in own if each[0] is form]
    return chosen(own)[1].plan() if own else None


def candidates(problem: Problem) -> list[tuple[KernelForm, Candidate]]:
    """Return all tiles of all forms that fit a problem."""
    forms = ROUNDED if problem.is_rounded else FORMS
    return [
        (form, each)
        for form in forms
        if form.kind is problem.kind
        for each in form.candidates(problem)
    ]


def chosen(found: list[tuple[KernelForm, Candidate]]) -> tuple[KernelForm, Candidate]:
    """Return the candidate that takes the fewest cycles, or a usual one that takes hardly more."""
    best = min(found, key=lambda each: each[1].cycles)
    usual = [each for each in found if each[1].usual]
    usual_best = min(usual, key=lambda each: each[1].cycles, default=best)
    most = best[1].cycles * _HARDLY + _NOTHING
    return usual_best if usual_best[1].cycles <= most else best
