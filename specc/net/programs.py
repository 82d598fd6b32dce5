"""The compiled programs of a model: each is made when it is first needed, and kept.

programs = Programs(program, weights, batch=64, threads=2, clock=Clock()) records, outputs =
programs.run_all(programs.all_ready(Kind.TRAIN, data, 64, rows), data, order, ...)
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

import numpy as np

from specc.backend.machine.chosen import planning_with
from specc.backend.machine.here import this_profile
from specc.backend.run.kept import Kept
from specc.backend.run.program import CompiledProgram
from specc.backend.run.ranks import Ranks
from specc.ir.graph import Graph
from specc.ir.kind import Kind
from specc.ir.names import OutputKind
from specc.ir.plan import Plan
from specc.ir.program import Program
from specc.net.weights import Weights
from specc.ops.peers import sees_peers
from specc.recipe import Column
from specc.runtime.compiled import Divided
from specc.system.collection import uncollected
from specc.system.locks import COMPILER

if TYPE_CHECKING:
    from specc.pipeline import Batch

Fact = TypeVar("Fact")
# Programs that run in turn, each with the number of examples in its batches.
Sequence = tuple[tuple[CompiledProgram, int], ...]

MEASURED_AFTER = 20.0
"""The seconds that a program runs before its tiles are timed in the background."""

MOST_FACTS = 32  # most facts that are kept about a kind of program
SHARED = (Kind.TRAIN, Kind.ACCUMULATE, Kind.AGAIN, Kind.UPDATE, Kind.EVALUATE)
"""The programs that several processes run together."""
MOST_OF_PEERS = 16  # most programs that are kept for numbers of examples that see each other


class Clock:
    """Counts the seconds that compiling the programs of a model has taken."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self._depth = 0

    @contextmanager
    def running(self) -> Iterator[None]:
        """Add the time of a block, counted once if blocks are nested; the caller holds COMPILER."""
        start, self._depth = time.perf_counter(), self._depth + 1
        try:
            yield
        finally:
            self._depth -= 1
            if not self._depth:
                self.seconds += time.perf_counter() - start


