"""All passes of the compiler from a checked program to its plan, in order.

    job = Job(program, Kind.TRAIN)
    made = run(job, through="prepare")            # made.graph, made.settings
    plan = run(job, made, batch=Batch(64, vector=16, item=4)).plan

`PASSES` is the whole list. Compilation and `specc show --stage NAME` both iterate over it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import NamedTuple

from specc.backend.machine import this_machine
from specc.backend.machine.here import gains_by_pairs
from specc.ir.graph import Graph, Node
from specc.ir.kind import Kind
from specc.ir.plan import Group, Plan, show_groups
from specc.ir.program import Program
from specc.ir.show import show_graph
from specc.ir.types import FLOAT_BYTES
from specc.ir.verify import verify
from specc.ops.carry import straightened
from specc.ops.peers import bind_batch, sees_peers
from specc.passes import lower
from specc.passes.accumulate import SETTINGS, accumulated, update_alone
from specc.passes.chunk import chunk
from specc.passes.derive import derive
from specc.passes.divide import divide
from specc.passes.division import Division, divided
from specc.passes.frame import frame
from specc.passes.fuse import fuse
from specc.passes.hoist import hoist
from specc.passes.plan.plan import plan
from specc.passes.pool_first import pool_first
from specc.passes.prepare import prepare
from specc.passes.push_slices import push_slices
from specc.passes.recompute import recompute
from specc.passes.round_operands import into_products, round_operands
from specc.passes.simplify import simplify
from specc.passes.stream import streamed
from specc.passes.tabulate import tabulate
from specc.system.records import dataclass

WORTH_RECOMPUTING = 0.95  # the most memory with recomputation, relative to that without

# The outputs that a kind of program keeps, by prefix of their names; a training step keeps all.
KEPT = {
    Kind.GRADIENTS: ("loss", "gradient."),
    Kind.EVALUATE: ("loss", "mean.", "slot."),
    Kind.PREDICT: ("output.", "slot."),
}


class Batch(NamedTuple):
    """The batch of a plan.

    A register has `vector` SIMD lanes (1 to predict a single example); a float has `item` bytes.
    The batch is divided into `shards`, by default as suits it (see `division`). `bfloat16` tells
    that the machine multiplies bfloat16 numbers faster than float32 ones.
    """

    examples: int
    vector: int
    item: int
    shards: int | None = None
    bfloat16: bool = False

    @classmethod
    def on_this_machine(
        cls,
        examples: int,
        dtype: str = "float32",
        is_alone: bool = False,
        shards: int | None = None,
    ) -> Batch:
        """Return a batch with this machine's vectors.

        If `is_alone`, the batch is a single example, which fills no vector.
        """
        vector = 1 if is_alone else this_machine().lanes(dtype)
        item = FLOAT_BYTES[dtype]
        return cls(examples, vector, item, shards, gains_by_pairs(dtype))


@dataclass(frozen=True)
class Job:
    """A compilation job: one kind of program of a model.

    `more` are nodes that become further outputs. A job on a lowered graph needs no program.
    """

    program: Program | None = None
    kind: Kind = Kind.EVALUATE
    more: Mapping[str, Node] = field(default_factory=dict)
    recompute: bool = False


@dataclass(frozen=True)
class Made:
    """The result of the passes so far, and the number of passes that have run."""

    graph: Graph = field(default_factory=lambda: Graph({}))
    settings: Graph = field(default_factory=lambda: Graph({}))
    is_recomputed: bool = False
    batch: Batch | None = None
    division: Division | None = None
    groups: tuple[Group, ...] = ()
    plan: Plan | None = None
    passed: int = 0

    def __str__(self) -> str:
        if self.plan is not None:
            return str(self.plan)
        return show_groups(self.groups) if self.groups else show_graph(self.graph)


class Pass(NamedTuple):
    """A pass: its name, its function on the previous result, and the condition for it to run."""

    name: str
    run: Callable[[Made, Job], Made]
    when: Callable[[Made, Job], bool] = lambda made, job: True
    is_verified: bool = True


def on_graph(function: Callable[[Graph], Graph]) -> Callable[[Made, Job], Made]:
    """Return a pass that only transforms the graph."""
    return lambda made, job: replace(made, graph=function(made.graph))


def _program(job: Job) -> Program:
    assert job.program is not None, "the passes up to update need a program"
    return job.program


def _lower(made: Made, job: Job) -> Made:
    if job.kind == Kind.UPDATE:
        return replace(made, graph=update_alone(_program(job)))
    return replace(made, graph=lower.outputs(_program(job), job.kind.is_training, job.more))


def _stream(made: Made, job: Job) -> Made:
    return replace(made, graph=streamed(made.graph, dict(_program(job).streams)))


def _set_mode(made: Made, job: Job) -> Made:
    return replace(made, graph=lower.set_mode(made.graph, job.kind.is_training))


def _tabulate(made: Made, job: Job) -> Made:
    examples = _batch(made).examples if job.kind.is_training else None
    return replace(made, graph=tabulate(made.graph, examples))


def _differentiate(made: Made, job: Job) -> Made:
    if job.kind == Kind.AGAIN:
        return replace(made, graph=lower.differentiate_again(made.graph, _program(job)))
    return replace(made, graph=lower.differentiate(made.graph, _program(job), _is_step(made, job)))


def _accumulate(made: Made, job: Job) -> Made:
    return replace(made, graph=accumulated(made.graph, _program(job)))


def _update(made: Made, job: Job) -> Made:
    return replace(made, graph=lower.update(made.graph, _program(job)))


def _schedule(made: Made, job: Job) -> Made:
    found = lower.split_schedule(made.graph, SETTINGS if job.kind == Kind.AGAIN else 0)
    return replace(made, graph=found.graph, settings=found.settings)


def _select(made: Made, job: Job) -> Made:
    return replace(made, graph=lower.keep(made.graph, KEPT[job.kind]))


def _recompute(made: Made, job: Job) -> Made:
    return replace(made, graph=recompute(made.graph), is_recomputed=True)


def _bind_batch(made: Made, job: Job) -> Made:
    return replace(made, graph=bind_batch(made.graph, _batch(made).examples))


def _divide(made: Made, job: Job) -> Made:
    batch = _batch(made)
    found = divided(made.graph, batch.examples, batch.vector, batch.shards)
    if found.vector > 1:
        graph = divide(made.graph, found.shards, found.lanes, found.is_tensor_parallel)
        return replace(made, graph=graph, division=found)
    return replace(made, division=found)


def _fuse(made: Made, job: Job) -> Made:
    return replace(made, groups=fuse(made.graph))


def _plan(made: Made, job: Job) -> Made:
    assert made.division is not None, "a plan needs a division"
    return replace(made, plan=plan(made.graph, made.groups, made.division, _batch(made).item))


def _batch(made: Made) -> Batch:
    assert made.batch is not None, "the passes from bind_batch on need a batch"
    return made.batch


def _is_rounded(made: Made, job: Job) -> bool:
    return job.program is not None and job.program.recipe.precision == "bfloat16"


def _knows_batch(made: Made, job: Job) -> bool:
    return made.batch is not None and not _is_rounded(made, job)


def _is_step(made: Made, job: Job) -> bool:
    return job.kind == Kind.TRAIN


def _updates(made: Made, job: Job) -> bool:
    return job.kind in (Kind.TRAIN, Kind.UPDATE)


def _adds_up(made: Made, job: Job) -> bool:
    return job.kind in (Kind.ACCUMULATE, Kind.AGAIN)


def _reads_schedule(made: Made, job: Job) -> bool:
    return job.kind in (Kind.TRAIN, Kind.UPDATE, Kind.AGAIN)


PASSES = (
    Pass("lower", _lower, is_verified=False),
    Pass("stream", _stream, is_verified=False),
    Pass("set_mode", _set_mode, is_verified=False),
    Pass("derive", on_graph(derive), is_verified=False),
    Pass("hoist", on_graph(hoist), is_verified=False),
    Pass("pool_first", on_graph(pool_first), is_verified=False),
    Pass("tabulate", _tabulate, _knows_batch, is_verified=False),
    Pass("autodiff", _differentiate, lambda made, job: job.kind.is_training, is_verified=False),
    Pass("round_operands", on_graph(round_operands), _is_rounded, is_verified=False),
    Pass("accumulate", _accumulate, _adds_up),
    Pass("update", _update, _updates, is_verified=False),
    Pass("schedule", _schedule, _reads_schedule),
    Pass("select", _select, lambda made, job: job.kind in KEPT),
    Pass("straighten", on_graph(straightened)),
    Pass("simplify", on_graph(simplify)),
    Pass("push_slices", on_graph(push_slices)),
    Pass("chunk", on_graph(chunk)),
    Pass("recompute", _recompute, lambda made, job: job.recompute),
    Pass("prepare", on_graph(prepare)),
    Pass("bind_batch", _bind_batch, lambda made, job: sees_peers(made.graph)),
    Pass("into_products", on_graph(into_products), lambda made, job: _batch(made).bfloat16),
    Pass("frame", on_graph(frame)),
    Pass("divide", _divide, is_verified=False),
    Pass("fuse", _fuse, is_verified=False),
    Pass("plan", _plan, is_verified=False),
)
NAMES = tuple(each.name for each in PASSES)


def run(
    job: Job, made: Made | None = None, through: str = "plan", batch: Batch | None = None
) -> Made:
    """Run the passes up to `through`, from the start or continuing from an earlier result.

    The passes from "bind_batch" on need a `batch`. A pass that produces an invalid graph fails
    an assertion, which names the pass.
    """
    made = made or Made()
    if batch is not None:
        made = replace(made, batch=batch)
    for number in range(made.passed, NAMES.index(through) + 1):
        each = PASSES[number]
        if each.when(made, job):
            made = each.run(made, job)
            if each.is_verified:
                verify(made.graph, each.name)
        made = replace(made, passed=number + 1)
    return made


def optimized(job: Job, batch: Batch) -> Made:
    """Run the passes through "prepare" on a program.

    Gradient checkpointing is used if the model sets it and it saves memory for the batch.
    """
    selected = run(job, through="select", batch=batch)
    plain = run(job, selected, "prepare")
    if not (_program(job).recipe.recompute and job.kind.is_training):
        return plain
    again = run(replace(job, recompute=True), selected, "prepare")
    most, other = (run(job, each, batch=batch).plan for each in (plain, again))
    assert most is not None and other is not None
    return again if other.arena_bytes < WORTH_RECOMPUTING * most.arena_bytes else plain


def after(name: str, graph: Graph) -> Made:
    """Return a graph as the result of the pass `name`, from which `run` continues."""
    return Made(verify(graph, name), passed=1 + NAMES.index(name))


def planned(graph: Graph, batch: Batch) -> Plan:
    """Return the plan of an optimized graph."""
    made = run(Job(), Made(graph, passed=1 + NAMES.index("prepare")), batch=batch)
    assert made.plan is not None
    return made.plan


# Parts of the list for the interpreter, tests and `flow`, which read graphs without compiling them.


def forward(program: Program, training: bool, more: Mapping[str, Node] = {}) -> Graph:
    """Return the forward graph: losses, metrics, outputs and, in training mode, next states.

    `more` are further outputs. In training mode operands of products are not rounded yet, as
    gradients follow.
    """
    if training:
        return run(Job(program, Kind.GRADIENTS, more), through="hoist").graph
    return run(Job(program, Kind.EVALUATE, more), through="round_operands").graph


def with_gradients(program: Program) -> Graph:
    """Return the forward graph in training mode, with "gradient.PATH" for every parameter."""
    return run(Job(program, Kind.GRADIENTS), through="round_operands").graph


def training_step(program: Program) -> Made:
    """Return the graph of a whole training step, and the settings that are computed before it."""
    return run(Job(program, Kind.TRAIN), through="schedule")
