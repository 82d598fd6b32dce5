"""What an op is: one frozen class whose fields are its attributes, with all its rules side by side.

    class Tanh(Elementwise):
        code = "tanh({0})"
        def infer(self, x): ...            # shape rule
        def vjp(self, node, dy): ...       # gradient, built of other ops
        def reference(self, types, x): ... # NumPy, the oracle of the tests

Every concrete subclass registers itself under its class name.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar

from specc.ir.types import Type

REGISTRY: dict[str, type[Op]] = {}


class ShapeError(Exception):
    """An input does not fit an op. `argument` is the position of the input at fault (or None)."""

    def __init__(self, message: str, argument: int | None = None):
        super().__init__(message)
        self.message = message
        self.argument = argument


@dataclass(frozen=True)
class Op:
    """A primitive; equal attributes make equal ops. Subclasses with fields are frozen dataclasses."""

    abstract: ClassVar[bool] = True

    def __hash__(self) -> int:
        return hash(type(self))

    def __init_subclass__(cls, **kwargs):
        super().__init_subclass__(**kwargs)
        if not cls.__dict__.get("abstract", False):
            cls.abstract = False
            REGISTRY[cls.__name__] = cls

    @property
    def name(self) -> str:
        return type(self).__name__

    def infer(self, *inputs: Type) -> Type:
        """The type of the result; raises `ShapeError` where the inputs do not fit."""
        raise NotImplementedError

    def vjp(self, node, dy):
        """The gradient for each input of `node`, given the gradient `dy` of its result (None: none)."""
        raise NotImplementedError

    def reference(self, types: tuple[Type, ...], *inputs):
        """The result in NumPy. Batched arrays come and go with the batch as their first axis."""
        raise NotImplementedError

    def attributes(self) -> str:
        """The fields as they stand in a printed graph."""
        return ", ".join(f"{field.name}={getattr(self, field.name)}" for field in fields(self))
