"""Random numbers that are drawn at each training step, for dropout and noise.

    Uniform((64, 8, 8), True, "dropout1")      # for each example 64 * 8 * 8 numbers in [0, 1)

The generator is counter-based: each number is a hash of its key (seed, step, label, element,
example). The numbers therefore do not depend on the number of threads, and a resumed run draws the
same numbers as an uninterrupted one.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING, TypeVar

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.op import Cut, Gradients, Kernel, Op, Types, WithKernel, WithoutArithmetic
from specc.ir.sizes import Shape, Size
from specc.ir.types import Type
from specc.ops.kernels import random as kernels
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

    _Unsigned = TypeVar("_Unsigned", np.ndarray, np.unsignedinteger)


@dataclass(frozen=True)
class Uniform(WithKernel, WithoutArithmetic):
    """Independent numbers, uniform over the multiples of 2^-24 in [0, 1).

    Ops with different labels draw different numbers. With `batched`, every example has numbers of
    its own. The inputs are only awaited, and not read.
    `first` entries of the first axis come before those of this value, which is part of another.
    """

    shape: Shape
    batched: bool
    label: str
    first: int = 0
    differs_by_step = True
    awaits_only = True

    def attributes(self) -> str:
        return super().attributes() if self.first else super().attributes().rpartition(", ")[0]

    def infer(self, *awaited: Type) -> Type:
        return Type("float", self.shape, self.batched)

    def vjp(self, node: Node, dy: Node) -> Gradients:
        return (None,) * len(node.inputs)

    def over_steps(self, steps: Size, moving: Sequence[bool]) -> Op:
        return replace(self, shape=(steps, *self.shape))

    def one_at(self, node: Node, axis: int) -> Cut | None:
        return None  # one step would draw the same numbers at every time step

    def first_steps(self, node: Node, result: Type) -> Op:
        return replace(self, shape=result.shape)

    def cut(self, node: Node, axis: int, start: int, count: int) -> Cut | None:
        if axis:
            return None
        part = replace(self, shape=(count, *self.shape[1:]), first=self.first + start)
        return Cut(part, (None,) * len(node.inputs))

    def suits_tensor_parallel(self, node: Node) -> bool:
        return True

    def channels(self, node: Node) -> int:
        return min(node.type.rank, 1)

    def draw(self, seed: int, step: int, examples: int) -> np.ndarray:
        """Return the numbers of one training step: float64 [examples, *shape], or [*shape]."""
        import numpy as np

        shape = tuple(map(sizes.bound, self.shape))
        elements = sizes.count(shape)
        count = examples if self.batched else 1
        with np.errstate(over="ignore"):
            golden = np.uint64(_GOLDEN)
            key = _mix64(np.uint64(seed & _MASK) + golden)
            key = _mix64(key ^ np.uint64(self.key & _MASK))
            key = _mix64(key + np.uint64(step & _MASK))
            start = self.first * sizes.count(shape[1:])
            numbers_ = np.arange(start + 1, start + elements + 1, dtype=np.uint64)
            rows = _mix64(key + numbers_ * golden)
            first = (rows & np.uint64(0xFFFFFFFF)).astype(np.uint32)
            second = (rows >> np.uint64(32)).astype(np.uint32)
            bits = _mix32(np.arange(count, dtype=np.uint32)[:, None] + first)
            bits = _mix32(bits ^ second)
        numbers = (bits >> np.uint32(8)).astype(np.float64) * 2.0**-24
        return numbers.reshape((*((count,) if self.batched else ()), *shape))

    @property
    def key(self) -> int:
        """The label as a signed number of 64 bits."""
        import hashlib

        return int.from_bytes(
            hashlib.sha256(self.label.encode()).digest()[:8], "little", signed=True
        )

    def kernel(self, types: Types, lanes: int, width: int) -> Kernel:
        return kernels.uniform

    def arguments(self, types: Types, lanes: int) -> dict[str, int]:
        return {
            "key": self.key,
            "channels": sizes.count(self.shape[:1]),
            "size": sizes.count(self.shape[1:]),
            "skipped": self.first,
            "lanes": lanes if self.batched else 1,
        }


_MASK = (1 << 64) - 1
_GOLDEN = 0x9E3779B97F4A7C15


def _mix64(z: _Unsigned) -> _Unsigned:
    """Mix the bits of 64-bit integers by splitmix64 (Steele, Lea and Flood 2014).

    The paper is "Fast splittable pseudorandom number generators".
    """
    import numpy as np

    z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return z ^ (z >> np.uint64(31))


def _mix32(x: _Unsigned) -> _Unsigned:
    """Mix the bits of 32-bit integers by lowbias32, with the constants of Wellons (2018)."""
    import numpy as np

    x = (x ^ (x >> np.uint32(16))) * np.uint32(0x7FEB352D)
    x = (x ^ (x >> np.uint32(15))) * np.uint32(0x846CA68B)
    return x ^ (x >> np.uint32(16))
