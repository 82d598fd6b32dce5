"""The plan of a contraction: the form with the fewest estimated cycles, and its kernels' calls.

    plan = plan_contraction(Problem(op, left, right, out, lanes=64, target=target))
    block = plan.args(left=address, right=address, out=address, scratch=address)

The plan is None if no form fits. To add a form, write its file and name it in `FORMS`. Contractions
with rounded operands are computed by the same forms on rounded copies (see `forms.rounded`).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
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
from specc.backend.contraction.remembered import remembered
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


_watched: list[list[Problem]] = []
_by_estimates: ContextVar[bool] = ContextVar("by_estimates", default=False)


def plan_contraction(problem: Problem) -> ContractionPlan | None:
    """Return the plan of the fastest form; all shards and programs of a model share it.

    What was measured to be the fastest comes before the estimates (see `remembered`).
    """
    for each in _watched:
        each.append(problem)
    if problem.kind is None:
        return None
    known = None if _by_estimates.get() else remembered(first_part(problem))
    return _planned(problem, known)


@contextmanager
def watched() -> Iterator[list[Problem]]:
    """Collect the contractions that are planned in a block, by any thread."""
    found: list[Problem] = []
    _watched.append(found)
    try:
        yield found
    finally:
        _watched.remove(found)


@contextmanager
def by_estimates() -> Iterator[None]:
    """Plan by estimates alone in a block, as processes do that share the parts of a result.

    They divide it in the same way only if they choose the same form, and each may have measured
    something else.
    """
    token = _by_estimates.set(True)
    try:
        yield
    finally:
        _by_estimates.reset(token)


@lru_cache(maxsize=1024)
def _planned(problem: Problem, known: str | None) -> ContractionPlan | None:
    assert problem.kind is ContractionKind.SINGLE or problem.lanes % problem.target.width == 0, (
        problem
    )
    assert not problem.part.even or problem.has_rows_first, problem
    # each form has its own way to divide the result, so all parts use the form of the first part
    leading = first_part(problem)
    found = candidates(leading)
    if not found:
        return None
    named = by_name(found)
    form = (named[known] if known in named else chosen(found))[0]
    own = found if leading == problem else candidates(problem)
    named = {name: each for name, each in by_name(own).items() if each[0] is form}
    if known in named:
        return named[known][1].plan()
    return chosen([*named.values()])[1].plan() if named else None


def first_part(problem: Problem) -> Problem:
    """Return the problem of the part that decides the form of all parts."""
    part = problem.part
    return problem if part.even else replace(problem, part=replace(part, number=0))


def candidates(problem: Problem) -> list[tuple[KernelForm, Candidate]]:
    """Return all tiles of all forms that fit a problem."""
    forms = ROUNDED if problem.is_rounded else FORMS
    return [
        (form, each)
        for form in forms
        if form.kind is problem.kind
        for each in form.candidates(problem)
    ]


def by_name(
    found: list[tuple[KernelForm, Candidate]],
) -> dict[str, tuple[KernelForm, Candidate]]:
    """Return candidates by name, such as "packed 6x2".

    A form may have a tile of one shape for either role of the operands, which are "outer 6x2" and
    "outer 6x2'".
    """
    names: dict[str, tuple[KernelForm, Candidate]] = {}
    counts: Counter[str] = Counter()
    for form, each in found:
        name = f"{form.name} {'x'.join(map(str, each.shape))}"
        names[name + "'" * counts[name]] = (form, each)
        counts[name] += 1
    return names


def chosen(found: list[tuple[KernelForm, Candidate]]) -> tuple[KernelForm, Candidate]:
    """Return the candidate with the fewest cycles, or a usual one that is nearly as fast."""
    best = min(found, key=lambda each: each[1].cycles)
    usual = [each for each in found if each[1].usual]
    usual_best = min(usual, key=lambda each: each[1].cycles, default=best)
    most = best[1].cycles * _FACTOR + _CYCLES
    return usual_best if usual_best[1].cycles <= most else best
