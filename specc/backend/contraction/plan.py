"""The plan of a contraction: the form with the fewest estimated cycles, and its kernels' calls.

    plan = plan_contraction(Problem(op, left, right, out, lanes=64, target=target))
    block = plan.args(left=address, right=address, out=address, scratch=address)

The plan is None if no form fits. To add a form, write its file and name it in `FORMS`. Contractions
with rounded operands are computed by the same forms on rounded copies (see `forms.rounded`).
"""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache

from specc.backend.contraction.forms import (
    across,
    across_lanes,
    batched,
    contract,
    copied,
    dot,
    outer,
    packed,
    rounded,
    rows,
    run,
    transposed,
    transposed_packed,
    window,
    window_gradient,
    winograd,
    winograd_gradient,
    winograd_run,
)
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.tiling import ContractionPlan

# A usual tile is preferred to the fastest one if it takes at most this factor times the fastest
# one's cycles, plus this many cycles.
_FACTOR, _CYCLES = 1.02, 100

# If two forms take equally many cycles, the first one is chosen.
FORMS = tuple(
    each if isinstance(each, KernelForm) else each.FORM
    for each in (
        contract, packed, copied.CONTRACT, copied.PACKED,  # ContractionKind.LANES
        across_lanes, winograd, window,
        across, dot, run, rows, winograd_run,  # ContractionKind.SINGLE
        batched,  # ContractionKind.BATCHED
        outer, transposed, transposed_packed,  # ContractionKind.GRADIENT
        winograd_gradient, window_gradient,
    )
)  # fmt: skip

# The forms of contractions with rounded operands: those above, on rounded copies, but for the form
# that makes copies of both operands itself.
ROUNDED = rounded.forms(tuple(each for each in FORMS if each is not transposed_packed.FORM))


@lru_cache(maxsize=1024)
def plan_contraction(problem: Problem) -> ContractionPlan | None:
    """Return the plan of the fastest form; all shards and programs of a model share it."""
    if problem.kind is None:
        return None
    assert problem.kind is ContractionKind.SINGLE or problem.lanes % problem.target.width == 0, (
        problem
    )
    # each form has its own way to divide the result, so all parts use the form of the first part
    part = problem.part
    assert not part.even or problem.has_rows_first, problem
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
    """Return the candidate with the fewest cycles, or a usual one that is nearly as fast."""
    best = min(found, key=lambda each: each[1].cycles)
    usual = [each for each in found if each[1].usual]
    usual_best = min(usual, key=lambda each: each[1].cycles, default=best)
    most = best[1].cycles * _FACTOR + _CYCLES
    return usual_best if usual_best[1].cycles <= most else best
