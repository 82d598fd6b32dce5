"""How the shards of a plan share its work, as emission, listings and timings ask about it.

    plan.sharing.part(640, shard=1)     # (320, 320): where the part starts, and its size
    plan.sharing.leads(1)               # whether shard 1 does what is done once for its examples

The planner makes the object (`passes.plan.sharing`) and hands it on with the plan.
"""

from __future__ import annotations

from abc import ABC, abstractmethod


def share(size: int, shard: int, shards: int) -> tuple[int, int]:
    """Return where a shard's part of `size` entries starts, and how many entries it has."""
    part = -(-size // shards)
    start = min(shard * part, size)
    return start, min(part, size - start)


class Sharing(ABC):
    """What is asked about the `shards` shards of a plan, each with `lanes` lanes."""

    same_examples: bool
    """Whether all shards work on the same examples, and not each on examples of its own."""
    said: str
    """What other shards do, for the head of a listing."""

    def __init__(self, shards: int, lanes: int) -> None:
        self.shards, self.lanes = shards, lanes

    @property
    @abstractmethod
    def arenas(self) -> int:
        """The number of arenas that hold examples."""

    @property
    @abstractmethod
    def completes_outputs(self) -> bool:
        """Whether other shards may still complete an output when the last phase ends."""

    @abstractmethod
    def leads(self, shard: int) -> bool:
        """Return whether a shard does what is done once for its examples."""

    @abstractmethod
    def first_example(self, shard: int, examples: int) -> int:
        """Return the number in the batch of a shard's first example, of `examples` each."""

    @abstractmethod
    def holder(self, sums_own_rows: bool) -> int | None:
        """Return the shard whose arena holds a value; None if each shard has one of its own.

        `sums_own_rows` says that the value is each shard's sum over its own rows.
        """

    @abstractmethod
    def part(self, size: int, shard: int) -> tuple[int, int]:
        """Return the start and the size of a shard's part of so many entries."""

    @abstractmethod
    def features(self, size: int, shard: int, vector: int) -> tuple[int, int] | None:
        """Return which of an example's `size` numbers a shard brings in: the first, and how many.

        None if the input is not divided. A register holds `vector` numbers.
        """

    @abstractmethod
    def divided_axis(self, extents: tuple[int, ...]) -> int:
        """Return the axis along which the shards divide a nest of loops."""
