"""Finds the output that predicts each target, for confusion matrices and similar plots.

heads(program)      # (Head(port=Port("label", ...), output="scores", kind="classes"),)

An output predicts a target if a loss or metric compares the two and their shapes fit. This rule is
in `specc.net.answers`, which predictions use too.
"""

from __future__ import annotations

import numpy as np

from specc.ir.program import Program
from specc.net.answers import compared, sigmoid, softmax
from specc.recipe import Port
from specc.system.records import dataclass

KINDS = {"class": "classes", "bool": "truth"}


@dataclass(frozen=True)
class Head:
    """A target and the output that predicts it.

    `kind` is "classes" (one value per class), "truth" (one value of a bool) or "number". `holds`
    says what the values are (see `Meaning`). `is_sequence` says that there is one prediction per
    time step.
    """

    port: Port
    output: str
    kind: str
    is_sequence: bool = False
    holds: str = "values"

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Convert the values of the output to probabilities of classes, [..., classes].

        Scores go through a softmax, or a sigmoid for a boolean. Values of unknown meaning are
        treated as scores, unless all of them could be probabilities.
        """
        values = values.astype(np.float64)
        if self.kind == "truth":
            is_chance = bool(np.all((values >= 0) & (values <= 1)))
        else:
            is_chance = bool(np.all(values >= 0) and np.allclose(values.sum(-1), 1, atol=1e-3))
        if self.holds == "scores" or (self.holds == "values" and not is_chance):
            values = sigmoid(values) if self.kind == "truth" else softmax(values)
        return np.stack([1 - values, values], axis=-1) if self.kind == "truth" else values


def heads(program: Program) -> tuple[Head, ...]:
    """Return the targets of a model that an output predicts, in the order of the file.

    A boolean target needs scores or probabilities: a distance that a loss makes small for equal
    pairs is compared with `same`, but it does not say how likely `same` is.
    """
    found: dict[str, Head] = {}
    for output, meaning in compared(program).items():
        port = meaning.target
        if port.kind == "bool" and meaning.holds == "values":
            continue
        kind = KINDS.get(port.kind, "number")
        head = Head(port, output, kind, meaning.is_sequence, meaning.holds)
        found.setdefault(port.name, head)
    return tuple(found[port.name] for port in program.ports if port.name in found)
