"""The arrays of a loop nest, each with a stride along every axis of the domain.

Access("a", "float", address, (16, 1))          # a[16 * i0 + i1] is read
"""

from __future__ import annotations

from dataclasses import field
from enum import StrEnum

from specc.backend.emit.calls import Address
from specc.system.records import dataclass
from specc.target.expressions import Expression


class AccessMode(StrEnum):
    """The way in which a nest accesses an array."""

    READ = "read"
    STORE = "store"
    SUM = "sum"  # add the values over the axes of stride 0
    MAX = "max"  # store the maximum over the axes of stride 0


@dataclass(eq=False, repr=False)
class Read(Expression):
    """The value that an access of the nest reads at the loops' position."""

    access: str


@dataclass(eq=False)
class Access:
    """An array of the nest, with its strides in elements along each axis of the domain.

    `elements` is the length of the array, which is used if it must be filled first.
    """

    name: str
    kind: str
    address: Address
    strides: tuple[int, ...]
    mode: AccessMode = AccessMode.READ
    value: Expression | None = None  # the stored value
    elements: int = 0
    item: int = 4  # bytes of an element
    fill: bool = False  # set every element to the neutral element, or to `filling`, first
    filling: Expression | None = None
    start: int = 0  # the element that the domain's first point accesses
    over: str = ""  # the name of the array that is read at the same elements, and overwritten
    overlaps: bool = False  # several points of the domain may add to one element

    @property
    def starts_within(self) -> bool:
        """Whether the domain's first point may access another element than the array's first."""
        return self.fill or any(stride < 0 for stride in self.strides)


@dataclass(eq=False)
class Nest:
    """A nest of loops over `extents`.

    `body` lists variables and their formulas over the reads: ("v0", Read("a") + Read("b")).
    """

    title: str
    extents: tuple[int, ...]
    accesses: list[Access]
    body: list[tuple[str, Expression]] = field(default_factory=list)
    reduced: tuple[bool, ...] = ()
