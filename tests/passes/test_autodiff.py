"""Gradients as graphs: their names."""

from __future__ import annotations

import specc
from specc import pipeline
from specc.source import Source


def test_a_gradient_has_the_name_of_the_first_value_that_it_is_for():
    graph = pipeline.with_gradients(
        specc.load(
            Source(
                "m.dl",
                """model m {
      input x: float[3]
      param w: float[3] = normal
      param v: float[3] = normal
      let a = tanh(x * w)
      let b = tanh(x * v)
      let y = a + b
      output y
      loss sum(y * y)
    }""",
            )
        )
    )
    names = {node.origin.name for node in graph.nodes if node.origin.name}
    assert {"dy", "dw", "dv"} <= names
    assert not names & {"da", "db"}, "the gradient for a sum is the one for its terms"
    assert not any(name == "d" or name.startswith(("dd", "dNone")) for name in names)
