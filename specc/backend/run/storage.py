"""The memory that one run of a program writes to, and its calls with the addresses of that memory.

    storage = Storage(plan, "float32", outside)
    linked = storage.linked(code)           # code: the calls of all shards, see `program`
    storage.executor.run(linked.program, steps)

Weights and optimizer states are not part of it: all storages of a model share them.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from specc.backend.emit.calls import (
    Address,
    ConstantArray,
    KernelCall,
    Value,
    in_order,
    phase_of,
)
from specc.backend.run import executor
from specc.backend.run.code import Code
from specc.ir.graph import Node
from specc.ir.names import label_of
from specc.ir.plan import Plan
from specc.ops.leaf import Input, Role
from specc.system.records import dataclass


@dataclass(frozen=True)
class Outside:
    """The addresses shared by all storages of a program: model arrays and words of the frame."""

    arrays: Mapping[str, np.ndarray]
    frame_index: Mapping[str, int]
    numbers: Mapping[str, int]

    def number(self, address: Address) -> int:
        """Return the number that stands for a port's address, or for one of `numbers`."""
        if address.space == "port":
            return self.frame_index[address.name]
        return self.numbers[address.space]


class Storage:
    """The buffers of a program, for one thread at a time."""

    def __init__(
        self,
        plan: Plan,
        dtype: str,
        outside: Outside,
        threads: int,
        allocate: Callable[[int], np.ndarray] | None = None,
    ):
        self.plan, self.dtype, self._outside = plan, dtype, outside
        self.allocate = allocate or aligned  # the bytes that all threads read and write
        self.arena = self.allocate(plan.arena_bytes * plan.shards)
        self.shared = self.allocate(plan.shared_bytes)
        self.record = self.allocate(8 * plan.record_width)
        self.slots = {
            f"slot.{node.op.label}": self._slot(node)
            for node in plan.graph.nodes
            if isinstance(node.op, Input) and node.op.role == Role.SLOT
        }
        self.threads = min(threads, plan.shards)
        # the shard in whose arena each shard has its passing memory: the first of its thread, as
        # one of them is done with a phase before the next one begins it
        of_shards = executor.threads_of(plan.shards, self.threads)
        self.turns = [of_shards.index(thread) for thread in of_shards]
        if allocate is not None:  # several processes divide a phase further
            self.turns = list(range(plan.shards))
        # all programs share one thread pool; a single-threaded program runs on the calling thread
        self.alone = executor.Executor(1)
        self.executor = self.alone if self.threads == 1 else executor.executor(self.threads)
        self.ready: dict[Any, Any] = {}  # the memory of prepared calls in this storage
        self._linked: dict[Code, Linked] = {}

    @property
    def bytes(self) -> int:
        """The size of the storage's memory."""
        own = self.arena.nbytes + self.shared.nbytes + self.record.nbytes
        own += sum(array.nbytes for array in self.slots.values())
        return own + sum(each.bytes for each in self._linked.values())

    def linked(self, code: Code) -> Linked:
        """Return the calls of `code` with the addresses of this storage."""
        found = self._linked.get(code)
        if found is None:
            found = self._linked[code] = Linked(self, code, self._outside)
        return found

    def _slot(self, node: Node) -> np.ndarray:
        """Return memory for the state that a stream carries between batches.

        Its shape is [shards, elements, lanes].
        """
        plan = self.plan
        shape = (plan.shards, node.type.bound_elements, plan.lanes)
        size = math.prod(shape) * np.dtype(self.dtype).itemsize
        return self.allocate(size).view(self.dtype).reshape(shape)

    def take_slots(self, slots: Mapping[str, np.ndarray], batch: int) -> None:
        for name in self.slots:
            self.fill_slot(name, slots[label_of(name)].reshape(batch, -1))

    def fill_slot(self, name: str, values: np.ndarray) -> None:
        """Write the value of each example, [examples, elements], to a slot."""
        for shard in range(self.plan.shards):
            first = shard * self.plan.examples
            every = np.minimum(
                np.arange(first, first + self.plan.lanes),
                min(first + self.plan.examples, len(values)) - 1,
            )
            # lanes without an example repeat the last one
            self.slots[name][shard] = values[every].T

    def give_slots(self, slots: Mapping[str, np.ndarray], batch: int) -> None:
        for name, store in self.slots.items():
            taken = slots[label_of(name)].reshape(batch, -1)
            for shard in range(self.plan.shards):
                own = taken[shard * self.plan.examples :][: self.plan.examples]
                own[...] = store[shard, :, : len(own)].T


