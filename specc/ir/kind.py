"""The kinds of compiled programs of a model.

Kind.main(program)                  # Kind.TRAIN: the program of a model with an optimizer
"""

from __future__ import annotations

from enum import StrEnum

from specc.ir.program import Program


class Kind(StrEnum):
    """The kind of a compiled program: training step, evaluation or prediction."""

    TRAIN = "train"
    GRADIENTS = "gradients"
    ACCUMULATE = "accumulate"  # adds the gradients of a batch up
    AGAIN = "again"  # adds up those that rules take a second time, with `gradient_at`
    UPDATE = "update"  # changes the weights by gradients that were added up
    EVALUATE = "evaluate"
    PREDICT = "predict"

    @classmethod
    def main(cls, program: Program) -> Kind:
        """Return the main kind of a program.

        That is a training step if the model has one, else an evaluation if it has a loss,
        else a prediction.
        """
        return cls.TRAIN if program.updates else cls.EVALUATE if program.losses else cls.PREDICT

    @property
    def is_training(self) -> bool:
        """Return whether the program runs in training mode, with gradients."""
        return self in (Kind.TRAIN, Kind.GRADIENTS, Kind.ACCUMULATE, Kind.AGAIN)
