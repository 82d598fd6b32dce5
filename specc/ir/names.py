"""Names of a graph's outputs, and of the arrays that they go to: a kind, and a label after a dot.

kind_of("param.dense1.weight")      # OutputKind.PARAM
kind_of("loss")                     # OutputKind.LOSS: the sum of all losses, which has no label
"""

from __future__ import annotations

from enum import StrEnum


class OutputKind(StrEnum):
    """What an output of a graph is used for."""

    LOSS = "loss"  # recorded at each step: one loss, or without a label their sum
    MEAN = "mean"  # recorded: a mean over the batch that a metric is made of
    METRIC = "metric"  # computed from the recorded means
    OUTPUT = "output"  # handed out: a value that the model is for
    PARAM = "param"  # the value of a parameter after the step
    STATE = "state"  # the value of a state after the step
    SLOT = "slot"  # what a stream leaves for the next batch
    GRADIENT = "gradient"  # written to an array of its own, or added up there
    AGAIN = "again"  # the gradient at another value of the parameter, for the update
    CARRY = "carry"  # the value whose earlier steps a `Carry` holds


RECORDED = (OutputKind.LOSS, OutputKind.MEAN)
OVERWRITING = (
    OutputKind.PARAM,
    OutputKind.STATE,
    OutputKind.SLOT,
    OutputKind.GRADIENT,
    OutputKind.AGAIN,
)
"""Outputs that overwrite an input of the same name, if there is one."""
LEARNING = (OutputKind.PARAM, OutputKind.GRADIENT, OutputKind.AGAIN)
"""Outputs of a program that trains."""

_KINDS = {kind.value: kind for kind in OutputKind}


def kind_of(name: str) -> OutputKind | None:
    """Return the kind of an output with this name, or None if the name is not that of an output."""
    return _KINDS.get(name.partition(".")[0])


def label_of(name: str) -> str:
    """Return the label of an output: what comes after the dot."""
    return name.partition(".")[2]
