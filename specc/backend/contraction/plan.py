"""A contraction with known sizes to a call of a kernel that runs it in register tiles.

    plan = plan_contraction(op, left, right, out, lanes=64)     # None: no fast form
    block = plan.args(left=address, right=address, out=address, scratch=address)

A batched operand lies in memory as [axes..., lanes], the lanes contiguous; any other as its strides
say. The forms of weights x batched, all driven by tables of offsets:

    spread   a `contract` tile at every position of the result
    packed   the same where weights are used often: they are copied first, in the tiles' own order
    winograd for 3x3 weights and unit steps, where 16 products for 36 outweigh the transforms: see
             `winograd`

Those of one lane are in `single`, those of the weights' gradient in `weights_gradient`.
"""

from __future__ import annotations

from collections.abc import Mapping

from specc.backend.contraction.gradient import plan_gradient
from specc.backend.contraction.single import plan_single
from specc.backend.contraction.target import Target
from specc.backend.contraction.tiled import Tiles, contract_plan, packed_plan
from specc.backend.contraction.tiling import (
    WHOLE,
    ContractionPlan,
    Linear,
    Operand,
    Part,
    by_weights,
    part_of,
    rows_of,
    split,
    taps_and_positions,
)
from specc.backend.contraction.winograd import winograd_option
from specc.backend.machine import Machine, this_machine
from specc.ops.contract import Affine, Contract


def plan_contraction(
    op: Contract,
    left: Operand,
    right: Operand,
    out: Operand,
    lanes: int,
    dtype: str = "float32",
    machine: Machine | None = None,
    turns: int = 1,
    examples: int = 0,
    part: Part = WHOLE,
    wanted: tuple[tuple[int, int], ...] | None = None,
    kept: bool = False,
) -> ContractionPlan | None:
    """The fastest known form of `op` for these operands, `lanes` of the batch in each shard.

    It is called `turns` times with the same weights. Lanes from `examples` on hold nothing that
    counts (0: all do). Packed weights may be `kept` from run to run, so that it costs nothing to pack
    them. Only `part` of the result is computed; with lanes it must be an even share of the rows.
    Of the result only what lies from `wanted`[axis][0] up to `wanted`[axis][1] need be computed.
    """
    target = Target(dtype, machine or this_machine())
    operands = [Linear(op.left, left, "left"), Linear(op.right, right, "right")]
    read = dict(zip(op.out, wanted or (), strict=False))
    op, out = split(op, out)
    result = Linear(op.out, out, "out")
    if left.batched != right.batched and out.batched:
        weights, batched = sorted(operands, key=lambda each: each.batched)
        if lanes == 1:
            return plan_single(op, weights, batched, result, target, part, turns, kept)
        assert lanes % target.width == 0, (lanes, target)
        return _spread(op, weights, batched, result, lanes, target, turns, read, kept, part)
    if left.batched and right.batched and not out.batched and lanes > 1:
        return plan_gradient(op, operands, result, lanes, examples or lanes, target)
    return None


def _spread(
    op: Contract,
    weights: Linear,
    batched: Linear,
    out: Linear,
    lanes: int,
    target: Target,
    turns: int,
    read: Mapping[Affine, tuple[int, int]],
    kept: bool,
    part: Part,
) -> ContractionPlan | None:
    operands = (weights, batched, out)
    rows = rows_of(op, operands)
    classes = taps_and_positions(op, rows.indices, operands)
    if part[1] > 1:
        rows, classes = part_of(rows, classes, part)
        if not rows.size:
            return None
    points = sum(len(taps) * len(positions) for taps, positions in classes)
    average = max(1, points // sum(len(positions) for _, positions in classes))
    plain = Tiles(target, rows.size, average)
    shape, cycles = plain.best(lanes // target.width)
    names = {"x": batched.name, "w": weights.name}
    cycles *= sum(len(positions) for _, positions in classes)

    lists = by_weights(classes)
    # of each position, the vectors of its lanes
    columns = [len(positions) * (lanes // target.width) for _, positions in lists]
    packed_shape, packed_cycles = plain.best_packed(lists, columns)
    packed_cycles += 0 if kept else plain.packing(lists) / turns
    winograd = None
    if part[1] == 1:
        winograd = winograd_option(op, weights, batched, out, lanes, target, read, kept)
    if winograd is not None and winograd[0] < min(cycles, packed_cycles):
        return winograd[1]()
    if packed_cycles < cycles:
        return packed_plan(target, packed_shape, lists, rows, lanes, names)
    return contract_plan(target, shape, classes, rows, lanes, names)
