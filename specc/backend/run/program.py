"""A plan ready to run: its calls, the addresses of their kernels, and a pool of memory.

    program = CompiledProgram(plan, "float32", arrays)
    data = {"image": images, "label": labels}
    records, outputs = program.run(data, order, batch, settings)

`arrays` are the parameters and states, which all programs of a model share and which are changed in
place; `version()` returns a number that changes whenever a parameter is written. Several threads
may run a program at the same time, unless the program writes to `arrays`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from itertools import chain
from typing import Any, NamedTuple

import numpy as np

from specc.backend.emit import feed
from specc.backend.emit.calls import KernelCall
from specc.backend.machine.here import this_profile
from specc.backend.run import executor
from specc.backend.run.code import Code
from specc.backend.run.kept import Kept
from specc.backend.run.pool import Pool
from specc.backend.run.ranks import Ranks
from specc.backend.run.spread import Spread
from specc.backend.run.storage import Linked, Outside, Storage
from specc.backend.toolchain.load import load
from specc.ir.names import OutputKind, kind_of
from specc.ir.plan import Plan
from specc.ops.contract import Contract
from specc.ops.leaf import Input, Role
from specc.recipe import Column
from specc.system.collection import uncollected
from specc.system.lazy import cached_property
from specc.system.locks import COMPILER

_COLUMN_TYPES = {np.dtype(name) for name in feed.COLUMN_TYPES}
KEPT_BYTES = 64 << 20  # most bytes of unused storages that a program keeps for further runs
RUNS_OF_A_POOL = 2  # runs that share a thread pool: one runs, the next one's arguments are set up
_OUTPUT_TYPES = {"int": "int32", "bool": "uint8", "byte": "uint8"}


class Buffers(NamedTuple):
    """The arrays that a run writes, and those that it reads besides its columns and its order."""

    records: np.ndarray
    outputs: dict[str, np.ndarray]
    read: tuple[np.ndarray, ...]


class CompiledProgram:
    """One plan in machine code, with a pool of `Storage`, one for each run at a time."""

    def __init__(
        self,
        plan: Plan,
        dtype: str,
        arrays: Mapping[str, np.ndarray],
        version: Callable[[], int] | None = None,
        threads: int | None = None,
        ranks: Ranks | None = None,
        kept: Kept | None = None,
    ):
        self.plan, self.dtype = plan, dtype
        self._kept = kept  # the calls that earlier processes have emitted
        # the processes that share the work; None if this one does all of it
        self._ranks = ranks if ranks is not None and ranks.shares(plan) else None
        self.threads = min(plan.shards if threads is None else threads, plan.shards)
        self._all_threads = self.threads
        if self._ranks is not None:
            self._all_threads, own = self._ranks.threads(plan.shards)
            self.threads = max(1, len(own))
        self.seconds = 0.0  # for which it ran
        self.is_measured = kept is not None and "measured" in kept  # see `net.measuring`
        self._version = version
        self.changes_weights = any(kind_of(name) == OutputKind.PARAM for name in plan.graph.outputs)
        self._codes: dict[tuple[np.dtype, ...], Code] = {}
        leaves = [node.op for node in plan.graph.nodes if isinstance(node.op, Input)]
        self.ports = tuple(op.label for op in leaves if op.role in (Role.INPUT, Role.TARGET))
        self._ints = {op.label for op in leaves if op.type.kind != "float"}
        self.settings = sum(op.role == Role.SETTING for op in leaves)
        self._frame_index = {
            name: feed.PORTS + 3 * i
            for i, name in enumerate([*self.ports, *(name for name, _ in plan.emits)])
        }
        numbers = {"settings": self.settings}
        most = 2 * executor.processors() if self.threads == 1 else RUNS_OF_A_POOL
        outside = Outside(arrays, self._frame_index, numbers)
        allocate = None if self._ranks is None else self._ranks.allocate
        self.new_storage = partial(Storage, plan, dtype, outside, self.threads, allocate)
        self.storages: Pool[Storage] = Pool(self.new_storage, most, kept=1)

    def run(
        self,
        data: Mapping[str, Column],
        order: np.ndarray,
        batch: int,
        settings: np.ndarray | None = None,
        seed: int = 0,
        first: int = 0,
        slots: Mapping[str, np.ndarray] = {},
        execute: Callable[[Linked, int], None] | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Run ceil(len(order) / batch) steps over the rows `order`.

        Returns the records, float64 [steps, plan.record_width], and the batched outputs, each
        [len(order), *shape]. `settings` is float64 [steps, settings]. Random numbers depend on
        `seed` and on the step, counted from `first`. `slots` maps the label of a stream's state to
        its values of all slots, [batch, *shape]; they are read, and updated in place. `execute`, if
        given, runs the linked program and its steps instead of the executor (see `timing`).
        """
        assert batch <= self.plan.batch, "the plan is for smaller batches"
        columns = self.columns(data)
        code = self.code(columns)
        order = np.ascontiguousarray(order, np.int64)
        steps = -(-len(order) // batch)
        storage = self.storages.take()
        try:
            linked = storage.linked(code)
            if self._ranks is not None and steps:
                spread = self._spread(linked, code, storage)
                self._ranks.wait()  # until all have read the results of the run before
                kept = self.set_up(
                    linked, columns, order, batch, settings, seed, first, spread.buffer
                )
                storage.take_slots(slots, batch)
                spread.run(steps, kept.outputs, batch)
                storage.give_slots(slots, batch)
                outputs = {name: array.copy() for name, array in kept.outputs.items()}
                return kept.records.copy(), outputs
            kept = self.set_up(linked, columns, order, batch, settings, seed, first)
            self.pack(storage, linked)
            if steps and execute is not None:
                execute(linked, steps)
            elif steps:
                storage.take_slots(slots, batch)
                storage.executor.run(linked.program, steps)
                storage.give_slots(slots, batch)
        finally:
            self.storages.give(storage)
        return kept.records, kept.outputs

    def _spread(self, linked: Linked, code: Code, storage: Storage) -> Spread:
        if linked.spread is None:
            assert self._ranks is not None
            linked.spread = Spread(linked, code, storage, self._ranks)
        return linked.spread

    def pack(self, storage: Storage, linked: Linked) -> None:
        """Pack the weights that no run changes, if they were modified since the last packing."""
        if linked.packing is not None:
            version = self._version() if self._version is not None else -1
            if version != linked.packed or version < 0:
                storage.executor.run(linked.packing)
                linked.packed = version

    def set_up(
        self,
        linked: Linked,
        columns: Mapping[str, Column],
        order: np.ndarray,
        batch: int,
        settings: np.ndarray | None,
        seed: int,
        first: int,
        empty: Callable[[str, tuple[int, ...], Any], np.ndarray] = lambda _, *of: np.empty(*of),
    ) -> Buffers:
        """Write the frame of a run; the returned buffers must outlive the run.

        `empty` makes the arrays of results, by name, shape and type.
        """
        outputs = {
            name: empty(
                name,
                (len(order), *node.type.bound_shape),
                _OUTPUT_TYPES.get(node.type.kind, self.dtype),
            )
            for name, node in self.plan.emits
        }
        steps = -(-len(order) // batch)
        records = empty("records", (steps, self.plan.record_width), np.float64)
        settings = np.ascontiguousarray(settings if settings is not None else np.empty(0))
        linked.frame_of, frame = None, linked.frame
        frame[feed.ORDER], frame[feed.TOTAL], frame[feed.BATCH] = (
            order.ctypes.data,
            len(order),
            batch,
        )
        frame[feed.SETTINGS], frame[feed.RECORDS] = settings.ctypes.data, records.ctypes.data
        frame[feed.SEED], frame[feed.FIRST] = np.uint64(seed % 2**64).astype(np.int64), first
        affine = np.array([(each.scale, each.shift) for each in columns.values()]).reshape(-1, 2)
        for i, name in enumerate(self.ports):
            frame[self._frame_index[name]] = columns[name].array.ctypes.data
            frame[self._frame_index[name] + 1] = affine.ctypes.data + 16 * i
            frame[self._frame_index[name] + 2] = columns[name].array[:1].size
        for name, array in outputs.items():
            frame[self._frame_index[name]] = array.ctypes.data
        return Buffers(records, outputs, (settings, affine))

    def frame_index(self, name: str) -> int:
        """Return the index in the frame of the address of a port's or an output's array."""
        return self._frame_index[name]

    def columns(self, data: Mapping[str, Column]) -> dict[str, Column]:
        """Return the columns of this program's ports, with element types that the kernels read."""
        return {name: self._column(name, data[name]) for name in self.ports}

    def is_linked(self, data: Mapping[str, Column]) -> bool:
        """Return whether the code for the element types of `data` is compiled already."""
        return self._types(data) in self._codes

    def link(self, data: Mapping[str, Column]) -> Linked:
        """Compile and load the code for the element types of `data`, which the next `run` needs."""
        code = self.code(data)
        storage = self.storages.take()
        try:
            linked = storage.linked(code)
            # keep as many unused storages as fit
            room = KEPT_BYTES // max(storage.bytes, 1)
            self.storages.kept = max(1, min(room, self.storages.most))
            return linked
        finally:
            self.storages.give(storage)

    def code(self, data: Mapping[str, Column]) -> Code:
        """Return the compiled calls for the element types of `data`."""
        types = self._types(data)
        found = self._codes.get(types)
        return found if found is not None else self._compiled(types)

    @uncollected
    def _compiled(self, types: tuple[np.dtype, ...]) -> Code:
        with COMPILER:
            read = tuple(map(self._read_as, self.ports, types))
            if read not in self._codes:
                self._codes[read] = self._made(read)
            self._codes[types] = self._codes[read]
            return self._codes[types]

    def _made(self, types: tuple[np.dtype, ...]) -> Code:
        columns = {**dict(zip(self.ports, map(str, types), strict=True)), **self._output_columns()}
        shards = self._shards(columns)
        # equal kernels are mostly one object, and hashing one takes a microsecond
        found = {id(call.kernel): call.kernel for calls in shards for call in calls}
        kernels = dict.fromkeys([*executor.KERNELS, *found.values()])
        return Code(shards, load(list(kernels)), feed.PORTS + 3 * len(self._frame_index) + 8)

    def _shards(self, columns: Mapping[str, str]) -> list[list[KernelCall]]:
        """Return the calls of all shards."""
        name = f"calls {sorted(columns.items())}"
        if self._kept is not None and name in self._kept:
            found: list[list[KernelCall]] = self._kept[name]
            return found
        if self._ranks is not None:
            from specc.backend.contraction.plan import by_estimates

            with by_estimates():
                calls = self._emitted(columns)
        else:
            calls = self._emitted(columns)
        if self._kept is not None:
            self._kept.keep(**{"plan": self.plan, name: calls})
        return calls

    def emitted_again(self) -> None:
        """Emit the calls once more, so that its contractions can be `watched`."""
        self._emitted(self._columns_of_ports())

    def note_measured(self, is_new: bool) -> None:
        """Note that its tiles were timed; if something is new, later processes emit its calls."""
        self.is_measured = True
        if self._kept is not None:
            if is_new:
                self._kept.forget()
            self._kept.keep(plan=self.plan, measured=True)

    def _emitted(self, columns: Mapping[str, str]) -> list[list[KernelCall]]:
        # a warm start does not need these modules
        from specc.backend.emit.emit import emit
        from specc.backend.emit.shard import Common
        from specc.backend.emit.sharing import (
            with_copies_of_a_thread,
            with_shared_copies,
            with_shared_transposes,
        )

        common = Common(self.plan)
        if self._ranks is not None and self._ranks.divides(self.plan):
            own = self._ranks.own(self.plan)
            return [
                emit(self.plan, self.dtype, shard, columns, common, shard in own)
                for shard in range(self.plan.shards)
            ]
        calls = [
            emit(self.plan, self.dtype, shard, columns, common) for shard in range(self.plan.shards)
        ]
        threads = executor.threads_of(self.plan.shards, self._all_threads)
        profile = this_profile()
        if self.plan.sharing.same_examples and self.plan.shards > 1:
            calls = with_shared_transposes(calls, self.plan, profile.l2 // 2)
        shared = with_shared_copies(calls, profile.barrier)
        return with_copies_of_a_thread(shared, threads)

    def _types(self, data: Mapping[str, Column]) -> tuple[np.dtype, ...]:
        return tuple([data[name].array.dtype for name in self.ports])

    def _read_as(self, name: str, dtype: np.dtype) -> np.dtype:
        """Return the element type in which a column is read."""
        if dtype == np.bool_:
            return np.dtype(np.uint8)
        if dtype in _COLUMN_TYPES:
            return dtype
        return np.dtype(np.int64 if name in self._ints else self.dtype)

    @cached_property
    def order_of_sums(self) -> tuple[tuple[str, ...], ...]:
        """How each product sums its terms; programs that agree in it give the same bits.

        Tiles do not change the order of a sum, which is the order of the taps. Only the method (a
        dot product sums in vectors) and the slices of long sums do.
        """
        found: dict[int, dict[str, None]] = {}
        # the shards may use different methods for a product, depending on their part of the rows
        for call in chain.from_iterable(self._calls_of_all()):
            products = [node for node in call.nodes if isinstance(node.op, Contract)]
            if products and not call.packs:
                method = call.kernel.name.partition("_")[0]
                slices = dict(call.arguments).get("most")
                found.setdefault(id(products[0]), {})[f"{method} {slices}"] = None
        return tuple(map(tuple, found.values()))

    def entries(self, data: Mapping[str, Column]) -> list[tuple[KernelCall, executor.Call]]:
        """Return the first shard's calls and the executor's entry for each, for benchmarks."""
        return self.link(data).entries

    def calls(self, shard: int = 0) -> list[KernelCall]:
        """Return the calls of one shard, for listings."""
        return self._calls_of_all()[shard]

    def _calls_of_all(self) -> list[list[KernelCall]]:
        return self._shards(self._columns_of_ports())

    def _columns_of_ports(self) -> dict[str, str]:
        types = {name: "int64" if name in self._ints else self.dtype for name in self.ports}
        return {**types, **self._output_columns()}

    def _output_columns(self) -> dict[str, str]:
        return {
            name: _OUTPUT_TYPES.get(node.type.kind, self.dtype) for name, node in self.plan.emits
        }

    def _column(self, name: str, column: Column) -> Column:
        array, dtype = column.array, self._read_as(name, column.array.dtype)
        if array.dtype != dtype:
            array = array.view(dtype) if array.dtype == bool else array.astype(dtype)
        if array is column.array and array.flags.c_contiguous:
            return column
        return Column(np.ascontiguousarray(array), column.scale, column.shift)
