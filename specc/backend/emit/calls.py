"""A call of a kernel: the kernel, and a number or an address for each parameter.

    KernelCall(kernel, (("x", Address("arena", 0, "hidden")), ("n", 2048)), ...)

`specc.backend.run.storage` replaces the addresses by numbers when the memory is allocated.
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
    """The address of a byte within a space of memory.

    Spaces are "arena" (of the calling shard, or of `shard`), "param.PATH", "frame", "scratch" and
    others. `name` is the user's name of the value there. Within a loop, the address moves by
    `stride` bytes per iteration.
    """

    space: str
    offset: int = 0
    name: str = ""
    shard: int | None = None
    stride: int = 0

    def moved(self, bytes_: int) -> Address:
        """Return the address that is `bytes_` bytes after this one."""
        return replace(self, offset=self.offset + bytes_) if bytes_ else self


@dataclass(frozen=True, eq=False)
class ConstantArray:
    """A constant array of int64 that a kernel reads."""

    array: np.ndarray


Value = int | Address | ConstantArray


@dataclass(frozen=True, eq=False)
class Iterations:
    """The iterations of a loop: their number, and the nodes that they compute.

    The phase of the loop's calls increases by `phases` per iteration.
    """

    count: int
    nodes: tuple[Node, ...] = ()
    phases: int = 0


def in_order(calls: Iterable[KernelCall]) -> Iterator[tuple[KernelCall, int]]:
    """Yield every call as often as it runs, with the number of its iteration."""
    for loop, group in groupby(calls, key=lambda call: call.loop):
        together = list(group)
        for iteration in range(loop.count if loop else 1):
            for call in together:
                yield call, iteration


def phase_of(call: KernelCall, iteration: int) -> int:
    """Return the phase of a call in an iteration."""
    return call.phase + (iteration * call.loop.phases if call.loop else 0)


@dataclass(frozen=True, eq=False)
class KernelCall:
    """A call of a kernel by one shard, with its arguments in the order of the parameters.

    Consecutive calls of the same `loop` are repeated together for all of its iterations.
    """

    kernel: Kernel
    arguments: tuple[tuple[str, Value], ...]
    phase: int
    nodes: tuple[Node, ...] = ()
    scratch: int = 0  # bytes of scratch memory that the kernel needs
    loop: Iterations | None = None
    packs: bool = False  # only prepares operands for the product that follows, or for a loop
    lasting: int = 0  # end of its result in the memory that nothing else uses, in bytes
    copied: int = 0  # size of the copy of an operand that it makes at `out`, in bytes
    prefetches: bool = False  # prefetches data written by other shards
    once: bool = False  # packs weights that no run changes: runs only after weights were modified


ELEMENT: dict[str, Stored] = {"float": "float", "int": "int32", "bool": "uint8", "byte": "uint8"}


def element_bytes(kind: str, dtype: str) -> int:
    """Return the bytes of one element of a value of this kind."""
    return types.element_bytes(kind, types.FLOAT_BYTES[dtype])
