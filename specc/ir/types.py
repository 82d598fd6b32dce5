"""The type of a value: its kind, the shape of one example, and whether it varies over the batch.

Type("float", (6, 28, 28), batched=True)     # six 28x28 maps for every example
Type("float", (84, 120))                     # a weight: one for the whole batch
"""

from __future__ import annotations

from specc.ir import sizes
from specc.ir.sizes import Shape, Size
from specc.system.records import dataclass

# "byte" never appears in a .dl file: it is how ops keep a small index (an argmax within a window).
KINDS = ("float", "int", "bool", "byte")

FLOAT_BYTES = {"float32": 4, "float64": 8}
"""The bytes of one element of kind "float", by the type of numbers that a program computes with."""
_BYTES = {"int": 4, "bool": 1, "byte": 1}  # bytes of one element of each other kind


def element_bytes(kind: str, of_float: int = FLOAT_BYTES["float32"]) -> int:
    """Return the bytes of one element of a kind; one of kind "float" takes `of_float` bytes."""
    return _BYTES.get(kind, of_float)


@dataclass(frozen=True)
class Type:
    """Kind and shape of a value. `shape` is that of one example; the batch is never part of it."""

    kind: str
    shape: Shape = ()
    batched: bool = False
    classes: Size | None = None

    @property
    def rank(self) -> int:
        return len(self.shape)

    @property
    def bound_shape(self) -> tuple[int, ...]:
        """The shape, in a model whose sizes are all known."""
        return tuple(map(sizes.bound, self.shape))

    @property
    def elements(self) -> Size:
        """The number of elements of one example."""
        return sizes.product(self.shape)

    @property
    def bound_elements(self) -> int:
        """The number of elements of one example, in a model whose sizes are all known."""
        return sizes.count(self.shape)

    def __str__(self) -> str:
        kind = f"class({self.classes})" if self.classes is not None else self.kind
        per_example = " per example" if self.batched else ""
        return f"{kind}{sizes.show(self.shape)}{per_example}"
