"""What a loop nest reads and writes: its arrays, with a stride along every axis of the domain.

Access("a", "float", address, (16, 1))          # a[16 * i0 + i1] is read
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from specc.backend.emit.calls import Address
from specc.system.records import dataclass
from specc.target.expressions import Expression


class AccessMode(StrEnum):
    """What a nest does with an array."""

    READ = "read"
    STORE = "store"
    SUM = "sum"  # it adds over the axes of stride 0
    MAX = "max"  # it takes the maximum over the axes of stride 0


@dataclass(eq=False, repr=False)
class Read(Expression):
    """The value that an access of the nest reads at the loops' position."""

    access: str


@dataclass(eq=False)
class Access:
    """An array of the nest. `strides` count elements, one for each axis of the domain.

    `elements` is the length of an array that must be filled first.
    """

    name: str
    kind: str
    address: Address
    strides: tuple[int, ...]
    mode: AccessMode = AccessMode.READ
    value: Expression | None = None  # what is stored
    elements: int = 0
    item: int = 4  # bytes of an element
    fill: bool = False  # set every element to the neutral one, or to `filling`, first
    filling: Expression | None = None
    start: int = 0  # the element of the array that the domain's first point meets
    over: str = ""  # the name of the array read whose elements it takes the place of
    overlaps: bool = False  # several points of the domain may add to one element

    @property
    def starts_within(self) -> bool:
        """Whether the domain's first point may meet another element than the array's first."""
        return self.fill or any(stride < 0 for stride in self.strides)


@dataclass(eq=False)
class Nest:
    """`body` are variables with their formulas over the reads: ("v0", Read("a") + Read("b"))."""

    title: str
    extents: tuple[int, ...]
    accesses: list[Access]
    body: list[tuple[str, Expression]] = field(default_factory=list)
    reduced: tuple[bool, ...] = ()
