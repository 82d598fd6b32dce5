"""Whether a graph over fewer steps computes the same."""

from __future__ import annotations

from specc.ir.graph import Graph
from specc.ir.types import Type
from specc.ops.elementwise import add
from specc.ops.leaf import Input, Role, leaf
from specc.passes.shorter import computes_the_same


def test_graphs_with_other_outputs_do_not_compute_the_same():
    x, y = (leaf(Input(Role.INPUT, name, Type("float", (3,), True))) for name in "xy")
    total = add(x, y)
    one, other = Graph({"output.a": total}), Graph({"output.b": total})
    more = Graph({"output.a": total, "output.b": total})
    assert computes_the_same(one, one, set())
    for a, b in ((one, other), (one, more), (more, one)):
        assert not computes_the_same(a, b, set())
