"""One shard of a plan: the addresses of its values, and its part of the work that shards share.

shard = Shard(plan, "float32", 0, columns)
shard.address(node)                  # Address("arena", 4096, "x", ...)
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import field

from specc.backend.contraction.target import Target
from specc.backend.emit.calls import Address, KernelCall, element_bytes
from specc.backend.llvm.kernel import Kernel
from specc.backend.machine import this_machine
from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Allocation, GroupKind, Plan, Step
from specc.ops.views import parts_read
from specc.system.lazy import cached_property
from specc.system.records import dataclass


@dataclass(eq=False)
class Common:
    """The facts that the shards of a plan share, computed once.

    `kernels` maps the formulas and the shape of a nest to its kernel. `calls` holds the calls that
    the first shard makes for its own examples; the other shards reuse them for theirs.
    `lasting_bytes` is the size of the memory that only these calls use.
    """

    plan: Plan
    kernels: dict[Hashable, Kernel] = field(default_factory=dict)
    calls: dict[Step, list[KernelCall]] = field(default_factory=dict)
    lasting_bytes: int = 0

    @cached_property
    def parts_read(self) -> dict[Node, tuple[tuple[int, int], ...]]:
        """The part that is read of each value that is not read completely."""
        if any(step.group.kind == GroupKind.LOOP for step in self.plan.steps):
            return {}
        return parts_read(self.plan.graph)


@dataclass(eq=False)
class Shard:
    """A shard of a plan; `columns` are the element types of ports and outputs."""

    plan: Plan
    dtype: str
    shard: int
    columns: Mapping[str, str]
    common: Common
    lasting_bytes: int = 0

    @cached_property
    def target(self) -> Target:
        """The type of the elements and the machine, for which contractions are planned."""
        return Target(self.dtype, this_machine())

    @property
    def first_example(self) -> int:
        """The number in the batch of this shard's first example."""
        return self.plan.sharing.first_example(self.shard, self.plan.examples)

    def address(
        self, node: Node, allocation: Allocation | None = None, shard: int | None = None
    ) -> Address:
        allocation = allocation or self.plan.allocations[node]
        if shard is None:
            shard = self.plan.sharing.holder(node.op.sums_own_rows)
        return Address(
            allocation.space, allocation.offset, node.origin.name, shard, allocation.stride
        )

    def viewed(self, node: Node, shard: int | None = None) -> Address:
        """Return the address of a value in C order, in the calling shard or in shard `shard`."""
        seen = self.plan.views[node]
        return self.address(seen.root, shard=shard).moved(
            seen.offset * self.lane_step(seen.root) * self.item(seen.root)
        )

    def item(self, node: Node) -> int:
        return element_bytes(node.type.kind, self.dtype)

    def lane_step(self, node: Node) -> int:
        return self.plan.lanes if node.type.batched else 1

    def lasting(self, size: int) -> Address:
        """Allocate memory of this shard that nothing else uses; return its address."""
        address = Address("lasting", self.lasting_bytes)
        self.lasting_bytes += -(-size // ALIGNMENT) * ALIGNMENT
        return address

    def part(self, size: int) -> tuple[int, int]:
        """Return the start and the size of this shard's part of `size` entries."""
        return self.plan.sharing.part(size, self.shard)