class Programs:
    """The graphs, plans and machine code of one model for batches of `batch` examples."""

    def __init__(
        self,
        program: Program,
        weights: Weights,
        batch: int,
        threads: int,
        clock: Clock,
        shards: int | None = None,
        ranks: Ranks | None = None,
    ) -> None:
        self.program, self.weights, self.clock = program, weights, clock
        self.ranks = ranks  # the processes that share training and evaluation
        self.batch, self.threads, self.shards = batch, threads, shards
        self.dtype, self.seed = weights.dtype, weights.seed
        self.compiled_ones: dict[tuple[str, int, int | None], CompiledProgram] = {}
        self._graphs: dict[str, Graph] = {}
        self._settings: dict[str, Graph] = {}
        self._of_kinds: dict[str, Kept] = {}
        # All plans of a model are made with one profile, and a resumed run keeps its own.
        self.profile = this_profile()

    def share(self, ranks: Ranks) -> None:
        """Share training and evaluation with other processes, all of which call this.

        The processes of one machine have the weights in common from now on.
        """
        assert not self.compiled_ones, "processes share a net before it runs (a bug of specc)"
        ranks.meet(self.threads)
        self.ranks = ranks
        if ranks.neighbours is not None:
            self.weights.move(ranks.allocate, ranks.neighbours.number == 0)
            ranks.wait()

    def leave(self) -> None:
        """Share nothing any more; all that share call this."""
        if self.ranks is not None:
            self.ranks.part(self.weights.common)
            self.weights.leave()
        self.ranks = None
        for key in [key for key in self.compiled_ones if key[0] in SHARED]:
            del self.compiled_ones[key]

    @contextmanager
    def _compiling(self) -> Iterator[None]:
        with COMPILER, planning_with(self.profile):
            yield

    # What earlier processes have kept of the same programs.

    def _kept(self, kind: str, *more: object) -> Kept:
        """Return what the cache folder keeps of a kind of program, or of one program."""
        given = self.batch, self.dtype, self.threads, self.shards, self.profile.text()
        return Kept(self.program.digest, *given, str(kind), *more)

    @uncollected
    def _of_kind(self, kind: str) -> Kept:
        """Return the settings of one kind of program, and whether its examples see each other."""
        found = self._of_kinds.get(kind)
        if found is None:
            with self._compiling():
                found = self._kept(kind)
                if not found:
                    peers = sees_peers(self.graph(kind))
                    found.keep(settings=self._settings[kind], sees_peers=peers)
                self._of_kinds[kind] = found
        return found

    def fact(self, kind: str, name: str, make: Callable[[], Fact]) -> Fact:
        """Return a fact about a kind of program, which `make` finds out if it is not kept."""
        known = self._of_kind(kind)
        if name not in known:
            found = make()
            if len(known) < MOST_FACTS:
                known.keep(**{name: found})
            return found
        kept: Fact = known[name]
        return kept

    # Graphs and plans.

    @uncollected
    def graph(self, kind: str) -> Graph:
        """Return the optimized graph of one program: the planner's input."""
        from specc.pipeline import Job, optimized  # a warm start does not need the passes

        if kind not in self._graphs:
            with self._compiling():
                if kind not in self._graphs:
                    made = optimized(Job(self.program, Kind(kind)), self._batch(self.batch))
                    self._settings[kind] = made.settings
                    self._graphs[kind] = made.graph
        return self._graphs[kind]

    @property
    def settings_graph(self) -> Graph:
        """Return the optimizer's settings, as a graph over step, epoch, progress and stale."""
        return self.settings_of(Kind.TRAIN) if self.program.updates else Graph({})

    def settings_of(self, kind: str) -> Graph:
        """Return the optimizer's settings that one program reads."""
        found: Graph = self._of_kind(kind)["settings"]
        return found

    def plan(self, kind: str, examples: int | None = None, shards: int | None = None) -> Plan:
        """Return the plan of one program, for batches of `examples` in so many shards."""
        from specc.pipeline import planned

        examples = examples or self.batch
        with self._compiling():
            is_alone = (kind, examples) == (Kind.PREDICT, 1)
            return planned(self.graph(kind), self._batch(examples, is_alone, shards))

    def _batch(self, examples: int, is_alone: bool = False, shards: int | None = None) -> Batch:
        from specc.pipeline import Batch

        return Batch.on_this_machine(examples, self.dtype, is_alone, shards or self.shards)

    @property
    def working_threads(self) -> int:
        """Return how many threads work on a batch: `threads`, or fewer if it has fewer shards."""
        kind = Kind.TRAIN if self.program.updates else Kind.PREDICT
        made = (
            self.compiled_ones.get((each, self.batch, None)) for each in (kind, Kind.ACCUMULATE)
        )
        program = next((each for each in made if each is not None), None)
        return min(self.threads, (program.plan if program else self.plan(kind)).shards)

    def sees_peers(self, kind: str) -> bool:
        """Return whether the examples of a batch see each other.

        If so, a program is for one number of examples.
        """
        return bool(self._of_kind(kind)["sees_peers"])

    # Machine code.

    @uncollected
    def compiled(
        self, kind: str, examples: int | None = None, shards: int | None = None
    ) -> CompiledProgram:
        """Return one program, ready to run on batches of at most `examples` (for 1, see `plan`).

        If the examples see each other, it is for exactly so many. `shards` is the number of
        shards, by default the planner's choice.
        """
        key = kind, max(examples or 0, self.batch), shards
        if examples and (kind == Kind.PREDICT or self.sees_peers(kind)):
            key = kind, examples, shards
        found = self.compiled_ones.get(key)
        if found is None:
            with self._compiling():
                found = self.compiled_ones.get(key)
                if found is None:
                    found = self.compiled_ones[key] = self._made(*key)
        return found

    def divided(self, kind: str, examples: int) -> Divided:
        """Return how one program divides a batch of so many examples among shards and machines."""
        plan = self.compiled(kind, examples).plan
        own = range(plan.arenas) if self.ranks is None else self.ranks.own(plan)
        if plan.sharing.same_examples:
            own = range(1)
        return Divided(plan.examples, range(own.start * plan.examples, own.stop * plan.examples))

    def _made(self, kind: str, examples: int, shards: int | None) -> CompiledProgram:
        with self.clock.running():
            self._make_room(kind)
            if kind == Kind.GRADIENTS:
                self.weights.add_gradients()
            elif kind in (Kind.ACCUMULATE, Kind.AGAIN, Kind.UPDATE):
                updates = self.program.updates
                twice = {each.path for each in updates if each.again is not None}
                self.weights.add_gradients({each.path for each in updates})
                self.weights.add_gradients(twice, OutputKind.AGAIN)
            if kind in SHARED and self.ranks is not None:
                return self.of_plan(self.plan(kind, examples, shards), self.ranks)
            kept = self._kept(kind, examples, shards)
            plan = kept["plan"] if kept else self.plan(kind, examples, shards)
            return self.of_plan(plan, kept=kept)

    def _make_room(self, kind: str) -> None:
        """Forget the oldest programs for one number of examples, if there are too many."""
        if self.sees_peers(kind):
            others = [key for key in self.compiled_ones if key[0] == kind and key[1] != self.batch]
            for key in others[: len(others) + 1 - MOST_OF_PEERS]:
                del self.compiled_ones[key]

    def of_plan(
        self, plan: Plan, ranks: Ranks | None = None, kept: Kept | None = None
    ) -> CompiledProgram:
        """Return a plan made ready to run on the weights."""
        params = self.weights.params
        return CompiledProgram(
            plan, self.dtype, self.weights.arrays, lambda: params.version, self.threads, ranks, kept
        )

    def of_graph(self, graph: Graph, batch: int) -> CompiledProgram:
        """Return a lowered graph made ready to run on batches of `batch` examples."""
        from specc.pipeline import Job, after, planned, run

        graph = run(Job(), after("select", graph), "prepare").graph
        with self._compiling():
            return self.of_plan(planned(graph, self._batch(batch, batch == 1)))

    def ready(
        self, kind: str, data: Mapping[str, Column], batch: int, shards: int | None = None
    ) -> CompiledProgram:
        """Return one program, with all code compiled for runs on data like this."""
        program = self.compiled(kind, batch, shards)
        if not program.is_linked(data):
            with self._compiling(), self.clock.running():
                program.link(data)
        return program

    def all_ready(self, kind: str, data: Mapping[str, Column], batch: int, rows: int) -> Sequence:
        """Return the programs that run over so many rows.

        A second one is for the last batch, if examples see each other and it has fewer.
        """
        rest = rows % batch if self.sees_peers(kind) else 0
        sizes = [batch] if rows >= batch or not rest else []
        return tuple(
            (self.ready(kind, data, size), size) for size in (*sizes, *([rest] if rest else []))
        )

    # Runs.

    def run(
        self,
        program: CompiledProgram,
        data: Mapping[str, Column],
        order: np.ndarray,
        batch: int,
        settings: np.ndarray | None = None,
        first: int = 0,
        slots: Mapping[str, np.ndarray] | None = None,
        seed: int | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the records and outputs of one program over the rows `order`.

        Without `slots`, streams begin anew.
        """
        slots = self.weights.new_slots(batch) if slots is None else slots
        if program.changes_weights:
            self.weights.params.written()
        seed = self.seed if seed is None else seed
        start = time.perf_counter()
        found = program.run(data, order, batch, settings, seed, first, slots)
        self.ran(program, time.perf_counter() - start)
        return found

    def ran(self, program: CompiledProgram, seconds: float) -> None:
        """Note that a program ran for so long; if it did so often, time its tiles."""
        program.seconds += seconds
        if program.seconds > MEASURED_AFTER and not program.is_measured and self.ranks is None:
            from specc.net import measuring

            measuring.start(program, self._compiling)

    def measure(self, kind: str, examples: int | None = None) -> int:
        """Time the tiles of one program, and remember the fastest for programs made later.

        Returns the number of contractions that were timed.
        """
        from specc.net import measuring

        return measuring.measure(self.compiled(kind, examples), self._compiling)

    def run_all(
        self,
        programs: Sequence,
        data: Mapping[str, Column],
        order: np.ndarray,
        settings: np.ndarray | None = None,
        first: int = 0,
        slots: Mapping[str, np.ndarray] | None = None,
        seed: int | None = None,
    ) -> tuple[np.ndarray, dict[str, np.ndarray]]:
        """Return the records and outputs of programs that run in turn over the rows `order`."""
        if len(programs) == 1:
            program, batch = programs[0]
            return self.run(program, data, order, batch, settings, first, slots, seed)
        found, start, step = [], 0, 0
        for program, batch in programs:
            stop = start + (len(order) - start) // batch * batch
            own = slots and {label: array[:batch] for label, array in slots.items()}
            rest = None if settings is None else settings[step:]
            rows = order[start:stop]
            found.append(self.run(program, data, rows, batch, rest, first + step, own, seed))
            start, step = stop, step + len(found[-1][0])
        outputs = {name: np.concatenate([each[name] for _, each in found]) for name in found[0][1]}
        return np.concatenate([records for records, _ in found]), outputs
