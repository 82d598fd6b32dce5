"""How the shards of a plan share its work: by examples (data parallelism) or rows.

    sharing = sharing_of(division)
    sharing.mode(group)                      # Mode.SHARD, Mode.SPLIT, ...
    sharing.crosses(maker, reader, value)    # whether the shards must meet in between
    sharing.part(640, shard=1)               # (320, 320): see `ir.sharing` for what emission asks

By examples, each shard computes all values of its own examples, and reads and writes them alone.
By rows, all shards work on the same examples and divide large groups along an axis
(`passes.tensor_parallel`).
"""

from __future__ import annotations

from abc import abstractmethod

from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.op import Form
from specc.ir.plan import Group, GroupKind, Mode
from specc.ir.sharing import Sharing, share
from specc.ops.contract import Contract
from specc.ops.leaf import Input, Role
from specc.ops.views import root_of
from specc.passes import tensor_parallel
from specc.passes.division import Division
from specc.passes.plan.scheduled import (
    Scheduled,
    Targets,
    has_rows_of,
    is_completed,
    is_partial,
)
from specc.passes.tensor_parallel import SPLIT_FROM

# Bytes of a value of one example whose memory another value gets if the shards work on the same
# examples: it fits no L2 cache.
REUSED_FROM = 1 << 20


def sharing_of(division: Division) -> PlannedSharing:
    """Return the way in which the shards of a division share the work."""
    return ByRows(division) if division.is_tensor_parallel else ByExamples(division)


class PlannedSharing(Sharing):
    """The questions of the planner about the shards, in addition to those of emission."""

    def __init__(self, division: Division) -> None:
        super().__init__(division.shards, division.lanes)
        self.vector = division.vector

    @abstractmethod
    def mode(self, group: Group) -> Mode:
        """Return how the shards share a group."""

    @abstractmethod
    def divide(self, scheduled: list[Scheduled], targets: Targets) -> None:
        """Decide what follows from the modes of all groups together."""

    # Phases.

    @abstractmethod
    def first_phase(self, root: Node, reader: Scheduled) -> int:
        """Return from which phase a group can read a leaf that shards bring in during phase 0."""

    def crosses(self, maker: Scheduled, reader: Scheduled, value: Node) -> bool:
        """Return whether another shard than the one that wrote a value reads it."""
        if is_partial(value):
            return True
        if maker.mode == Mode.ROWS:
            return not has_rows_of(reader, value)
        if maker.mode == Mode.EACH:
            return False
        return not maker.mode == reader.mode == Mode.SINGLE

    def overwrites_at_once(self, reader: Scheduled, writer: Scheduled) -> bool:
        """Return whether a shard overwrites only what it alone has read, so that none waits."""
        return reader.mode == writer.mode == Mode.SINGLE

    # Memory.

    @abstractmethod
    def reads_until_phase_ends(self, reader: Scheduled, value: Node) -> bool:
        """Return whether other shards may still read a value after this shard's group."""

    @property
    @abstractmethod
    def takes_turns(self) -> bool:
        """Whether shards of one thread, which run one after the other, may use the same memory."""

    @property
    @abstractmethod
    def reuses_within_phase(self) -> bool:
        """Whether the memory of a value is free once this shard's groups have read it."""

    @abstractmethod
    def reuses(self, size: int) -> bool:
        """Return whether the memory of a value of so many bytes is ever given to another one."""

    @abstractmethod
    def mode_in_loop(self, loop: Scheduled, group: Group) -> Mode:
        """Return how the shards share a group of a loop."""


