"""The target of register tiles: a type of elements and a machine, and the tiles that fit it.

target = Target("float32", this_machine())
list(target.shapes(64, 4))           # (rows, columns) of the tiles that fit its registers
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import field
from typing import Any

from specc.backend.llvm import printer
from specc.backend.llvm.kernel import Kernel
from specc.backend.machine import Machine
from specc.backend.machine.here import this_profile
from specc.backend.machine.profile import Profile
from specc.backend.words import PAIRS
from specc.system.records import dataclass
from specc.target import parse

# The most rows of a tile: the addresses of more rows do not fit in the integer registers. A tile
# with one column is faster with more rows all the same, because they hide the multiply-adds'
# latency.
_MOST_ROWS, _MOST_OF_ONE_COLUMN = 8, 12
# The numbers of rows of packed tiles. Some are left out, because each is one more kernel to
# compile.
_PACKED_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24)


@dataclass(frozen=True)
class Target:
    """The elements' type, the machine that tiles are made for, and its measured profile."""

    dtype: str
    machine: Machine
    profile: Profile = field(default_factory=this_profile)
    pairs: bool = False  # an element is a pair of bfloat16 numbers, whose products are added

    @property
    def width(self) -> int:
        """The elements of a vector."""
        return self.machine.lanes(self.dtype)

    @property
    def bytes(self) -> int:
        return {"float32": 4, "float64": 8}[self.dtype]

    def shapes(self, most_rows: int, most_columns: int) -> Iterable[tuple[int, int]]:
        """Yield the tile shapes whose accumulators, columns and one row fit in the registers."""
        for rows in range(1, min(most_rows, _MOST_OF_ONE_COLUMN) + 1):
            for columns in range(1, min(most_columns, 6) + 1):
                if rows > _MOST_ROWS and columns > 1:
                    continue
                if rows * columns + columns + 1 <= self.machine.registers:
                    yield rows, columns

    def packed_shapes(
        self, most_rows: int, most_columns: int, prefetches: bool = False
    ) -> Iterable[tuple[int, int]]:
        """Yield the tile shapes for packed weights, whose rows are contiguous and need no address.

        If a tile `prefetches`, each column takes two addresses.
        """
        if prefetches:
            most_columns = min(most_columns, (self.machine.addresses - 6) // 2)
        for columns in range(1, min(most_columns, 6) + 1):
            most = min(most_rows, (self.machine.registers - 1) // columns - 1)
            for rows in _PACKED_ROWS:
                if rows <= most:
                    yield rows, columns

    def kernel(self, written: Callable[..., Any], name: str, /, **constants: int | str) -> Kernel:
        """Return the kernel of a function; the target's sizes are among its constants."""
        own = {
            "dtype": PAIRS if self.pairs else self.dtype,
            "width": self.width,
            "item": self.bytes,
            "pin": "" if self.machine.architecture == "x86_64" else self.machine.pin,
        }
        wanted = {each: own[each] for each in parse.constants(written) if each in own}
        return printer.written(
            written,
            f"{name}_{PAIRS}" if self.pairs else name,
            self.dtype,
            self.machine.vector_bits,
            False,
            **wanted,
            **constants,
        )
