"""The calls of a contraction's plan: what each kernel is given, and the memory that it may use."""

from __future__ import annotations

import numpy as np
import pytest

from specc.backend.contraction.tiling import PREFETCHED, ContractionPlan
from specc.backend.emit.calls import Address, ConstantArray
from specc.backend.emit.products import plan_calls
from specc.backend.llvm.kernel import Kernel
from specc.ir.graph import Node, apply
from specc.ir.plan import ALIGNMENT
from specc.ir.types import Type
from specc.ops.leaf import Input, Role

NAMES = ("left", "right", "out", "scratch", "packed", *PREFETCHED, "table", "n")
SCRATCH, PACKED = 48, ALIGNMENT + 8
LEFT, RIGHT, OUT = Address("arena", 64), Address("param.w"), Address("arena", 128)


def kernel(name: str) -> Kernel:
    parameters = ", ".join(f'{each}: "int"' for each in NAMES)
    return Kernel(name, f"def {name}({parameters}):\n    pass\n", "float32")


def plan(name: str, **more) -> ContractionPlan:
    return ContractionPlan(kernel(name), (*NAMES[:-1], 7), {"table": np.array([1, 2])}, **more)


def node() -> Node:
    return apply(Input(Role.PARAM, "w", Type("float", (2,))))


def calls(**more):
    first = plan("first", copied=3)
    packing = plan("second", packing=first, copied=5)
    whole = plan(
        "product",
        scratch=SCRATCH,
        packing=packing,
        packed=PACKED,
        prefetches=True,
        updating=kernel("updating"),
        before=(plan("before", copied=9),),
    )
    return plan_calls(whole, node(), [LEFT, RIGHT], OUT, 4, **more)


def test_kernels_that_pack_come_first():
    found = calls()
    assert [each.kernel.name for each in found] == ["first", "second", "before", "product"]
    assert [each.packs for each in found] == [True, True, True, False]
    assert [each.copied for each in found] == [3, 5, 9, 0]
    assert [each.prefetches for each in found] == [False, False, False, True]
    assert {each.phase for each in found} == {4}
    assert not any(each.once or each.lasting for each in found)


def test_packed_weights_and_the_kernel_s_own_memory_lie_apart_in_the_scratch():
    for each in calls():
        given = dict(each.arguments)
        assert given["packed"] == Address("scratch")
        own = given["scratch"]
        assert own == Address("scratch", 2 * ALIGNMENT)  # the first aligned place behind them
        assert each.scratch == own.offset + SCRATCH
        assert (given["left"], given["right"], given["out"], given["n"]) == (LEFT, RIGHT, OUT, 7)
        assert isinstance(given["table"], ConstantArray) and list(given["table"].array) == [1, 2]


@pytest.mark.parametrize("once", [False, True])
def test_weights_that_are_packed_ahead_need_no_scratch(once):
    ahead = Address("lasting", 512)
    found = calls(ahead=ahead, once=once)
    for each in found:
        given = dict(each.arguments)
        assert given["packed"] == ahead
        assert given["scratch"] == Address("scratch")
        assert each.scratch == SCRATCH
    assert [each.lasting for each in found] == [512 + PACKED] * 2 + [0, 0]
    assert [each.once for each in found] == [once, once, False, False]


def prefetched(call) -> list:
    given = dict(call.arguments)
    return [given[name] for name in PREFETCHED]


def test_a_product_prefetches_what_the_next_call_uses_and_by_default_its_own_operand():
    *_, product = calls()
    assert prefetched(product) == [LEFT, LEFT, LEFT, 0]
    one, other = Address("arena", 1024), Address("arena", 2048)
    *_, updating = calls(prefetched=[one, other], prefetched_size=96)
    assert updating.kernel.name == "updating"
    assert prefetched(updating) == [one, other, one, 96]


def test_a_plan_without_a_kernel_for_it_does_not_update():
    (call,) = plan_calls(plan("only"), node(), [LEFT, RIGHT], OUT, 0, None, [OUT], 96)
    assert call.kernel.name == "only" and call.scratch == 0
