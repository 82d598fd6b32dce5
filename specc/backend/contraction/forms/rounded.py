"""Contractions of operands rounded to bfloat16, by the float32 forms on rounded copies.

    ROUNDED = forms(FORMS)      # for each form two: by pairs, and on float32 numbers

By pairs: two neighboring terms of the sum are one element of 32 bits, and one instruction adds both
of their products to a float32 accumulator. The contraction then has half as many points, and runs
in the same tiles. Weights and the values of examples are paired along an axis that is summed over,
the operands of a weights' gradient along the lanes.

On float32 numbers: the copies hold the rounded numbers as float32. This serves contractions without
such an axis, and methods with fewer products, which may be faster.
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

# The cycles to copy a vector of float32 numbers, and to start a run.
_COPY, _RUN = 2, 8
_VECTOR = 64  # bytes
_BYTES = 4  # the size of an element: a float32 number, or a pair
_PAIRED = {"contract", "packed", "across", "dot", "run", "rows", "outer", "transposed"}
LANES = -1  # the number of the axis of lanes


@dataclass(frozen=True)
class Length:
    """An axis of an operand: the number of entries that are read, and their stride in elements."""

    size: int
    stride: int


@dataclass(frozen=True, eq=False)
class RoundedCopy:
    """A rounded copy of an operand: the kernel that makes it, and its layout.

    `numbers` are the kernel's parameters after `x`, `out` and the table.
    """

    kernel: Kernel
    table: np.ndarray
    numbers: tuple[int, ...]
    size: int  # elements of the copy
    strides: dict[int, int]  # of the copy, by the number of the axis
    cycles: float

    @property
    def bytes(self) -> int:
        """The memory of the copy, and of a vector beyond its end, because tiles may read that."""
        return self.size * _BYTES + _VECTOR

    def plan(self, given: str, out: str | Within) -> ContractionPlan:
        """Return the call that makes the copy at `out`."""
        return ContractionPlan(
            self.kernel,
            (given, out, "table", *self.numbers),
            {"table": self.table},
            copied=self.bytes,
        )


def forms(known: Iterable[KernelForm]) -> tuple[KernelForm, ...]:
    """Return the forms of rounded contractions that use the known forms."""
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
    """A problem with only some rows, and the offsets of these rows in the operands and result."""

    problem: Problem
    starts: tuple[int, int] = (0, 0)
    out: int = 0


@lru_cache(maxsize=64)
def _own(problem: Problem) -> RowsOfProblem:
    """Return the problem of a part's own rows, so that no other rows of the weights are copied."""
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
    """Yield a form's candidates on copies of the rounded numbers in float32."""
    own = _own(problem)
    if 0 not in own.problem.contract.extents:
        copies = [_copied(own, n, None) for n in range(2)]
        op = replace(own.problem.contract, rounded=False)
        yield from _candidates(form, own, replace(own.problem, contract=op), copies)


def _by_pairs(form: KernelForm, problem: Problem) -> Iterator[Candidate]:
    """Yield a form's candidates on pairs, along each axis that allows pairs."""
    target, own = problem.target, _own(problem)
    is_fit = target.machine.multiplies_bfloat16 and target.dtype == "float32"
    if is_fit and 0 not in own.problem.contract.extents:
        if problem.kind is ContractionKind.GRADIENT:
            yield from _along_lanes(form, own)
        for index in _indices(own.problem):
            yield from _along(form, own, index)


def _indices(problem: Problem) -> Sequence[int]:
    """Return the indices that are one whole axis of both operands, and are summed over.

    Pairs may be along them.
    """
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
    """Return the axis of an operand whose position is exactly an index; None if there is none."""
    axes = [n for n, each in enumerate(map_) if any(i == index for i, _ in each.terms)]
    return axes[0] if len(axes) == 1 and map_[axes[0]] == Affine(((index, 1),)) else None


