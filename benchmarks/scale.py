"""`python -m benchmarks.scale`: what a training step costs on N machines, from measured parts.

    python -m benchmarks.scale                      # parts of this machine, and up to 1,024 of them
    python -m benchmarks.scale --check              # against slow links between namespaces (root)

The parts: what a machine does itself in a step with N machines (`Silent`: its calls, copies and
updates, with messages that come at once), when each message starts and is awaited, and a link's
latency and bytes per second (`Link`). `predicted` puts them together, as docs/scale.md explains.
"""

from __future__ import annotations

import itertools
import json
import os
import statistics
import sys
import time
import warnings
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import click
import numpy as np

from benchmarks.cases import CASES, Case
from benchmarks.links import Links
from benchmarks.ranks import AS_ROOT

Clock = Callable[[], float]
MODELS = ("lenet", "vgg", "lstm2")
LONG = 300_000  # bytes of the message that tells how many of them a link carries per second
EAGER = 1 << 16  # bytes up to which Open MPI sends at once over TCP; longer ones first shake hands
LINKS = {  # as users have them: latency in seconds, bytes per second
    "1 Gbit/s": (50e-6, 1e9 / 8),
    "10 Gbit/s": (25e-6, 1e10 / 8),
    "100 Gbit/s": (2e-6, 1e11 / 8),
}
SLOW = {  # of `--check`, in bits per second and seconds: a step takes some seconds
    "lenet": ((1e6, 0.05), (2e6, 0.2)),
    "vgg": ((2e6, 0.05), (4e6, 0.2)),
    "lstm2": ((16e6, 0.05), (32e6, 0.2)),
}
WORTH = 1.2
"""Twice as many machines pay if they bring this factor."""
COUNTS = (1, 2, 4, 8, 16, 32, 64, 128, 256, 512, 1024)


@dataclass(frozen=True)
class Link:
    """A message of n bytes takes `latency + n * per_byte` seconds, and a handshake if it is long.

    A handshake takes two latencies more, and each side answers only when it calls MPI.
    """

    latency: float
    per_byte: float


@dataclass(frozen=True)
class Event:
    """`seconds` of a machine's own work, then a call of MPI about the message `number`.

    The message starts with `sent` bytes, or is looked after (test), or awaited; "end" is no call.
    """

    seconds: float
    kind: str  # "start", "test", "wait" or "end"
    number: int = 0
    sent: int = 0


class Silent:
    """The calls of a communicator, as if all other machines had sent their parts already."""

    def __init__(self, machines: int, clock: Clock) -> None:
        self.machines, self.rank = machines, machines - 1  # the last one has the most shards
        self.clock = clock
        self.log: list[tuple[float, str, int, int]] = []
        self._numbers: dict[int, int] = {}

    def Get_rank(self) -> int:
        return self.rank

    def Get_size(self) -> int:
        return self.machines

    def allgather(self, value: Any) -> list[Any]:
        return [value] * self.machines

    def bcast(self, value: Any, root: int) -> Any:
        return value

    def Allgatherv(self, own: Any, to: Any) -> None:
        pass

    def Iallgatherv(self, own: np.ndarray, to: Any) -> Any:
        number = self._numbers.setdefault(own.ctypes.data, len(self._numbers))
        self.log.append((self.clock(), "start", number, own.nbytes))
        return _Sent(self, number)


class _Sent:
    def __init__(self, comm: Silent, number: int) -> None:
        self.comm, self.number = comm, number

    def Test(self) -> bool:
        self.comm.log.append((self.comm.clock(), "test", self.number, 0))
        return True


def own_part(
    case: Case,
    machines: int,
    steps: int = 60,
    batch: int = 0,
    shards: int | None = None,
    clock: Clock = time.thread_time,
) -> list[Event]:
    """Return what a machine of one thread does in a step, by medians over the steps.

    The time is that of the processor, which other programs hardly change, unless there is another
    `clock`.
    """
    from specc.backend.run.ranks import Ranks

    batch = batch or case.batch
    comm = Silent(machines, clock)
    trainer = _Trainer(case, batch, shards, Ranks(comm) if machines > 1 else None)
    trainer.run(3)
    if machines == 1 or trainer.net.plan("train").meetings is None:
        times = []
        for _ in range(steps):
            start = clock()
            trainer.run(4)
            times.append((clock() - start) / 4)
        return [Event(statistics.median(times), "end")]
    comm.log.clear()
    trainer.run(steps)
    count = len(comm.log) // steps  # events of a step
    last = {number: i for i, (_, _, number, _) in enumerate(comm.log[:count])}
    moments = np.array([each[0] for each in comm.log]).reshape(steps, count)
    gaps = np.diff(moments.reshape(-1))
    between = np.append(gaps, np.nan).reshape(steps, count)
    median = np.nanmedian(between, axis=0)  # after each event
    events = [
        Event(float(median[i - 1]), "wait" if last[number] == i else kind, number, sent)
        for i, (_, kind, number, sent) in enumerate(comm.log[:count])
    ]
    return events  # the work after the last one is that before the first one of the next step


