"""Weights of examples: the loss of each example is multiplied by the example's weight.

weighed(program)     # with another input, `example.weight`, a number for each example
"""

from __future__ import annotations

from dataclasses import replace

from specc.ir.program import Program, Term
from specc.ir.types import Type
from specc.ops.elementwise import mul
from specc.ops.leaf import Input, Role, leaf
from specc.recipe import Port

WEIGHT = "example.weight"
"""The name of the input with the weights. No file can use it, because it has a dot."""


def weighed(program: Program) -> Program:
    """Return the program with a weight for each example; a penalty on weights stays as it is."""
    weight = leaf(Input(Role.INPUT, WEIGHT, Type("float", (), batched=True)))

    def times(term: Term) -> Term:
        if not term.node.type.batched:
            return term
        return replace(term, node=mul(weight, term.node))

    port = Port(WEIGHT, "input", "float", ())
    losses = tuple(map(times, program.losses))
    return replace(program, ports=(*program.ports, port), losses=losses)
