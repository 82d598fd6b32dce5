"""Memory by lifetime: nothing lies where something else is held, and little is wasted."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import specc
from specc.ops.views import root_of
from specc.passes.layout import HeldMemory, Layout, Packed, packed

MODELS = Path(__file__).resolve().parent.parent.parent / "benchmarks" / "models"


@settings(suppress_health_check=[HealthCheck.too_slow])  # on a busy machine
@given(st.lists(st.tuples(st.integers(1, 50), st.integers(0, 30), st.integers(1, 15)), max_size=25))
def test_no_two_spans_share_memory_while_both_are_held(drawn):
    spans = [
        HeldMemory(64 * size, 0, False, start, start + length) for size, start, length in drawn
    ]
    offsets = packed(spans)
    for i, (a, x) in enumerate(zip(spans, offsets, strict=True)):
        assert x >= 0
        for b, y in list(zip(spans, offsets, strict=True))[:i]:
            apart_in_time = a.end <= b.start or b.end <= a.start
            assert apart_in_time or x + a.size <= y or y + b.size <= x


def test_what_was_given_out_in_the_order_of_time_is_packed():
    layout = Layout(bytes_of_float=4, lanes=16)
    small, large = layout.take(64), layout.take(128)
    layout.give(small, 64)
    other = layout.take(128)  # the hole is too small
    assert (large, other, layout.arena) == (64, 192, 320)
    again = Packed(layout)
    assert again.arena == 256
    assert [again.take(size) for size in (64, 128, 128)] == [128, 0, 128]


def test_passing_memory_comes_before_all_other_memory():
    layout = Layout(bytes_of_float=4, lanes=16)
    taken = [layout.take(size, passing) for size, passing in SIZES]
    for size, passing in SIZES[2:3]:
        layout.give(taken[2], size, passing)
    layout.take(192, True)
    assert layout.passing == 64 + 256 and layout.arena == layout.passing + 128 + 64
    last = Packed(layout)
    offsets = [last.take(size, passing) for size, passing in (*SIZES, (192, True))]
    assert (last.passing, last.arena) == (layout.passing, layout.arena)
    ends = [at + size for at, (size, _) in zip(offsets, SIZES, strict=False)]
    assert max(ends[0], ends[2], offsets[4] + 192) <= last.passing <= min(offsets[1], offsets[3])


SIZES = [(64, True), (128, False), (256, True), (64, False)]


def test_the_arena_is_hardly_larger_than_what_is_held_at_once():
    plan = specc.compile(specc.load(MODELS / "vgg.dl"), threads=1).plan("train")
    first, last = {}, {}
    for i, step in enumerate(plan.steps):
        first.update({node: (i, place) for node, place in step.stores if node not in first})
        last.update({root_of(each): i for node in step.group.nodes for each in node.inputs})
    bytes_of = {"int": 4, "bool": 1, "byte": 1}
    held = [
        sum(
            bytes_of.get(node.type.kind, 4)
            * node.type.elements
            * (plan.lanes if node.type.batched else 1)
            for node, (start, place) in first.items()
            if place.space == "arena" and start <= i <= last.get(node, start)
        )
        for i in range(len(plan.steps))
    ]
    assert plan.arena_bytes < 1.1 * max(held)
