"""Plans: kernels in order, the phases between barriers, and the memory of every value.

    print(plan)      # one line a kernel: phase, mode, what it reads and writes, and where

Offsets in memory are in bytes, sizes in elements. A batched value is stored as [axes..., lanes] in
the arena of each shard; a value that is shared by the batch is stored in C order in shared memory.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from enum import StrEnum
from typing import NamedTuple

from specc.ir.graph import Graph, Node
from specc.ir.sharing import Sharing
from specc.ir.show import show_node
from specc.ir.sizes import Shape, bound
from specc.system.records import dataclass

ALIGNMENT = 64  # bytes: a cache line, and the widest vector


class GroupKind(StrEnum):
    """How the nodes of a group are computed together."""

    NEST = "nest"  # elementwise nodes, reductions and placements over one domain
    CONTRACT = "contract"  # one contraction
    KERNEL = "kernel"  # one node with a kernel of its own
    CONCAT = "concat"  # one node whose inputs are copied side by side
    LOOP = "loop"  # nodes that are computed step by step


class Mode(StrEnum):
    """How the shards share the work of a step."""

    SHARD = "shard"  # each shard does its own lanes
    SPLIT = "split"  # the shards divide the elements, or the rows or positions of a product
    ROWS = "rows"  # the shards divide the rows of a sum over all examples
    LANES = "lanes"  # the shards divide the lanes
    SINGLE = "single"  # only the first shard runs the step
    EACH = "each"  # every shard runs the step; only the first one writes outside of its arena


@dataclass(frozen=True, eq=False)
class Group:
    """Nodes that are computed together.

    A nest has one `domain`; for a loop see `loop`. `stored` are the members whose values other
    groups, or the outputs, read.
    """

    kind: GroupKind
    nodes: tuple[Node, ...]
    stored: tuple[Node, ...]
    domain: Shape = ()
    batched: bool = False
    loop: Repeated | None = None

    @property
    def repeated(self) -> Repeated:
        """The loop of a group of the kind LOOP."""
        assert self.loop is not None, f"a group of the kind {self.kind} is not a loop"
        return self.loop

    def needed_for(self, wanted: Iterable[Node]) -> tuple[Node, ...]:
        """Return the members that are needed to compute some of them, in order."""
        needed = set(wanted)
        for node in reversed(self.nodes):
            if node in needed:
                needed.update(node.inputs)
        return tuple(node for node in self.nodes if node in needed)


@dataclass(frozen=True, eq=False)
class Repeated:
    """A loop's groups for one step, and how the values of one step belong to those of all.

    `reads`: leaf of one step -> the value outside of the loop that it is a step of, or all of.
    `writes`: value of one step -> the value of all steps that it goes to. `carried`: the Carry ->
    the value of all steps that it holds the earlier steps of.
    """

    steps: int
    backward: bool
    groups: tuple[Group, ...]
    graph: Graph
    reads: Mapping[Node, Node]
    writes: Mapping[Node, Node]
    carried: Mapping[Node, Node]


def show_groups(groups: Iterable[Group]) -> str:
    """Return a line for each group: kind, nodes, domain, and how many of its values are stored."""
    lines = []
    for group in groups:
        if group.loop is not None:
            back = " backward" if group.loop.backward else ""
            lines.append(f"loop of {group.loop.steps} steps{back}")
            inner = show_groups(group.loop.groups).splitlines()
            lines += [f"    {line}" for line in inner]
            continue
        nodes = " ".join(show_node(node) for node in group.nodes)
        lines.append(f"{group.kind} {list(group.domain)}: {nodes} -> {len(group.stored)} stored")
    return "\n".join(lines) + "\n"


@dataclass(frozen=True)
class View:
    """How a value is read: the node that is stored, an offset, and a stride for each axis.

    Strides and offset count elements of one lane: the emitted stride is `lanes` times as large for
    a batched root.
    """

    root: Node
    offset: int
    strides: tuple[int, ...]


@dataclass(frozen=True)
class Allocation:
    """The memory of a value: a space, and an offset in it, in bytes.

    `space` is "arena", of which each shard has one, or the name of an array that exists before the
    program runs: "param.PATH", "state.PATH", "record", "gradient.PATH", "shared", or "slot.LABEL",
    of which each shard has one.
    """

    space: str
    offset: int = 0
    stride: int = 0  # bytes from one iteration of a loop to the next


class Meeting(NamedTuple):
    """A value of which all processes get the parts of all shards.

    It is computed in the phase `made`, and first read in the phase `read`.
    """

    node: Node
    made: int
    read: int


@dataclass(frozen=True, eq=False)
class Step:
    """One group of the program: its phase, how the shards share it, and where it stores.

    `stores` says where each stored node goes (a node may have several allocations).
    """

    group: Group
    phase: int
    mode: Mode
    stores: tuple[tuple[Node, Allocation], ...]
    steps: tuple[Step, ...] = ()  # the steps of one iteration, if the group is a loop
    iterations: int = 1
    by_channels: bool = False  # the shards divide the first axis evenly: see `share`
    phases: int = (
        0  # of a loop that the shards divide: those of each iteration, after one for the start
    )
    once: bool = False  # it follows from weights that no run changes: it runs ahead of one

    @property
    def computed(self) -> set[Node]:
        """The values that the step computes."""
        return {*self.group.nodes, *(node for node, _ in self.stores)}

    @property
    def within_arena(self) -> Step:
        """Return the part of a step of `Mode.EACH` that the shards after the first one run."""
        stores = tuple(
            (node, allocation) for node, allocation in self.stores if allocation.space == "arena"
        )
        assert stores, f"no shard after the first needs {self.group.nodes[-1]} (a bug of specc)"
        nodes = self.group.needed_for(node for node, _ in stores)
        return replace(self, group=replace(self.group, nodes=nodes), stores=stores)


@dataclass(frozen=True, eq=False)
class Plan:
    """The whole program for `shards` shards of `lanes` lanes, `examples` of which are used."""

    graph: Graph
    steps: tuple[Step, ...]
    views: Mapping[Node, View]
    allocations: Mapping[Node, Allocation]  # the memory of every root
    shards: int
    lanes: int
    examples: int
    arena_bytes: int
    shared_bytes: int
    records: tuple[str, ...]  # the outputs that each step records, in order
    emits: tuple[tuple[str, Node], ...]  # outputs that vary over the batch
    strides: Mapping[Node, tuple[int, ...]]  # those of values stored within another, not in C order
    sharing: Sharing  # how the shards share the work
    # the first bytes of an arena, which are of no use after a phase: shards that run one after the
    # other in each phase may have them in common
    passing_bytes: int = 0
    keeps_weights: bool = False  # whether the program changes no parameter
    # the values that travel if processes share the work; None if they cannot
    meetings: tuple[Meeting, ...] | None = None

    @property
    def arenas(self) -> int:
        """The number of arenas that hold examples."""
        return self.sharing.arenas

    @property
    def batch(self) -> int:
        """The most examples of a step."""
        return self.examples * self.arenas

    @property
    def record_width(self) -> int:
        """How many numbers a step records."""
        return sum(bound(self.graph.outputs[name].type.elements) for name in self.records)

    def __str__(self) -> str:
        lines = [
            f"{self.shards} shards of {self.lanes} lanes ({self.examples} examples each),"
            f" arena {self.arena_bytes:,} bytes a shard, shared {self.shared_bytes:,} bytes"
        ]
        for step in self.steps:
            nodes = " ".join(show_node(node) for node in step.group.nodes[:4])
            more = f" +{len(step.group.nodes) - 4}" if len(step.group.nodes) > 4 else ""
            where = ", ".join(
                f"{allocation.space}+{allocation.offset}" for _, allocation in step.stores
            )
            lines.append(
                f"phase {step.phase} {step.mode:<6} {step.group.kind:<8} {nodes}{more} -> {where}"
            )
            if step.steps:
                lines[-1] = (
                    f"phase {step.phase} {step.mode:<6} loop of {step.iterations} iterations"
                )
            for each in step.steps:
                nodes = " ".join(show_node(node) for node in each.group.nodes[:4])
                lines.append(f"    {each.group.kind:<8} {nodes}")
        return "\n".join(lines) + "\n"
