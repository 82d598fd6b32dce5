"""A call of a kernel: the kernel, and for each parameter a value or an address.

    KernelCall(kernel, (("x", Address("arena", 0, "float")), ("n", 2048)), ...)

The loader turns addresses into numbers once the memory is there.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import groupby

import numpy as np

from specc.backend.llvm.kernel import Kernel
from specc.ir import types
from specc.ir.graph import Node
from specc.system.records import dataclass
from specc.target.statements import Stored


@dataclass(frozen=True)
class Address:
    """A byte within a space: "arena" (of the calling shard, or of `shard`), "param.PATH", "frame",
    "scratch" ... `name` is what a person calls the value there. Within a loop the address moves by
    `stride` bytes from one iteration to the next."""

    space: str
    offset: int = 0
    name: str = ""
    shard: int | None = None
    stride: int = 0

    def moved(self, bytes_: int) -> Address:
        """The address so many bytes further on."""
        return replace(self, offset=self.offset + bytes_) if bytes_ else self


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """A constant array of int64 that a kernel reads."""

    array: np.ndarray


Value = int | Address | ConstantArray


@dataclass(frozen=True, eq=False)
class Iterations:
    """A loop: the number of its iterations, and the nodes that they compute.

    From one iteration to the next the phase of its calls moves by `phases`.
    """

    count: int
    nodes: tuple[Node, ...] = ()
    phases: int = 0


def in_order(calls: Iterable[KernelCall]) -> Iterator[tuple[KernelCall, int]]:
    """Every call as often as it runs, with the number of its iteration."""
    for loop, group in groupby(calls, key=lambda call: call.loop):
        together = list(group)
        for iteration in range(loop.count if loop else 1):
            for call in together:
                yield call, iteration


def phase_of(call: KernelCall, iteration: int) -> int:
    """The phase of a call in one iteration."""
    return call.phase + (iteration * call.loop.phases if call.loop else 0)


@dataclass(frozen=True, eq=False)
class KernelCall:
    """One kernel call of one shard. `arguments` are in the order of the kernel's parameters.

    Consecutive calls of the same `loop` are repeated together for all of its iterations.
    """

    kernel: Kernel
    arguments: tuple[tuple[str, Value], ...]
    phase: int
    nodes: tuple[Node, ...] = ()
    scratch: int = 0  # bytes of scratch memory that the kernel wants
    loop: Iterations | None = None
    packs: bool = False  # it only copies weights for the product that comes next, or for a loop
    lasting: int = 0  # bytes up to the end of what it writes to memory that nothing else uses
    copied: int = 0  # bytes of the copy of an operand that it makes at `out`
    prefetches: bool = False  # it prefetches what other shards have written
    once: bool = (
        False  # it packs what no run changes: it runs ahead of one, when weights have changed
    )


ELEMENT: dict[str, Stored] = {"float": "float", "int": "int32", "bool": "uint8", "byte": "uint8"}


def element_bytes(kind: str, dtype: str) -> int:
    """Return the bytes of one element of a value of this kind."""
    return types.element_bytes(kind, types.FLOAT_BYTES[dtype])
