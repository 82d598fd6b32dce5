"""Which output answers which target: what a confusion matrix or a list of mistakes is about.

heads(program)      # (Head(port=Port("label", ...), output="scores", kind="classes"),)

An output answers a target if one loss is computed from both, and their shapes fit. Nothing depends
on names or on a certain loss, so a loss of the user's own will do.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from specc.ir.graph import topological
from specc.ir.program import Program, Term
from specc.ir.sizes import bound
from specc.ops.leaf import Input
from specc.recipe import Port


@dataclass(frozen=True)
class Head:
    """A target and the output that answers it.

    `kind` is "classes" (scores of each class), "truth" (a score or probability of a bool) or
    "number". `is_sequence`: there is one answer at each step.
    """

    port: Port
    output: str
    kind: str
    is_sequence: bool = False

    def probabilities(self, values: np.ndarray) -> np.ndarray:
        """Probabilities of classes from the values of the output, [..., classes].

        Scores go through a softmax (or a sigmoid, for a truth value); what are probabilities
        already stays as it is.
        """
        values = values.astype(np.float64)
        if self.kind == "truth":
            inside = bool(np.all((values >= 0) & (values <= 1)))
            yes = values if inside else 1 / (1 + np.exp(-values))
            return np.stack([1 - yes, yes], axis=-1)
        sums = values.sum(-1)
        if np.all(values >= 0) and np.allclose(sums, 1, atol=1e-3):
            return values
        grown = np.exp(values - values.max(-1, keepdims=True))
        return np.asarray(grown / grown.sum(-1, keepdims=True))


def heads(program: Program) -> tuple[Head, ...]:
    """The targets of a model that an output answers, in the order of the file."""
    found: dict[str, Head] = {}
    for term in program.losses:
        nodes = topological([term.node])
        leaves = {n.op.label for n in nodes if isinstance(n.op, Input) and n.op.role == "target"}
        answers = [each for each in program.outputs if each.node in set(nodes)]
        for port in program.ports:
            if port.role != "target" or port.name not in leaves or port.name in found:
                continue
            fitting = [head for each in answers if (head := _head(port, each)) is not None]
            if fitting:
                found[port.name] = fitting[0]
    return tuple(found.values())


def _head(port: Port, output: Term) -> Head | None:
    """The head of a target and an output, or None if their shapes do not fit."""
    shape = tuple(map(bound, output.node.type.shape))
    own = tuple(port.shape)
    is_sequence = port.sequence is not None or output.sequence is not None
    if not output.node.type.batched or output.node.type.kind != "float":
        return None
    if port.kind == "class":
        fits = shape == (*own, port.class_count)
        return Head(port, output.name, "classes", is_sequence) if fits else None
    fits = shape == own or (own == () and shape == (1,))
    kind = "truth" if port.kind == "bool" else "number"
    return Head(port, output.name, kind, is_sequence) if fits else None
