"""Products of operands that are rounded to bfloat16, by the forms of float32 on copies of them.

    ROUNDED = forms(FORMS)      # for each form two: by pairs, and on float32 numbers

By pairs: two neighbours of the sum are one element of 32 bits, and an instruction adds both of
their products to a sum in float32. So the contraction is one over half as many points, and runs in
the same tiles. Weights and the values of examples are paired along an axis that is summed over; the
operands of a weights' gradient along the lanes.

On float32 numbers: the copies have the rounded numbers, where there is no such axis, or where a
method with fewer products is faster.

A place is left for tiles of two dimensions (AMX): a form of its own, whose operands lie in pairs,
too.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from functools import lru_cache, partial

import numpy as np

from specc.backend.contraction.gradient import sums_of
from specc.backend.contraction.loops.rounding import (
    interleave_kernel,
    neighbours_kernel,
    round_kernel,
)
from specc.backend.contraction.problem import Candidate, ContractionKind, KernelForm, Problem
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import WHOLE, ContractionPlan, Operand, Within, rows_of
from specc.backend.llvm.kernel import Kernel
from specc.ir.plan import ALIGNMENT
from specc.ir.sharing import share
from specc.ops.contract import Affine, Contract, Map
from specc.system.records import dataclass

# Cycles to copy a vector of float32 numbers, and to start a run.
_COPY, _RUN = 2, 8
_VECTOR = 64  # bytes
_BYTES = 4  # of an element: a float32 number, or a pair
_PAIRED = {"contract", "packed", "across", "dot", "run", "rows", "outer", "transposed"}
LANES = -1  # stands for the axis of lanes


@dataclass(frozen=True)
class Length:
    """An axis of an operand: how many entries are read, and elements from one to the next."""

    size: int
    stride: int


@dataclass(frozen=True, eq=False)
class RoundedCopy:
    """A rounded copy of an operand: the kernel that makes it, and how it lies.

    `numbers` are the kernel's parameters behind `x`, `out` and the table.
    """

    kernel: Kernel
    table: np.ndarray
    numbers: tuple[int, ...]
    size: int  # elements of the copy
    strides: dict[int, int]  # of the copy, by the number of the axis
    cycles: float

    @property
    def bytes(self) -> int:
        """The memory of the copy, and of a vector that is read beyond its end."""
        return self.size * _BYTES + _VECTOR

    def plan(self, given: str, out: str | Within) -> ContractionPlan:
        """The call that makes the copy at `out`."""
        return ContractionPlan(
            self.kernel,
            (given, out, "table", *self.numbers),
            {"table": self.table},
            copied=self.bytes,
        )


def forms(known: Iterable[KernelForm]) -> tuple[KernelForm, ...]:
    """Return the forms of rounded products that are carried out by the known ones."""
    known = tuple(known)
    pairs = [
        KernelForm(f"{each.name} by pairs", each.kind, partial(_by_pairs, each))
        for each in known
        if each.name in _PAIRED
    ]
    plain = [
        KernelForm(f"{each.name}, rounded", each.kind, partial(_on_floats, each)) for each in known
    ]
    return (*pairs, *plain)


@dataclass(frozen=True)
class RowsOfProblem:
    """A problem of some rows alone: elements before theirs in both operands, and in the result."""

    problem: Problem
    starts: tuple[int, int] = (0, 0)
    out: int = 0


@lru_cache(maxsize=64)
def _own(problem: Problem) -> RowsOfProblem:
    """The problem of the rows of a part alone, so that no other rows of the weights are copied."""
    op, part = problem.contract, problem.part
    if part.parts == 1 or not part.even or problem.kind is not ContractionKind.LANES:
        return RowsOfProblem(problem)
    rows = rows_of(problem.op, problem.operands)
    is_left = problem.names["w"] == "left"
    weights, map_ = (problem.left, op.left) if is_left else (problem.right, op.right)
    row = rows.indices[0] if len(rows.indices) == 1 else len(op.extents)
    axis, of_weights = _axis(op.out, row), _axis(map_, row)
    if axis is None or of_weights is None:
        return RowsOfProblem(problem)
    start, count = share(rows.size, part.number, part.parts)
    extents = tuple(count if i == row else size for i, size in enumerate(op.extents))
    shape = tuple(count if n == axis else size for n, size in enumerate(op.shape))
    whole = replace(
        problem, contract=replace(op, extents=extents, shape=shape), part=WHOLE, wanted=None
    )
    shift = start * weights.strides[of_weights]
    starts = (shift, 0) if is_left else (0, shift)
    return RowsOfProblem(whole, starts, start * problem.result.strides[axis])


def _on_floats(form: KernelForm, problem: Problem) -> Iterator[Candidate]:
    """The form on copies of the rounded numbers in float32."""
    own = _own(problem)
    if 0 not in own.problem.contract.extents:
        copies = [_copied(own, n, None) for n in range(2)]
        op = replace(own.problem.contract, rounded=False)
        yield from _candidates(form, own, replace(own.problem, contract=op), copies)


def _by_pairs(form: KernelForm, problem: Problem) -> Iterator[Candidate]:
    """The form on pairs, along each axis that they may lie along."""
    target, own = problem.target, _own(problem)
    is_fit = target.machine.multiplies_bfloat16 and target.dtype == "float32"
    if is_fit and 0 not in own.problem.contract.extents:
        if problem.kind is ContractionKind.GRADIENT:
            yield from _along_lanes(form, own)
        for index in _indices(own.problem):
            yield from _along(form, own, index)


def _indices(problem: Problem) -> Sequence[int]:
    """The indices that pairs may lie along: each is one whole axis of both operands, and summed
    over."""
    op = problem.contract
    if problem.kind is ContractionKind.GRADIENT:
        return []
    kept = {i for expression in op.out for i, _ in expression.terms}
    return [
        i
        for i, size in enumerate(op.extents)
        if size > 1
        and i not in kept
        and all(_axis(map_, i) is not None for map_ in (op.left, op.right))
    ]


def _axis(map_: Map, index: int) -> int | None:
    """The axis of an operand that an index runs through alone, from the first entry on."""
    axes = [n for n, each in enumerate(map_) if any(i == index for i, _ in each.terms)]
    return axes[0] if len(axes) == 1 and map_[axes[0]] == Affine(((index, 1),)) else None


def _along(form: KernelForm, own: RowsOfProblem, index: int) -> Iterator[Candidate]:
    """The form on pairs along an index."""
    problem = own.problem
    op, target = problem.contract, problem.target
    copies = [_copied(own, n, _axis(map_, index)) for n, map_ in enumerate((op.left, op.right))]
    extents = tuple((size + 1) // 2 if i == index else size for i, size in enumerate(op.extents))
    half = replace(op, extents=extents, rounded=False)
    inner = replace(problem, contract=half, target=replace(target, pairs=True))
    return _candidates(form, own, inner, copies)


def _along_lanes(form: KernelForm, own: RowsOfProblem) -> Iterator[Candidate]:
    """A gradient's form on pairs of lanes: of whole vectors, or of runs without gaps.

    `transposed` tiles read vectors that begin with any lane, `outer` tiles whole runs.
    """
    problem = own.problem
    op, target = problem.contract, problem.target
    half = replace(op, rounded=False)
    used = (problem.examples + 1) // 2
    for lanes in dict.fromkeys((_half(problem.lanes, target), problem.lanes // 2)):
        inner = replace(
            problem,
            contract=half,
            target=replace(target, pairs=True),
            lanes=lanes,
            used=used if used != lanes else 0,
        )
        copies = [_copied(own, n, LANES, lanes) for n in range(2)]
        is_fit = lanes % target.width == 0 or form.name == "transposed"
        if is_fit or (form.name == "outer" and _has_runs(inner, copies)):
            yield from _candidates(form, own, inner, copies)


def _has_runs(inner: Problem, copies: Sequence[RoundedCopy | None]) -> bool:
    """Whether `outer` tiles over the copies leave out no lanes: runs are whole vectors."""
    left, right = copies
    if left is None or right is None:
        return False
    op, width = inner.contract, inner.target.width
    kept = {i for expression in op.out for i, _ in expression.terms}
    points = math.prod(size for i, size in enumerate(op.bound_extents) if i not in kept)
    sums, _ = sums_of(_on_copies(inner, left, right))
    return int(sums.segments[:, 2].sum()) * width == points * inner.lanes


def _half(lanes: int, target: Target) -> int:
    """The lanes of pairs, in whole vectors."""
    return -(-lanes // (2 * target.width)) * target.width


def _on_copies(inner: Problem, left: RoundedCopy, right: RoundedCopy) -> Problem:
    """The problem whose operands are copies."""
    op = inner.contract
    operands = [
        Operand(tuple(copy.strides.get(n, 0) for n in range(len(map_))), given.batched)
        for copy, map_, given in (
            (left, op.left, inner.left),
            (right, op.right, inner.right),
        )
    ]
    return replace(inner, left=operands[0], right=operands[1])


def _candidates(
    form: KernelForm, own: RowsOfProblem, inner: Problem, copies: Sequence[RoundedCopy | None]
) -> Iterator[Candidate]:
    """The form's candidates for `inner`, whose operands are the copies of those of the problem."""
    left, right = copies
    if left is None or right is None:
        return
    problem = own.problem
    given = (problem.left, problem.right)
    cycles = 0.0
    for copy, operand in zip((left, right), given, strict=True):
        is_lasting = not operand.batched
        cycles += (
            copy.cycles
            * (0 if is_lasting and problem.kept else 1)
            / (problem.calls if is_lasting else 1)
        )
    places = {"left": left, "right": right}
    slowness = problem.target.profile.slowness_of_pairs if inner.target.pairs else 1.0

    def build(found: Candidate) -> ContractionPlan:
        return _plan(found.plan(), places, own)

    for found in form.candidates(_on_copies(inner, left, right)):
        total = found.cycles * slowness + cycles
        yield Candidate(found.shape, total, partial(build, found), found.usual)


