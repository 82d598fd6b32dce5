"""Training on several processes, which a launcher of MPI has started: the ranks.

    ranks = joined()                              # None if there is no launcher, or one process
    with together(ranks):
        prepared = first_alone(ranks, lambda: prepare(...))
        follow(ranks, net, data, recipe, progress, should_stop)     # on every rank but the first

Every rank reads the file and the data, and holds all weights; the first one shows and writes.
"""

from __future__ import annotations

import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeVar

from specc.diagnostics import SpecError
from specc.runtime.errors import diagnostic, start_of

if TYPE_CHECKING:
    from specc.backend.machine.profile import Profile
    from specc.backend.run.ranks import Ranks
    from specc.net.net import Net
    from specc.recipe import Recipe
    from specc.runtime.checkpoint import Progress
    from specc.runtime.data import Data
    from specc.runtime.metrics import Epoch

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""The environment variables in which launchers say how many processes they have started."""
GRACE = 2.0  # seconds in which all ranks must have failed, if the failure is one of all

Result = TypeVar("Result")


class FirstFailed(Exception):
    """The first rank reports an error, and the others end with it."""


def joined() -> Ranks | None:
    """Return the ranks that a launcher started together; None for a process by itself.

    Raises `SpecError` if mpi4py is missing, or if the ranks cannot give the same bits.
    """
    if not any(os.environ.get(name, "1") != "1" for name in SIZES):
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # it is missing, or finds no library of MPI
        raise _error(
            f"a launcher has started several processes, but mpi4py cannot be used: {error}",
            "install it with `pip install 'specc-nn[mpi]'`, and an MPI with `pip install mpich`",
        ) from None
    from specc.backend.run.ranks import Ranks

    ranks = Ranks(MPI.COMM_WORLD)
    if ranks.count == 1:
        return None
    _require_alike(ranks)
    return ranks


def _require_alike(ranks: Ranks) -> None:
    """Raise `SpecError` if the processors of two ranks would add up differently."""
    from specc import __version__
    from specc.backend.machine import this_machine

    machine = this_machine()
    own = (__version__, machine.architecture, machine.vector_bits, machine.fma)
    for rank, (host, other) in enumerate(ranks.comm.allgather((socket.gethostname(), own))):
        first = ranks.agreed(own)
        if other != first:
            raise _error(
                f"rank {rank} on {host} has {_said(other)}, but rank 0 has {_said(first)}, which"
                " gives other bits",
                "use machines of one kind, or set SPECC_VECTOR_BITS to the narrowest of them",
            )


def _said(own: tuple[str, str, int, bool]) -> str:
    version, architecture, bits, _ = own
    return f"specc {version} and {architecture} with vectors of {bits} bits"


def _error(message: str, help: str) -> SpecError:
    return SpecError([diagnostic("bad-run", message, start_of("mpiexec"), help=help)])


@contextmanager
def together(ranks: Ranks, tell: Callable[[BaseException], int]) -> Iterator[None]:
    """Yield a block that all ranks run; whatever ends it on one ends it on all of them.

    All but the first are silent. If every rank has failed, as they do for a mistake in the file or
    a loss that is not finite, the first one's error is raised there, and `FirstFailed` on the
    others. If only one has, it calls `tell` with its error, says which rank it is, and ends them
    all.
    """
    errors, agreement = sys.stderr, ranks.comm.Dup()
    try:
        if ranks.is_first:
            yield
        else:
            with open(os.devnull, "w") as to, redirect_stdout(to), redirect_stderr(to):
                yield
    except BaseException as error:
        meeting, deadline = agreement.Ibarrier(), time.monotonic() + GRACE
        while not meeting.Test():
            if time.monotonic() > deadline:
                _end_all(ranks, error, tell, errors)
            time.sleep(0.01)
        if ranks.is_first or isinstance(error, KeyboardInterrupt):
            raise
        raise FirstFailed from None


def _end_all(
    ranks: Ranks, error: BaseException, tell: Callable[[BaseException], int], errors: TextIO
) -> NoReturn:
    """Say what happened on this rank, and end the processes of all."""
    with redirect_stderr(errors):
        print(f"rank {ranks.rank} of {ranks.count} ({socket.gethostname()}):", file=errors)
        status = tell(error)
        errors.flush()
    ranks.comm.Abort(status)
    time.sleep(GRACE)  # until the launcher ends this process
    os._exit(status)


def first_alone(ranks: Ranks, function: Callable[[], Result]) -> Result:
    """Return the result of a function that the first rank calls before the others: it fills the caches.

    Plans are made with the first rank's profile of its machine. Raises `FirstFailed` if that fails.
    """
    from specc.backend.machine.chosen import planning_with
    from specc.backend.machine.here import this_profile

    profile: Profile | None = None
    if ranks.is_first:
        try:
            result = function()
            profile = this_profile()
        finally:
            ranks.agreed(profile)
        return result
    profile = ranks.agreed(None)
    if profile is None:
        raise FirstFailed
    with planning_with(profile):
        return function()


def threads_each(ranks: Ranks) -> int:
    """Return how many threads each rank has: the processors of its machine, by the ranks there."""
    from mpi4py import MPI

    neighbours = ranks.comm.Split_type(MPI.COMM_TYPE_SHARED)
    own = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    there = set().union(*neighbours.allgather(set(own)))
    return max(1, len(there) // neighbours.Get_size())


def follow(
    ranks: Ranks,
    net: Net,
    data: Data,
    recipe: Recipe,
    progress: Progress,
    should_stop: Callable[[], bool] = lambda: False,
) -> str:
    """Train along with the first rank, and keep checkpoints in memory; for the rest see `train`."""
    from specc.runtime.keeper import InMemory
    from specc.runtime.train import train

    keeper = InMemory(net)
    keeper.save(progress)
    return train(net, data, recipe, keeper, _Silent(), progress, should_stop, ranks)


class _Silent:
    """Looks on, and says nothing."""

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        pass

    def epoch(self, epoch: Epoch) -> bool | None:
        return None