def _along(form: KernelForm, own: RowsOfProblem, index: int) -> Iterator[Candidate]:
    """Yield a form's candidates on pairs along an index."""
    problem = own.problem
    op, target = problem.contract, problem.target
    copies = [_copied(own, n, _axis(map_, index)) for n, map_ in enumerate((op.left, op.right))]
    extents = tuple((size + 1) // 2 if i == index else size for i, size in enumerate(op.extents))
    half = replace(op, extents=extents, rounded=False)
    inner = replace(problem, contract=half, target=replace(target, pairs=True))
    return _candidates(form, own, inner, copies)


def _along_lanes(form: KernelForm, own: RowsOfProblem) -> Iterator[Candidate]:
    """Yield the candidates of a gradient's form on pairs of lanes.

    The pairs of an example's value fill whole vectors, or have no gaps between values. `transposed`
    tiles may read vectors from any lane on, and `outer` tiles long runs.
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
    """Return whether `outer` tiles cover all lanes of the copies: runs are whole vectors."""
    left, right = copies
    if left is None or right is None:
        return False
    op, width = inner.contract, inner.target.width
    kept = {i for expression in op.out for i, _ in expression.terms}
    points = math.prod(size for i, size in enumerate(op.bound_extents) if i not in kept)
    sums, _ = sums_of(_on_copies(inner, left, right))
    return int(sums.segments[:, 2].sum()) * width == points * inner.lanes


def _half(lanes: int, target: Target) -> int:
    """Return the number of lanes of pairs, rounded up to whole vectors."""
    return -(-lanes // (2 * target.width)) * target.width


def _on_copies(inner: Problem, left: RoundedCopy, right: RoundedCopy) -> Problem:
    """Return the problem with the layouts of the copies in place of the operands'."""
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
    """Yield a form's candidates for `inner` on the copies, with the cycles of copying added."""
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
    """Return the plan of a form, with calls before it that copy its operands.

    Packed weights are only copied when they are packed. If the form does not pack its weights,
    their copy takes the place of packed weights.
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
    """Return the plan with other addresses for its operands."""
    parameters = tuple(
        known.get(each, each) if isinstance(each, str) else each for each in plan.parameters
    )
    return replace(plan, parameters=parameters)


@lru_cache(maxsize=64)
def _copied(
    own: RowsOfProblem, number: int, paired: int | None, lanes: int = 0
) -> RoundedCopy | None:
    """Return the copy of the left (0) or right (1) operand, in pairs along the axis `paired`.

    If `paired` is None, the copy has float32 numbers. Pairs of lanes are `lanes` elements. None if
    no such copy is possible.
    """
    found = _copied_from_start(own.problem, number, paired, lanes)
    return found and replace(found, table=_moved(found.table, own.starts[number]))


def _moved(table: np.ndarray, start: int) -> np.ndarray:
    """Return a table with `start` added to its offsets."""
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
    # the copy has no axes with a single entry, and none with a stride of 0
    axes = {n: each for n, each in axes.items() if n == paired or (each.size > 1 and each.stride)}
    if any(each.stride < 0 for each in axes.values()):
        return None
    if paired is None:
        return _rounded(axes, target)
    if axes[paired].stride == 1:
        return _neighbours(axes, paired, lanes, target)
    return _interleaved(axes, paired, target)


def _read(op: Contract, expression: Affine) -> int:
    """Return the number of entries of an axis up to the last one that is read."""
    extents = op.bound_extents
    reach = sum(c * (extents[i] - 1) for i, c in expression.bound_terms)
    return 1 + expression.constant + reach


def _run(axes: dict[int, Length], start: int = 1) -> tuple[int, list[int]]:
    """Return the length of the longest contiguous run, starting with `start`, and its axes."""
    run, inside = start, []
    for n, axis in sorted(axes.items(), key=lambda each: each[1].stride):
        if axis.stride == run:
            run *= axis.size
            inside.append(n)
    return run, inside


def _table(axes: dict[int, Length], row: int) -> tuple[np.ndarray, dict[int, int]]:
    """Return the offsets of all points of some axes, int64 [points], and the copy's strides.

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
    """Return a copy of rounded float32 numbers."""
    run, inside = _run(axes)
    rest = {n: each for n, each in axes.items() if n not in inside}
    at, strides = _table(rest, run)
    strides |= {n: axes[n].stride for n in inside}
    cycles = len(at) * (_RUN + 2 * _COPY * -(-run // target.width))
    return RoundedCopy(round_kernel(target), at, (len(at), run), len(at) * run, strides, cycles)


def _neighbours(axes: dict[int, Length], paired: int, lanes: int, target: Target) -> RoundedCopy:
    """Return a copy in pairs along an axis whose entries are contiguous."""
    size = axes[paired].size
    others = {n: each for n, each in axes.items() if n != paired}
    row = lanes if paired == LANES else (size + 1) // 2
    run = size
    inside: list[int] = []
    if 2 * row == size:  # no pair crosses the end of a run, so runs can be joined
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
    """Return a copy in pairs along an axis whose entries are not contiguous."""
    size, stride = axes[paired].size, axes[paired].stride
    run, inside = _run({n: each for n, each in axes.items() if n != paired})
    rest = {n: each for n, each in axes.items() if n not in inside}
    rest[paired] = Length((size + 1) // 2, 2 * stride)
    at, strides = _table(rest, run)
    # the offset of the second number of each pair, which the last pair may not have
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
