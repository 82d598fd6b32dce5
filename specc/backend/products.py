"""A contraction of a plan as a call of the register tiles, where a tile fits it.

    kernel, arguments, scratch = product_call(node, shard, out)
"""

from __future__ import annotations

import ast
from functools import lru_cache

from specc.backend.calls import Address, Table, Value
from specc.backend.contraction import ContractionPlan, Operand, plan_contraction
from specc.backend.load import Kernel
from specc.ir.graph import Node
from specc.ops.contract import Contract
from specc.ops.views import c_strides


def product_call(
    node: Node, shard, out: Address
) -> tuple[Kernel, tuple[tuple[str, Value], ...], int] | None:
    """The kernel, its arguments and the scratch bytes it wants; None where loops must do.

    `shard` gives the views and addresses of values (see `emit`); `out` is where the result goes.
    """
    operands, places = [], []
    for each in node.inputs:
        seen = shard.plan.views[each]
        step = shard.lane_step(seen.root)
        operands.append(Operand(tuple(stride * step for stride in seen.strides), each.type.batched))
        places.append(shard.address(seen.root).moved(seen.offset * step * shard.item(seen.root)))
    step = shard.lane_step(node)
    result = Operand(tuple(stride * step for stride in c_strides(node.type.shape)), node.type.batched)
    plan = _planned(node.op, *operands, result, shard.plan.lanes, shard.dtype)
    if plan is None:
        return None
    known: dict[str, Value] = {
        "left": places[0], "right": places[1], "out": out, "scratch": Address("scratch"),
        **{name: Table(table) for name, table in plan.tables.items()},
    }
    names = _parameter_names(plan.kernel.source)
    arguments = tuple((name, known[each] if isinstance(each, str) else each)
                      for name, each in zip(names, plan.parameters, strict=True))
    return plan.kernel, arguments, plan.scratch


@lru_cache(maxsize=1024)
def _planned(op: Contract, left: Operand, right: Operand, out: Operand, lanes: int,
             dtype: str) -> ContractionPlan | None:
    """The plan, made once for all shards and programs of a model."""
    return plan_contraction(op, left, right, out, lanes, dtype)


@lru_cache(maxsize=256)
def _parameter_names(source: str) -> tuple[str, ...]:
    definition = next(each for each in ast.parse(source).body if isinstance(each, ast.FunctionDef))
    return tuple(each.arg for each in definition.args.args)