class Linked:
    """The arguments of every call for one storage and one choice of the columns' element types."""

    def __init__(self, storage: Storage, code: Code, outside: Outside):
        self.frame = aligned(8 * code.frame_words).view(np.int64)
        self._scratch = [aligned(code.scratch) for _ in code.shards]
        self._lasting = [
            aligned(max((call.lasting for call in calls), default=0)) for calls in code.shards
        ]
        self._copies = storage.allocate(code.copies)
        self._storage, self._outside = storage, outside
        self._kept: list[np.ndarray] = []
        self._code, self.phases = code, code.phases
        self.entries: list[tuple[KernelCall, executor.Call]] = []
        self.table: list[list[list[executor.Call]]] = []
        packing: list[list[list[executor.Call]]] = []
        kernels = {id(kernel): address for kernel, address in code.addresses.items()}
        for shard, calls in enumerate(code.shards):
            of_phase: list[list[executor.Call]] = [[] for _ in range(code.phases)]
            once: list[executor.Call] = []
            blocks = self._blocks(calls, shard)
            for call, iteration in in_order(calls):
                kernel = kernels.get(id(call.kernel))
                if kernel is None:  # an equal kernel, which is hashed only once
                    kernel = kernels[id(call.kernel)] = code.addresses[call.kernel]
                first, stride = blocks[call]
                entry = kernel, first + iteration * stride
                if call.once:
                    once.append(entry)
                    continue
                of_phase[phase_of(call, iteration)].append(entry)
                if shard == 0:
                    self.entries.append((call, entry))
            self.table.append(of_phase)
            packing.append([once])
        self.program = executor.StepCalls(self.table, storage.threads)
        self.program_of_one = self.program.on(1)  # runs on the calling thread only
        # the calls that pack the weights, ahead of a program that changes none
        self.packs = packing if any(once for (once,) in packing) else None
        self.packing = (
            executor.StepCalls(packing, storage.threads) if self.packs is not None else None
        )
        self.spread: Any = None  # the calls as several processes run them
        self.frame_of: Any = None  # the prepared run that wrote the frame last
        self.packed = -1  # the version of the weights that were packed last
        own = (*self._scratch, *self._lasting, self._copies, *self._kept)
        self.bytes = sum(array.nbytes for array in own)
        del self._storage, self._outside

    @property
    def calls(self) -> list[list[KernelCall]]:
        """The calls of each shard; a call within a loop is listed once per iteration."""
        return self._code.calls

    def _blocks(self, calls: list[KernelCall], shard: int) -> dict[KernelCall, tuple[int, int]]:
        """Return the address of each call's arguments, and the bytes to the next iteration's."""
        bases: dict[object, int] = {}
        first: list[int] = []  # the arguments of all calls, within a loop those of iteration 0
        starts: list[int] = []
        for call in calls:
            starts.append(len(first))
            first += [self._number(value, shard, bases) for _, value in call.arguments]
        whole = np.array(first, np.int64)
        self._kept.append(whole)
        address = whole.ctypes.data
        blocks = {call: (address + 8 * start, 0) for call, start in zip(calls, starts, strict=True)}
        for call, start in zip(calls, starts, strict=True):
            if call.loop is not None:
                strides = [getattr(value, "stride", 0) for _, value in call.arguments]
                of_call = whole[start : start + len(strides)]
                # [iteration, argument]
                each = of_call + np.outer(np.arange(call.loop.count), np.array(strides, np.int64))
                self._kept.append(each)
                blocks[call] = each.ctypes.data, each.strides[0]
        return blocks

    def _number(self, value: Value, shard: int, bases: dict[object, int]) -> int:
        """Return an argument as a number; `bases` has the addresses that are known already."""
        if isinstance(value, int):
            return value
        if isinstance(value, Address):
            space = value.space
            if space == "port" or space in self._outside.numbers:
                return self._outside.number(value)
            passes = space == "arena" and value.offset < self._storage.plan.passing_bytes
            key = space, value.shard, passes
            base = bases.get(key)
            if base is None:
                base = bases[key] = self._base(value, shard, passes)
            return base + value.offset
        if isinstance(value, ConstantArray):
            array = np.ascontiguousarray(value.array, np.int64)
            self._kept.append(array)
            return array.ctypes.data
        return int(value)

    def _base(self, address: Address, shard: int, passes: bool) -> int:
        """Return the address at which a space begins for a shard.

        `passes` tells whether the value is in the arena's memory for single phases.
        """
        storage, space = self._storage, address.space
        of = shard if address.shard is None else address.shard
        if space == "arena":
            if passes:
                of = storage.turns[shard]
            return storage.arena.ctypes.data + of * storage.plan.arena_bytes
        if space in storage.slots:
            return storage.slots[space][of].ctypes.data
        base = {
            "shared": storage.shared,
            "record": storage.record,
            "frame": self.frame,
            "scratch": self._scratch[shard],
            "lasting": self._lasting[shard],
            "copies": self._copies,
        }.get(space)
        if base is None:
            base = self._outside.arrays[space]
        return base.ctypes.data


def aligned(size: int) -> np.ndarray:
    """Return `size` zero bytes that start at a cache line."""
    store = np.zeros(size + 64, np.uint8)
    skip = -store.ctypes.data % 64
    return store[skip : skip + size]
