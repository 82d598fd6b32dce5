"""What the runtime asks of processes that train together, and a process by itself.

The processes of one machine may have memory in common; they are neighbours, and one of them leads.
All must make the same calls in the same order.
"""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np

from specc.runtime.data.stream.store import new_bytes


class SameMachine(Protocol):
    """The processes of a machine that have memory in common: this one's number, their count."""

    number: int
    count: int

    def array(self, size: int) -> np.ndarray:
        """Return `size` bytes that all of them have in common: uint8 [size]."""
        ...

    def told(self, value: Any) -> list[Any]:
        """Return the values that the processes give, by their numbers."""
        ...


class Together(Protocol):
    """The processes that train together."""

    @property
    def neighbours(self) -> SameMachine | None:
        """The processes of this machine, if they have memory in common."""
        ...

    def agreed(self, value: Any) -> Any:
        """Return the value of the first process."""
        ...

    def any(self, flag: bool) -> bool:
        """Return whether `flag` is true in any of the processes."""
        ...

    def allocate(self, size: int) -> np.ndarray:
        """Return `size` bytes that the processes of the machine have in common: uint8 [size]."""
        ...

    def wait(self) -> None:
        """Wait for the other processes of this machine."""
        ...


class Alone:
    """One process."""

    neighbours: SameMachine | None = None

    def agreed(self, value: Any) -> Any:
        return value

    def any(self, flag: bool) -> bool:
        return flag

    def allocate(self, size: int) -> np.ndarray:
        return new_bytes(size)

    def wait(self) -> None:
        pass
