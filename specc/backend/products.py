"""A contraction of a plan as calls of the register tiles, where a tile fits it.

    calls = product_calls(node, shard, out, phase)      # one, or two: weights packed, then the product
"""

from __future__ import annotations

import ast
from functools import lru_cache

from specc.backend.calls import Address, Call, Table, Value
from specc.backend.contraction import plan_contraction
from specc.backend.tiling import WHOLE, ContractionPlan, Operand, Part
from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Repeated
from specc.ops.contract import Contract
from specc.ops.leaf import Input
from specc.ops.views import c_strides


def product_calls(node: Node, shard, out: Address, phase: int,
                  loop: Repeated | None = None, part: Part = WHOLE) -> list[Call]:
    """The calls that compute the node; none where loops must do.

    `shard` gives the views and addresses of values (see `emit`); `out` is where the result goes;
    `part` says which part of it the calls shall compute. In a loop, weights that stay the same in all
    turns are packed ahead of it, into memory that nothing else uses.
    """
    operands, places = [], []
    for each in node.inputs:
        seen = shard.plan.views[each]
        step = shard.lane_step(seen.root)
        operands.append(Operand(tuple(stride * step for stride in seen.strides), each.type.batched))
        places.append(shard.address(seen.root).moved(seen.offset * step * shard.item(seen.root)))
    step = shard.lane_step(node)
    strides = shard.plan.strides.get(node) or c_strides(node.type.shape)
    result = Operand(tuple(stride * step for stride in strides), node.type.batched)
    ahead = loop is not None and all(
        each.type.batched or not place.stride and isinstance(shard.plan.views[each].root.op, Input)
        for each, place in zip(node.inputs, places, strict=True))
    plan = _planned(node.op, *operands, result, shard.plan.lanes, shard.dtype,
                    loop.steps if ahead else 1, shard.plan.examples, part)
    if plan is None:
        return []
    if ahead:
        packed = shard.lasting(plan.packed)
    else:
        packed = Address("scratch", -(-plan.scratch // ALIGNMENT) * ALIGNMENT)
    scratch = plan.scratch if ahead else packed.offset + plan.packed
    known: dict[str, Value] = {"left": places[0], "right": places[1], "out": out,
                               "scratch": Address("scratch"), "packed": packed}
    calls = []
    if plan.packing is not None:
        calls.append(Call(plan.packing.kernel, _arguments(plan.packing, known), phase, (node,),
                          scratch, packs=True, lasting=packed.offset + plan.packed if ahead else 0))
    calls.append(Call(plan.kernel, _arguments(plan, known), phase, (node,), scratch))
    return calls


def _arguments(plan: ContractionPlan, known: dict[str, Value]) -> tuple[tuple[str, Value], ...]:
    known = {**known, **{name: Table(table) for name, table in plan.tables.items()}}
    names = _parameter_names(plan.kernel.source)
    return tuple((name, known[each] if isinstance(each, str) else each)
                 for name, each in zip(names, plan.parameters, strict=True))


@lru_cache(maxsize=1024)
def _planned(op: Contract, left: Operand, right: Operand, out: Operand, lanes: int,
             dtype: str, turns: int, examples: int, part: Part) -> ContractionPlan | None:
    """The plan, made once for all shards and programs of a model."""
    return plan_contraction(op, left, right, out, lanes, dtype, turns=turns, examples=examples,
                            part=part)


@lru_cache(maxsize=256)
def _parameter_names(source: str) -> tuple[str, ...]:
    definition = next(each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef))
    return tuple(each.arg for each in definition.args.args)