class ByExamples(PlannedSharing):
    """Each shard computes its own examples.

    A value that all examples share is divided, or computed by one shard.
    """

    same_examples = False
    said = "which do the same for equal parts of"

    def mode(self, group: Group) -> Mode:
        if is_completed(group.nodes[0]):
            return Mode.ROWS
        if group.batched or any(each.type.batched for node in group.nodes for each in node.inputs):
            return Mode.SHARD
        if is_partial(group.nodes[0]):
            return Mode.SHARD
        if group.kind == GroupKind.CONTRACT:
            products = sizes.product(group.nodes[0].op_as(Contract).extents)
            return Mode.SPLIT if products >= tensor_parallel.PRODUCTS_FROM else Mode.SINGLE
        elements = sizes.product(group.domain)
        plain = group.kind in (GroupKind.NEST, GroupKind.CONCAT) and not any(
            node.op.form is Form.END for node in group.nodes
        )
        return Mode.SPLIT if plain and elements >= SPLIT_FROM else Mode.SINGLE

    def divide(self, scheduled: list[Scheduled], targets: Targets) -> None:
        if self.shards > 1:
            _repeat_small_steps(scheduled, targets)

    def first_phase(self, root: Node, reader: Scheduled) -> int:
        is_setting = root.op_as(Input).role == Role.SETTING
        if not is_setting and not (root.type.batched and reader.mode == Mode.ROWS):
            return 0
        return 0 if reader.mode == Mode.SINGLE else 1

    def crosses(self, maker: Scheduled, reader: Scheduled, value: Node) -> bool:
        if value.type.batched:
            return reader.mode == Mode.ROWS
        return super().crosses(maker, reader, value)

    def reads_until_phase_ends(self, reader: Scheduled, value: Node) -> bool:
        return reader.mode == Mode.ROWS if value.type.batched else is_partial(value)

    @property
    def takes_turns(self) -> bool:
        return self.shards > 1

    @property
    def reuses_within_phase(self) -> bool:
        return True

    def reuses(self, size: int) -> bool:
        return True

    def mode_in_loop(self, loop: Scheduled, group: Group) -> Mode:
        return Mode.SHARD

    @property
    def arenas(self) -> int:
        return self.shards

    @property
    def completes_outputs(self) -> bool:
        return False

    def leads(self, shard: int) -> bool:
        return True

    def first_example(self, shard: int, examples: int) -> int:
        return shard * examples

    def holder(self, sums_own_rows: bool) -> int | None:
        return None

    def part(self, size: int, shard: int) -> tuple[int, int]:
        part = -(-size // self.shards)
        part = -(-part // 16) * 16 if part >= 16 else part
        start = min(shard * part, size)
        return start, min(part, size - start)

    def features(self, size: int, shard: int, vector: int) -> tuple[int, int] | None:
        return None

    def divided_axis(self, extents: tuple[int, ...]) -> int:
        return max(range(len(extents)), key=lambda axis: (extents[axis] >= 64, -axis))


class ByRows(PlannedSharing):
    """Tensor parallelism: all shards work on the same examples."""

    same_examples = True
    said = "which share the work on"

    def mode(self, group: Group) -> Mode:
        return tensor_parallel.mode(group, self.lanes, self.shards, self.vector)

    def divide(self, scheduled: list[Scheduled], targets: Targets) -> None:
        for s in scheduled:
            if s.mode == Mode.SPLIT and s.group.kind == GroupKind.LOOP:
                s.stages = tensor_parallel.stages(s.group.repeated)
            elif s.mode == Mode.SPLIT:
                s.by_channels = tensor_parallel.by_channels(s.group, self.lanes)

    def first_phase(self, root: Node, reader: Scheduled) -> int:
        role = root.op_as(Input).role
        if role != Role.SETTING and not root.type.batched:
            return 0
        # each shard brings in some of the features
        is_data = role in (Role.INPUT, Role.TARGET) and root.type.kind == "float"
        return 0 if reader.mode == Mode.SINGLE and not (is_data and self.lanes > 1) else 1

    def crosses(self, maker: Scheduled, reader: Scheduled, value: Node) -> bool:
        is_own = not is_partial(value) and maker.mode not in (Mode.ROWS, Mode.EACH)
        if is_own and _same_channels(maker, reader, value):
            return False
        return super().crosses(maker, reader, value)

    def overwrites_at_once(self, reader: Scheduled, writer: Scheduled) -> bool:
        return super().overwrites_at_once(reader, writer) or _takes_own_rows(reader, writer)

    def reads_until_phase_ends(self, reader: Scheduled, value: Node) -> bool:
        return True

    @property
    def takes_turns(self) -> bool:
        return False

    @property
    def reuses_within_phase(self) -> bool:
        return False

    def reuses(self, size: int) -> bool:
        return self.lanes > 1 or size >= REUSED_FROM

    def mode_in_loop(self, loop: Scheduled, group: Group) -> Mode:
        return Mode.SPLIT if loop.stages and tensor_parallel.is_divided(group) else Mode.SINGLE

    @property
    def arenas(self) -> int:
        return 1

    @property
    def completes_outputs(self) -> bool:
        return True

    def leads(self, shard: int) -> bool:
        return shard == 0

    def first_example(self, shard: int, examples: int) -> int:
        return 0

    def holder(self, sums_own_rows: bool) -> int | None:
        return None if sums_own_rows else 0

    def part(self, size: int, shard: int) -> tuple[int, int]:
        return share(size, shard, self.shards)

    def features(self, size: int, shard: int, vector: int) -> tuple[int, int] | None:
        if self.lanes == 1:
            return None
        start, count = share(-(-size // vector), shard, self.shards)
        start = min(start * vector, size)
        return start, min(count * vector, size - start)

    def divided_axis(self, extents: tuple[int, ...]) -> int:
        return 0


def _same_channels(maker: Scheduled, reader: Scheduled, value: Node) -> bool:
    """Return whether every shard reads only its own part of a value."""
    if not maker.by_channels or not reader.by_channels:
        return False
    channels = {
        s.group.domain[0] if s.group.kind == GroupKind.NEST else s.group.nodes[0].type.shape[0]
        for s in (maker, reader)
    }
    if reader.group.kind == GroupKind.CONTRACT:
        node = reader.group.nodes[0]  # the rows of its weights are the channels of what it reads
        return node.op.sums_own_rows and value in node.inputs and channels == {*value.type.shape}
    reads = [each for node in reader.group.nodes for each in node.inputs if root_of(each) is value]
    return all(each is value for each in reads) and channels == {value.type.shape[0]}


def _takes_own_rows(reader: Scheduled, writer: Scheduled) -> bool:
    """Return whether the shards divide a product and the update of its weight by the weight's rows.

    The product reads the weight that the update overwrites.
    """
    if (
        not reader.by_channels
        or reader.group.kind != GroupKind.CONTRACT
        or writer.mode != Mode.SPLIT
    ):
        return False
    node = reader.group.nodes[0]
    op = node.op_as(Contract)
    (weight,) = (each for each in node.inputs if not each.type.batched)
    is_left = weight is node.inputs[0]
    by_rows = op.sums_own_rows or (op.left if is_left else op.right)[:1] == op.out[:1]
    return by_rows and isinstance(weight.op, Input) and writer.group.domain == weight.type.shape


def _repeat_small_steps(scheduled: list[Scheduled], targets: Targets) -> None:
    """Let every shard repeat small steps whose values all shards read, which saves a barrier.

    Only the first shard writes those of their values that are stored outside of the arena.
    """
    shared = {root for s in scheduled if s.mode != Mode.SINGLE for root in s.reads}
    for s in reversed(scheduled):
        read = [node for node in s.group.stored if node in shared]
        if s.mode != Mode.SINGLE or not read or s.group.kind != GroupKind.NEST:
            continue
        if sizes.product(s.group.domain) >= SPLIT_FROM:
            continue
        needed = s.group.needed_for(read)
        own = {allocation.space for node in s.group.stored for allocation in targets.get(node, ())}
        leaves = {root_of(each) for node in needed for each in node.inputs}
        if any(
            isinstance(leaf.op, Input) and f"{leaf.op.role}.{leaf.op.label}" in own
            for leaf in leaves
        ):
            continue  # the first shard would overwrite values that the others still read
        s.mode = Mode.EACH
        shared |= leaves
