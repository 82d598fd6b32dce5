"""A plan made ready to run: its memory, its kernels' addresses, and the arguments of every call.

    program = CompiledProgram(plan, "float32", arrays)
    data = {"image": images, "label": labels}
    records, outputs = program.run(data, order, batch, settings)

`arrays` are the parameters and states, shared by all programs of a model and changed in place;
`version` tells a number that is another one after a change of parameters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import NamedTuple

import numpy as np

from specc.backend import executor, feed
from specc.backend.calls import Address, Call, Table, in_order, phase_of
from specc.backend.emit import emit
from specc.backend.load import load
from specc.collection import uncollected
from specc.columns import Column
from specc.ir.graph import Node
from specc.ir.plan import Plan
from specc.ops.leaf import Input

_COLUMN_TYPES = {np.dtype(name) for name in feed.COLUMN_TYPES}
_OUTPUT_TYPES = {"int": "int32", "bool": "uint8", "byte": "uint8"}


class Buffers(NamedTuple):
    """Where a run writes, and what it reads besides its columns and its order."""

    records: np.ndarray
    outputs: dict[str, np.ndarray]
    read: tuple[np.ndarray, ...]


class CompiledProgram:
    """One plan with its memory. Not re-entrant: a program has one arena."""

    def __init__(self, plan: Plan, dtype: str, arrays: Mapping[str, np.ndarray],
                 version: Callable[[], int] | None = None):
        self.plan, self.dtype = plan, dtype
        self._arrays = arrays
        self._version = version
        self._arena = aligned(plan.arena_bytes * plan.shards)
        self._shared = aligned(plan.shared_bytes)
        self._record = aligned(8 * plan.record_width)
        self._lanes = {f"lane.{node.op.label}": self._lane(node) for node in plan.graph.nodes
                       if isinstance(node.op, Input) and node.op.role == "lane"}
        self._linked: dict[tuple[np.dtype, ...], _Linked] = {}
        leaves = [node.op for node in plan.graph.nodes if isinstance(node.op, Input)]
        self.ports = tuple(op.label for op in leaves if op.role in ("input", "target"))
        self._ints = {op.label for op in leaves if op.type.kind != "float"}
        self.settings = sum(op.role == "setting" for op in leaves)
        self._slots = {name: feed.PORTS + 3 * i for i, name in enumerate(
            [*self.ports, *(name for name, _ in plan.emits)])}

    def run(self, data: Mapping[str, Column], order: np.ndarray, batch: int,
            settings: np.ndarray | None = None, seed: int = 0, first: int = 0,
            lanes: Mapping[str, np.ndarray] = {},
            execute: Callable[[_Linked, int], None] | None = None,
            ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Run ceil(len(order) / batch) steps over the rows `order`.

        Returns the records, float64 [steps, plan.record_width], and the batched outputs, each
        [len(order), *shape]. `settings` is float64 [steps, settings]. Random numbers depend on
        `seed` and on the step, counted from `first`. `lanes` holds what a stream has left for each
        lane, [batch, *shape] by its label; it is read, and then changed in place. `execute` runs the linked
        program instead, for so many steps (see `timing`).
        """
        plan = self.plan
        assert batch <= plan.batch, "the plan is for smaller batches"
        columns = self.columns(data)
        linked = self.link(columns)
        order = np.ascontiguousarray(order, np.int64)
        steps = -(-len(order) // batch)
        kept = self.set_up(linked, columns, order, batch, settings, seed, first)
        self.pack(linked)
        if steps and execute is not None:
            execute(linked, steps)
        elif steps:
            self._take_lanes(lanes, batch)
            executor.executor(plan.shards).run(linked.program, steps)
            self._give_lanes(lanes, batch)
        return kept.records, kept.outputs

    def pack(self, linked: _Linked) -> None:
        """Packs the weights that no run changes, if they are others now."""
        if linked.packing is not None:
            version = self._version() if self._version is not None else -1
            if version != linked.packed or version < 0:
                executor.executor(self.plan.shards).run(linked.packing)
                linked.packed = version

    def set_up(self, linked: _Linked, columns: Mapping[str, Column], order: np.ndarray, batch: int,
               settings: np.ndarray | None, seed: int, first: int) -> Buffers:
        """Writes the frame of a run; what it returns must outlive the run."""
        outputs = {
            name: np.empty((len(order), *node.type.shape),
                           _OUTPUT_TYPES.get(node.type.kind, self.dtype))
            for name, node in self.plan.emits
        }
        records = np.empty((-(-len(order) // batch), self.plan.record_width))
        settings = np.ascontiguousarray(settings if settings is not None else np.empty(0))
        frame = linked.frame
        frame[feed.ORDER], frame[feed.TOTAL], frame[feed.BATCH] = order.ctypes.data, len(order), batch
        frame[feed.SETTINGS], frame[feed.RECORDS] = settings.ctypes.data, records.ctypes.data
        frame[feed.SEED], frame[feed.FIRST] = np.uint64(seed % 2**64).astype(np.int64), first
        affine = np.array([(each.scale, each.shift) for each in columns.values()]).reshape(-1, 2)
        for i, name in enumerate(self.ports):
            frame[self._slots[name]] = columns[name].array.ctypes.data
            frame[self._slots[name] + 1] = affine.ctypes.data + 16 * i
            frame[self._slots[name] + 2] = columns[name].array[:1].size
        for name, array in outputs.items():
            frame[self._slots[name]] = array.ctypes.data
        return Buffers(records, outputs, (settings, affine))

    def _lane(self, node: Node) -> np.ndarray:
        """What a stream carries from step to step: [shards, elements, lanes]."""
        plan = self.plan
        shape = (plan.shards, node.type.elements, plan.lanes)
        size = int(np.prod(shape)) * np.dtype(self.dtype).itemsize
        return aligned(size).view(self.dtype).reshape(shape)

    def _take_lanes(self, lanes: Mapping[str, np.ndarray], batch: int) -> None:
        for name, store in self._lanes.items():
            given = lanes[name.removeprefix("lane.")].reshape(batch, -1)
            for shard in range(self.plan.shards):
                own = given[shard * self.plan.examples :][: self.plan.examples]
                store[shard] = 0
                store[shard, :, : len(own)] = own.T

    def _give_lanes(self, lanes: Mapping[str, np.ndarray], batch: int) -> None:
        for name, store in self._lanes.items():
            taken = lanes[name.removeprefix("lane.")].reshape(batch, -1)
            for shard in range(self.plan.shards):
                own = taken[shard * self.plan.examples :][: self.plan.examples]
                own[...] = store[shard, :, : len(own)].T

    def slot(self, name: str) -> int:
        """The place in the frame of the address of a port's or an output's array."""
        return self._slots[name]

    def columns(self, data: Mapping[str, Column]) -> dict[str, Column]:
        """The columns of this program's ports, of element types that the kernels read."""
        return {name: self._column(name, data[name]) for name in self.ports}

    def is_linked(self, columns: Mapping[str, Column]) -> bool:
        """Whether a run on columns like these has nothing to compile."""
        return _types(columns) in self._linked

    @uncollected
    def link(self, columns: Mapping[str, Column]) -> _Linked:
        """Compiles and loads what columns like these need, so that the next `run` only runs."""
        key = _types(columns)
        if key not in self._linked:
            types = dict(zip(self.ports, map(str, key), strict=True))
            self._linked[key] = _Linked(self, {**types, **self._output_columns()})
        return self._linked[key]

    def entries(self, data: Mapping[str, Column]) -> list[tuple[Call, executor.Call]]:
        """The first shard's calls with what the executor takes for each, for benchmarks."""
        return self.link(self.columns(data)).entries

    def calls(self, shard: int = 0) -> list[Call]:
        """The calls of one shard, for listings."""
        types = {name: "int64" if name in self._ints else self.dtype for name in self.ports}
        return emit(self.plan, self.dtype, shard, {**types, **self._output_columns()})

    def _output_columns(self) -> dict[str, str]:
        return {name: _OUTPUT_TYPES.get(node.type.kind, self.dtype)
                for name, node in self.plan.emits}

    def _column(self, name: str, column: Column) -> Column:
        array = column.array
        if array.dtype == bool:
            array = array.view(np.uint8)
        if array.dtype not in _COLUMN_TYPES:
            array = array.astype(np.int64 if name in self._ints else self.dtype)
        if array is column.array and array.flags.c_contiguous:
            return column
        return Column(np.ascontiguousarray(array), column.scale, column.shift)

    def address(self, address: Address, shard: int, linked: _Linked) -> int:
        """An address as a number."""
        space = address.space
        if space == "arena":
            of = shard if address.shard is None else address.shard
            return self._arena.ctypes.data + of * self.plan.arena_bytes + address.offset
        if space == "slot":
            return self._slots[address.name]
        if space == "settings":
            return self.settings
        if space in self._lanes:
            own = self._lanes[space][shard if address.shard is None else address.shard]
            return own.ctypes.data + address.offset
        base = {"shared": self._shared, "record": self._record, "frame": linked.frame,
                "scratch": linked.scratch[shard], "lasting": linked.lasting[shard]}.get(space)
        if base is None:
            base = self._arrays[space]
        return base.ctypes.data + address.offset


def _types(columns: Mapping[str, Column]) -> tuple[np.dtype, ...]:
    return tuple(column.array.dtype for column in columns.values())


class _Linked:
    """The arguments of every call for one choice of the columns' element types."""

    def __init__(self, owner: CompiledProgram, columns: dict[str, str]):
        plan = owner.plan
        shards = [emit(plan, owner.dtype, shard, columns) for shard in range(plan.shards)]
        addresses = load([*executor.KERNELS, *{call.kernel: None for calls in shards for call in calls}])
        self.frame = aligned(8 * (feed.PORTS + 3 * len(owner._slots) + 8)).view(np.int64)
        wanted = max((call.scratch for calls in shards for call in calls), default=0)
        self.scratch = [aligned(wanted) for _ in shards]
        self.lasting = [aligned(max((call.lasting for call in calls), default=0)) for calls in shards]
        self._kept: list[np.ndarray] = []
        # as often as they run
        self.calls = [[replace(call, phase=phase_of(call, turn)) if turn else call
                       for call, turn in in_order(calls) if not call.once] for calls in shards]
        self.entries: list[tuple[Call, executor.Call]] = []
        self.phases = phases = 1 + max(
            (phase_of(*each) for calls in shards for each in in_order(calls)), default=0)
        self.table: list[list[list[executor.Call]]] = []
        packing: list[list[list[executor.Call]]] = []
        for shard, calls in enumerate(shards):
            of_phase: list[list[executor.Call]] = [[] for _ in range(phases)]
            once: list[executor.Call] = []
            blocks: dict[Call, tuple[np.ndarray, np.ndarray]] = {}
            for call, turn in in_order(calls):
                if call not in blocks:
                    values = [value for _, value in call.arguments]
                    blocks[call] = (
                        np.array([self._number(owner, value, shard) for value in values], np.int64),
                        np.array([getattr(value, "stride", 0) for value in values], np.int64))
                first, stride = blocks[call]
                block = first + turn * stride
                self._kept.append(block)
                entry = addresses[call.kernel], block.ctypes.data
                if call.once:
                    once.append(entry)
                    continue
                of_phase[phase_of(call, turn)].append(entry)
                if shard == 0:
                    self.entries.append((call, entry))
            self.table.append(of_phase)
            packing.append([once])
        self.program = executor.Program(self.table)
        self.packing = executor.Program(packing) if any(once for (once,) in packing) else None
        self.packed = -1  # the version of the weights that it has packed last

    def _number(self, owner: CompiledProgram, value, shard: int) -> int:
        if isinstance(value, Address):
            return owner.address(value, shard, self)
        if isinstance(value, Table):
            array = np.ascontiguousarray(value.array, np.int64)
            self._kept.append(array)
            return array.ctypes.data
        return int(value)


def aligned(size: int) -> np.ndarray:
    """`size` zero bytes that start at a cache line."""
    store = np.zeros(size + 64, np.uint8)
    skip = -store.ctypes.data % 64
    return store[skip : skip + size]
