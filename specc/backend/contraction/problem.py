"""A contraction to be computed, and the forms' candidates for it.

    problem = Problem(op, left, right, out, lanes=64, target=target)
    list(FORM.candidates(problem))       # [Candidate((6, 4), cycles, plan)]; []: it does not fit

A form is one file of `forms`: a way to compute contractions of one kind by kernels of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from enum import Enum

import numpy as np

from specc.backend.contraction.target import Target
from specc.backend.contraction.tiling import (
    WHOLE,
    ContractionPlan,
    Linear,
    LoopAxis,
    Operand,
    Part,
    exact,
    narrowed,
    part_of,
    rows_of,
    split,
    taps_and_positions,
)
from specc.ir.sizes import bound, count
from specc.ops.contract import Affine, Contract
from specc.system.lazy import cached_property
from specc.system.records import dataclass


class ContractionKind(Enum):
    """The kinds of contractions that have forms."""

    LANES = "weights times the values of several lanes"
    SINGLE = "weights times the values of one example"
    BATCHED = "values of each example times other values of the same example"
    GRADIENT = "a sum over lanes, which is a gradient of weights"


@dataclass(frozen=True)
class Problem:
    """A contraction and the memory layout of its operands.

    A batched operand is [axes..., lanes] in memory, with contiguous lanes; the layout of any other
    is given by its strides. Only the first `used` lanes hold data (0: all of them). `calls` is the
    number of calls that reuse the same weights. With `kept`, packed weights survive from run to
    run, so packing costs nothing. Only `part` of the result is computed; with lanes, it is an even
    share of the rows. `wanted` holds the start and the end of the part of the result that is read,
    along each axis; the rest need not be computed.
    """

    contract: Contract
    left: Operand
    right: Operand
    result: Operand
    lanes: int
    target: Target
    calls: int = 1
    used: int = 0
    part: Part = WHOLE
    wanted: tuple[tuple[int, int], ...] | None = None
    kept: bool = False

    @cached_property
    def kind(self) -> ContractionKind | None:
        """The kind of the contraction; None if it has no form."""
        left, right, out = self.left.batched, self.right.batched, self.result.batched
        if left != right and out:
            return ContractionKind.SINGLE if self.lanes == 1 else ContractionKind.LANES
        if left and right and out and self.lanes > 1:
            return ContractionKind.BATCHED
        if not (left and right and not out and self.lanes > 1):
            return None
        return ContractionKind.GRADIENT if self.is_plain else None

    @cached_property
    def is_plain(self) -> bool:
        """Whether each index occurs in an operand, and each axis of the result is one index."""
        op, kept = self.op, set(self.operands[2].steps)
        axes = sum(size != 1 for size in map(bound, op.shape))
        is_used = all(any(i in each for each in self.operands[:2]) for i in self.indices)
        return is_used and len(kept) == axes and all(exact(op, i) for i in kept)

    @property
    def examples(self) -> int:
        """The number of lanes that hold data."""
        return self.used or self.lanes

    @cached_property
    def _split(self) -> tuple[Contract, Operand]:
        return split(self.contract, self.result)

    @property
    def op(self) -> Contract:
        """The contraction with the result's axes split, so that each is one index if possible.

        Its maps have no indices with a single value.
        """
        return self._split[0]

    @property
    def indices(self) -> list[int]:
        """The indices that have more than one value."""
        return [i for i, size in enumerate(self.op.bound_extents) if size != 1]

    @cached_property
    def operands(self) -> tuple[Linear, Linear, Linear]:
        """The weights, the batched operand, and the result; for a gradient left, right, result."""
        left = Linear(self.op.left, self.left, "left")
        right = Linear(self.op.right, self.right, "right")
        weights, batched = sorted((left, right), key=lambda each: each.batched)
        return weights, batched, Linear(self.op.out, self._split[1], "out")

    @property
    def pairs(self) -> tuple[tuple[Linear, Linear], tuple[Linear, Linear]]:
        """The operands of a gradient in both orders."""
        left, right, _ = self.operands
        return (left, right), (right, left)

    @property
    def is_rounded(self) -> bool:
        """Whether the operands are rounded to bfloat16 as they are read."""
        return self.contract.rounded

    @property
    def names(self) -> dict[str, str]:
        """The names of the batched operand and of the weights."""
        return {"x": self.operands[1].name, "w": self.operands[0].name}

    def bytes_of(self, name: str) -> int:
        """Return the bytes that are read of an operand, "left" or "right"."""
        op, operand = self.contract, self.left if name == "left" else self.right
        size = self.target.bytes * (max(self.lanes, 1) if operand.batched else 1)
        for each in op.left if name == "left" else op.right:
            size *= 1 + sum(abs(bound(c)) * (op.bound_extents[i] - 1) for i, c in each.terms)
        return size

    @property
    def x_bytes(self) -> int:
        """The bytes of the batched operand."""
        return self.bytes_of(self.names["x"])

    @property
    def out_bytes(self) -> int:
        """The bytes of this part of the result."""
        size = count(self.contract.shape) * self.target.bytes // self.part.parts
        return size * (max(self.lanes, 1) if self.result.batched else 1)

    @cached_property
    def read(self) -> Mapping[Affine, tuple[int, int]]:
        """The start and the end of the part of the result that is read, by the axis' expression."""
        return dict(zip(narrowed(self.contract).out, self.wanted or (), strict=False))

    @property
    def has_rows_first(self) -> bool:
        """Whether the first axis of the result is the axis of the rows of the weights."""
        indices = {i for i, _ in self.op.out[0].terms} if self.op.out else set()
        return indices <= set(rows_of(self.op, self.operands).indices)

    @cached_property
    def taps(self) -> tuple[LoopAxis, list]:
        """The rows and the tap groups of the part that is computed (see `taps_and_positions`)."""
        rows = rows_of(self.op, self.operands)
        groups = taps_and_positions(self.op, rows.indices, self.operands)
        return part_of(rows, groups, self.part) if self.part.parts > 1 else (rows, groups)

    def groups_read(self, without: Sequence[int]) -> list:
        """Return the tap groups with only the positions that are read (see `taps_and_positions`).

        The indices in `without` are not part of a position, so all of their values are computed.
        """
        groups = taps_and_positions(self.op, without, self.operands)
        if self.wanted is None:
            return groups
        read = np.zeros(1, np.int64)
        strides = self.operands[2].strides
        for expression, size, stride in zip(self.op.out, self.op.shape, strides, strict=True):
            if not any(i in without for i, _ in expression.terms):
                start, end = self.read.get(expression, (0, bound(size)))
                read = (read[:, None] + np.arange(start, end) * stride).reshape(-1)
        known = set(read.tolist())
        found = []
        for taps, positions in groups:
            own = positions[[at in known for at in positions[:, 2].tolist()]]
            if len(own):
                found.append((taps, own))
        return found


@dataclass(frozen=True)
class Candidate:
    """A tile of a form: its shape, its estimated cycles, and the function that makes its plan.

    `usual` shapes suit many layers; any other shape is one more kernel to compile.
    """

    shape: tuple[int, int]
    cycles: float
    plan: Callable[[], ContractionPlan]
    usual: bool = True


@dataclass(frozen=True)
class KernelForm:
    """A way to compute contractions of one kind; without candidates, it does not fit a problem."""

    name: str
    kind: ContractionKind
    candidates: Callable[[Problem], Iterable[Candidate]]