def _plan(
    inner: ContractionPlan, copies: dict[str, RoundedCopy], own: RowsOfProblem
) -> ContractionPlan:
    """The plan of a form with calls that copy its operands first.

    What is packed anew only if weights change is copied only then: the weights, or, where the form
    packs nothing itself, their copy is what is packed.
    """
    problem = own.problem
    scratch, places = -(-inner.scratch // ALIGNMENT) * ALIGNMENT, {}
    for name, copy in copies.items():
        places[name] = Within(scratch)
        scratch += -(-copy.bytes // ALIGNMENT) * ALIGNMENT
    weights = (
        problem.names["w"]
        if problem.kind in (ContractionKind.LANES, ContractionKind.SINGLE)
        else None
    )
    packed, packing = inner.packed, inner.packing
    known: dict[str, str | Within] = dict(places)
    if own.out:
        known["out"] = Within(own.out * _BYTES, "out")
    if packing is not None:
        read = [name for name in copies if name in packing.parameters]
        before = tuple(copies[name].plan(name, places[name]) for name in read)
        packing = replace(_renamed(packing, known), before=before)
    elif weights is not None:
        read, known[weights] = [weights], "packed"
        packing, packed = copies[weights].plan(weights, "packed"), copies[weights].bytes
    else:
        read = []
    before = tuple(
        copy.plan(name, places[name]) for name, copy in copies.items() if name not in read
    )
    return replace(
        _renamed(inner, known), scratch=scratch, packing=packing, packed=packed, before=before
    )


def _renamed(plan: ContractionPlan, known: dict[str, str | Within]) -> ContractionPlan:
    """The plan with other addresses in the place of its operands."""
    parameters = tuple(
        known.get(each, each) if isinstance(each, str) else each for each in plan.parameters
    )
    return replace(plan, parameters=parameters)


@lru_cache(maxsize=64)
def _copied(
    own: RowsOfProblem, number: int, paired: int | None, lanes: int = 0
) -> RoundedCopy | None:
    """The copy of the left (0) or right (1) operand, in pairs along an axis unless that is None.

    Pairs of lanes take `lanes` places. None if such a copy makes no sense.
    """
    found = _copied_from_start(own.problem, number, paired, lanes)
    return found and replace(found, table=_moved(found.table, own.starts[number]))


def _moved(table: np.ndarray, start: int) -> np.ndarray:
    """A table of offsets, so many elements further on."""
    return table + start * np.array([1, 1, 0][: table.shape[1]] if table.ndim > 1 else 1)


def _copied_from_start(
    problem: Problem, number: int, paired: int | None, lanes: int
) -> RoundedCopy | None:
    op, target = problem.contract, problem.target
    operand, map_ = ((problem.left, op.left), (problem.right, op.right))[number]
    axes = {
        n: Length(_read(op, expression), stride)
        for n, (expression, stride) in enumerate(zip(map_, operand.strides, strict=True))
    }
    if operand.batched:
        axes[LANES] = Length(problem.lanes, 1)
    if paired is not None and axes[paired].stride == 0:
        return None
    # an axis of one entry, or of equal ones, is not copied
    axes = {n: each for n, each in axes.items() if n == paired or (each.size > 1 and each.stride)}
    if any(each.stride < 0 for each in axes.values()):
        return None
    if paired is None:
        return _rounded(axes, target)
    if axes[paired].stride == 1:
        return _neighbours(axes, paired, lanes, target)
    return _interleaved(axes, paired, target)


def _read(op: Contract, expression: Affine) -> int:
    """The entries of an axis up to the last one that is read."""
    extents = op.bound_extents
    reach = sum(c * (extents[i] - 1) for i, c in expression.bound_terms)
    return 1 + expression.constant + reach


def _run(axes: dict[int, Length], start: int = 1) -> tuple[int, list[int]]:
    """The elements that lie side by side, from `start` on, and the axes that they run through."""
    run, inside = start, []
    for n, axis in sorted(axes.items(), key=lambda each: each[1].stride):
        if axis.stride == run:
            run *= axis.size
            inside.append(n)
    return run, inside


def _table(axes: dict[int, Length], row: int) -> tuple[np.ndarray, dict[int, int]]:
    """Offsets of the points of some axes, int64 [points]; and their strides in a copy.

    The copy has `row` elements for each point.
    """
    at, strides = np.zeros(1, np.int64), {}
    order = sorted(axes.items(), key=lambda each: -each[1].stride)
    for _, axis in order:
        at = (at[:, None] + np.arange(axis.size) * axis.stride).reshape(-1)
    for n, axis in reversed(order):
        strides[n] = row
        row *= axis.size
    return at, strides


def _rounded(axes: dict[int, Length], target: Target) -> RoundedCopy:
    """A copy of rounded float32 numbers."""
    run, inside = _run(axes)
    rest = {n: each for n, each in axes.items() if n not in inside}
    at, strides = _table(rest, run)
    strides |= {n: axes[n].stride for n in inside}
    cycles = len(at) * (_RUN + 2 * _COPY * -(-run // target.width))
    return RoundedCopy(round_kernel(target), at, (len(at), run), len(at) * run, strides, cycles)


def _neighbours(axes: dict[int, Length], paired: int, lanes: int, target: Target) -> RoundedCopy:
    """A copy in pairs along an axis whose entries lie side by side."""
    size = axes[paired].size
    others = {n: each for n, each in axes.items() if n != paired}
    row = lanes if paired == LANES else (size + 1) // 2
    run = size
    inside: list[int] = []
    if 2 * row == size:  # no run ends within a pair
        run, inside = _run(others, size)
        row = run // 2
    rest = {n: each for n, each in others.items() if n not in inside}
    at, strides = _table(rest, row)
    strides |= {n: axes[n].stride // 2 for n in inside} | {paired: 1}
    cycles = len(at) * (_RUN + _COPY * -(-run // target.width))
    return RoundedCopy(
        neighbours_kernel(target), at, (len(at), run, row), len(at) * row, strides, cycles
    )


def _interleaved(axes: dict[int, Length], paired: int, target: Target) -> RoundedCopy:
    """A copy in pairs along an axis whose entries lie apart."""
    size, stride = axes[paired].size, axes[paired].stride
    run, inside = _run({n: each for n, each in axes.items() if n != paired})
    rest = {n: each for n, each in axes.items() if n not in inside}
    rest[paired] = Length((size + 1) // 2, 2 * stride)
    at, strides = _table(rest, run)
    # the second number of each pair; the last pair may have none
    order = sorted(rest, key=lambda n: -rest[n].stride)
    place = np.indices([rest[n].size for n in order])[order.index(paired)].reshape(-1)
    has = 2 * place + 1 < size
    table = np.stack([at, np.where(has, at + stride, at), has.astype(np.int64)], 1)
    strides |= {n: axes[n].stride for n in inside}
    cycles = len(at) * (_RUN + 2 * _COPY * -(-run // target.width))
    return RoundedCopy(
        interleave_kernel(target),
        np.ascontiguousarray(table),
        (len(at), run),
        len(at) * run,
        strides,
        cycles,
    )
