"""What register tiles are made for: a type of elements and a machine; and which tiles fit it.

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

# Beyond, the addresses of the rows no longer fit the integer registers; with one column more rows
# still pay, for they hide the latency of the sums.
_MOST_ROWS, _MOST_OF_ONE_COLUMN = 8, 12
# Not every number: each is one more kernel to compile.
_PACKED_ROWS = (1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 12, 14, 16, 20, 24)


@dataclass(frozen=True)
class Target:
    """The elements' type, the machine that tiles are made for, and what it can do."""

    dtype: str
    machine: Machine
    profile: Profile = field(default_factory=this_profile)
    pairs: bool = False  # an element holds two numbers of bfloat16, whose products are added up

    @property
    def width(self) -> int:
        """Elements of a vector."""
        return self.machine.lanes(self.dtype)

    @property
    def bytes(self) -> int:
        return {"float32": 4, "float64": 8}[self.dtype]

    def shapes(self, most_rows: int, most_columns: int) -> Iterable[tuple[int, int]]:
        """The tile shapes whose sums, columns and one row fit the registers."""
        for rows in range(1, min(most_rows, _MOST_OF_ONE_COLUMN) + 1):
            for columns in range(1, min(most_columns, 6) + 1):
                if rows > _MOST_ROWS and columns > 1:
                    continue
                if rows * columns + columns + 1 <= self.machine.registers:
                    yield rows, columns

    def packed_shapes(
        self, most_rows: int, most_columns: int, prefetches: bool = False
    ) -> Iterable[tuple[int, int]]:
        """The same where the rows of the weights lie side by side, and take no addresses.

        If a tile `prefetches`, each column takes two addresses."""
        if prefetches:
            most_columns = min(most_columns, (self.machine.addresses - 6) // 2)
        for columns in range(1, min(most_columns, 6) + 1):
            most = min(most_rows, (self.machine.registers - 1) // columns - 1)
            for rows in _PACKED_ROWS:
                if rows <= most:
                    yield rows, columns

    def kernel(self, written: Callable[..., Any], name: str, /, **constants: int | str) -> Kernel:
        """Return the kernel of a function, which is given the target's sizes as constants."""
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