class _Trainer:
    """A model that trains on random rows."""

    def __init__(self, case: Case, batch: int, shards: int | None, ranks: Any) -> None:
        import specc
        from specc.recipe import Column

        program = specc.load(case.path)
        self.net = specc.compile(program, batch=batch, threads=1, seed=0, shards=shards)
        if ranks is not None:
            self.net.programs.share(ranks)
        self.data = {name: Column(array) for name, array in case.data().items()}
        self.batch, self.rows, self.done = batch, case.rows, 0

    def run(self, steps: int) -> None:
        order = np.arange(steps * self.batch) % self.rows
        self.net.train(self.data, order, self.done, 10**6, 10**7)
        self.done += steps


def predicted(events: Sequence[Event], link: Link, machines: int) -> float:
    """Return the seconds of a step: a machine's own work, and its waiting for messages.

    A machine sends its part to each of the others, one after the other, while it goes on. A long
    message is offered first and sent when the other side has asked for it; both look only when they
    call MPI, which is at each event, and all the time while they wait.
    """
    arrivals: dict[int, float] = {}
    clock, free = 0.0, 0.0
    moments: list[float] = []
    for event in events:
        clock += event.seconds
        moments.append(clock)
    own = moments[-1] if moments else 0.0

    def looked(after: float, ends: float) -> float:
        """When MPI is called next: at an event, or at once while a message is awaited."""
        return min([each for each in moments if each >= after] + [max(after, ends)])

    waited = 0.0
    for i, event in enumerate(events):
        now = moments[i] + waited
        if event.kind == "start":
            size = event.sent * (machines - 1)
            begins = now
            if event.sent > EAGER:
                ends = next(m for m, e in zip(moments, events, strict=True)
                            if e.kind == "wait" and e.number == event.number)  # fmt: skip
                offered = looked(now - waited + link.latency, ends)
                begins = looked(offered + link.latency, ends) + waited
            begins = max(begins, free)
            free = begins + size * link.per_byte
            arrivals[event.number] = free + link.latency
        elif event.kind == "wait":
            waited += max(0.0, arrivals[event.number] - now)
    return own + waited


def measured_link(comm: Any) -> Link:
    """Return the link between the first two ranks, from messages that go to and fro."""
    rank, times = comm.Get_rank(), {}
    for size in (64, LONG):
        message, taken = np.zeros(size, np.uint8), []
        for turn in range(3 if size > EAGER else 8):
            comm.Barrier()
            start = time.perf_counter()
            if rank == 0:
                comm.Send(message, 1)
                comm.Recv(message, 1)
            elif rank == 1:
                comm.Recv(message, 0)
                comm.Send(message, 0)
            if turn:
                taken.append((time.perf_counter() - start) / 2)
        times[size] = statistics.median(taken)
    latency = times[64]
    # a long message shakes hands: two latencies more than a short one
    per_byte = (times[LONG] - 3 * latency) / LONG
    return comm.bcast(Link(latency, max(per_byte, 0.0)), root=0)


@click.command()
@click.option("--models", default=",".join(MODELS), show_default=True)
@click.option("--check", is_flag=True, help="Compare with slow links between namespaces.")
@click.option("--counts", default="2,4", show_default=True, help="Machines of the check.")
@click.option("--turns", default=5, show_default=True, help="Turns of each measurement.")
@click.option("--inside", is_flag=True, hidden=True, help="This is one of the ranks of a check.")
def main(models: str, check: bool, counts: str, turns: int, inside: bool) -> None:
    """Predict the time of a training step on several machines."""
    from specc.diagnostics import SpecWarning

    warnings.simplefilter("ignore", SpecWarning)
    names = models.split(",")
    if inside:
        _inside(names, turns)
    elif check:
        _check(names, [int(each) for each in counts.split(",")], turns)
    else:
        for name in names:
            _table(CASES[name])


def _inside(names: Sequence[str], turns: int) -> None:
    """As one of the ranks: measure the link, the own parts at the same time, and real steps."""
    from mpi4py import MPI

    from specc.backend.run.ranks import Ranks

    comm = MPI.COMM_WORLD
    machines, found = comm.Get_size(), {}
    for name in names:
        case = CASES[name]
        comm.Barrier()
        trainer = _Trainer(case, case.batch, None, Ranks(comm))
        trainer.run(1)
        links, owns, reals = [], [], []
        for _ in range(turns):
            links.append(measured_link(comm))
            comm.Barrier()
            owns.append(own_part(case, machines, 12, clock=time.perf_counter))
            comm.Barrier()
            start = time.perf_counter()
            trainer.run(2)
            reals.append((time.perf_counter() - start) / 2)
        events = [
            replace(same[0], seconds=statistics.median(each.seconds for each in same))
            for same in zip(*owns, strict=True)
        ]
        link = Link(
            statistics.median(each.latency for each in links),
            statistics.median(each.per_byte for each in links),
        )
        own = comm.allgather(events)
        slowest = max(own, key=lambda each: sum(event.seconds for event in each))
        found[name] = {
            "link": asdict(link),
            "own": sum(each.seconds for each in slowest),
            "predicted": predicted(slowest, link, machines),
            "measured": statistics.median(reals),
            "turns": reals,
        }
    if comm.Get_rank() == 0:
        print("FOUND " + json.dumps(found), flush=True)


def _check(names: Sequence[str], counts: Sequence[int], turns: int) -> None:
    os.environ |= AS_ROOT
    command = [sys.executable, "-m", "benchmarks.scale", "--inside", "--turns", str(turns)]
    for machines, model in itertools.product(counts, names):
        for rate, delay in SLOW[model]:
            with Links(machines, rate, delay) as links:
                done = links.run([*command, "--models", model], seconds=300)
            lines = [each for each in done.stdout.splitlines() if each.startswith("FOUND ")]
            if not lines:
                raise click.ClickException(done.stdout + done.stderr)
            for name, each in json.loads(lines[0][6:]).items():
                error = each["predicted"] / each["measured"] - 1
                link = each["link"]
                click.echo(
                    f"{name:6} {machines} machines, {rate / 1e6:.0f} Mbit/s and {1e3 * delay:g} ms"
                    f" (measured {8e-6 / max(link['per_byte'], 1e-15):.0f} and"
                    f" {1e3 * link['latency']:.2f}): own {1e3 * each['own']:.1f} ms, step"
                    f" {1e3 * each['measured']:.1f} ms, predicted {1e3 * each['predicted']:.1f}"
                    f" ({100 * error:+.0f} %)"
                )


def _table(case: Case) -> None:
    """Print what up to 1,024 machines bring: for the batch of the file, and for larger ones."""
    from specc import driver

    shards = driver.compile(driver.load(case.path), batch=case.batch).plan("train").shards
    alone = own_part(case, 1)[0].seconds
    click.echo(f"{case.name}: {1e3 * alone:.2f} ms per step of {case.batch}, {shards} shards")
    counts = [each for each in COUNTS[1:] if each <= shards]
    parts = {each: own_part(case, each) for each in counts}
    examples = -(-case.batch // shards)
    weak = {each: own_part(case, each, 20, each * examples, each) for each in (2, 4, 8, 16)}
    single = own_part(case, 1, 40, examples, 1)[0].seconds
    for name, (latency, rate) in LINKS.items():
        link = Link(latency, 1 / rate)
        times = [f"{n}: {alone / predicted(parts[n], link, n):.2f}" for n in counts]
        click.echo(f"  {name:11} one batch, times as fast: {', '.join(times) or 'one shard only'}")
        for said, slices in (("a shard each", False), ("in slices", True)):
            gains = {n: n * single / grown(weak, link, n, slices) for n in COUNTS[1:]}
            stops = next((n for n in COUNTS[1:-1] if gains[2 * n] < WORTH * gains[n]), COUNTS[-1])
            shown = ", ".join(f"{n}: {gain:.1f}" for n, gain in gains.items())
            click.echo(f"  {'':11} {said}, examples per second, times: {shown}; pays up to {stops}")


def grown(weak: Mapping[int, Sequence[Event]], link: Link, machines: int, slices: bool) -> float:
    """Return the seconds of a step in which each machine has one shard of the same size.

    Own work grows in a straight line with the machines, whose parts are copied and added. In
    `slices`, each machine would add up one part of each sum, and send the result to all.
    """
    counts = sorted(weak)
    own = [sum(event.seconds for event in weak[n]) for n in counts]
    slope, least = np.polyfit(counts, own, 1)
    most = max(counts)
    seconds = least + slope * (3 if slices else machines)
    scale = seconds / own[-1]
    events = [replace(each, seconds=each.seconds * scale) for each in weak[most]]
    if not slices:
        return predicted(events, link, machines)
    halves = [replace(each, sent=2 * each.sent // machines) for each in events]
    return predicted(halves, link, machines) + link.latency


if __name__ == "__main__":
    main()
