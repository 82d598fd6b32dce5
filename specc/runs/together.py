"""Training in several processes (ranks) that an MPI launcher started.

    ranks = joined()                              # None if there is no launcher, or one process
    with together(ranks, tell) as lookout:
        prepared = in_turn(ranks, lambda known: prepare(..., known=known))
        begun = join(ranks, lookout, prepared, runs)
        if begun is not None:                     # on the first rank
            begun.carry_out(watch, ranks=ranks)
        else:
            follow(ranks, prepared)

Every rank reads the model file and has all weights; a machine reads the data once (`reading`).
Only the first rank prints and writes.
"""

from __future__ import annotations

import os
import shlex
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn, TextIO, TypeVar

from specc.diagnostics import SpecError
from specc.runs.reading import FirstFailed
from specc.runtime.errors import RunError, diagnostic, run_error, start_of

if TYPE_CHECKING:
    from specc.backend.machine.profile import Profile
    from specc.backend.run.ranks import Ranks
    from specc.net.net import Net
    from specc.runs.lost import Lookout
    from specc.runs.start import PreparedTraining, RunTraining
    from specc.runtime.metrics import Epoch, Evaluation

SIZES = ("PMI_SIZE", "OMPI_COMM_WORLD_SIZE")
"""The environment variables in which launchers set the number of processes."""
GRACE = 2.0  # if all ranks fail within this many seconds, it is one common error

Result = TypeVar("Result")


def joined() -> Ranks | None:
    """Return the ranks that a launcher started; None for a single process.

    Raises `SpecError` if mpi4py is missing or belongs to another MPI than the launcher, or if the
    ranks would give different bits.
    """
    started = [each for name in SIZES if (each := os.environ.get(name, "1")) != "1"]
    if not started:
        return None
    try:
        from mpi4py import MPI
    except (ImportError, RuntimeError) as error:  # mpi4py or the MPI library is missing
        raise _error(
            f"a launcher has started several processes, but mpi4py cannot be used: {error}",
            "install it with `pip install 'specc-nn[mpi]'`, and an MPI with `pip install mpich`",
        ) from None
    from specc.backend.run.neighbours import shared_memory
    from specc.backend.run.ranks import Ranks

    if MPI.COMM_WORLD.Get_size() == 1:
        library = MPI.get_vendor()[0]
        raise _error(
            f"a launcher has started {started[0]} processes, but {library}, which mpi4py uses, sees"
            " only one: the launcher belongs to another MPI",
            f"use the `mpiexec` of {library}, or set MPI4PY_LIBMPI to the library of the launcher",
        )
    of_machine = MPI.COMM_WORLD.Split_type(MPI.COMM_TYPE_SHARED)
    ranks = Ranks(MPI.COMM_WORLD, shared_memory(of_machine))
    _require_alike(ranks)
    return ranks


def asked_for(ranks: int | str | None) -> Ranks | None:
    """Return the ranks that a caller in Python asks for; None for a process by itself.

    `"auto"` takes those of a launcher, if there is one; a number must be that of the processes; and
    None lets each process work alone. Raises ValueError for another number of processes.
    """
    if ranks is None:
        return None
    if ranks != "auto" and (isinstance(ranks, (bool, str)) or ranks < 1):
        raise ValueError(f'`ranks` is "auto", None or a number of processes, not {ranks!r}')
    found = joined()
    count = 1 if found is None else found.count
    if ranks != "auto" and ranks != count:
        started = (
            f"a launcher has started {count}"
            if found is not None
            else "no launcher has started any"
        )
        raise ValueError(
            f"`ranks = {ranks}` needs as many processes, but {started}: use"
            f' `mpiexec -n {ranks} python ...`, or `ranks="auto"`'
        )
    return found


def _require_alike(ranks: Ranks) -> None:
    """Raise `SpecError` if the processors of two ranks would add in different orders."""
    from specc import __version__
    from specc.backend.machine import this_machine

    machine = this_machine()
    own = (__version__, machine.architecture, machine.vector_bits, machine.fma)
    for rank, (host, other) in enumerate(ranks.comm.allgather((socket.gethostname(), own))):
        first = ranks.agreed(own)
        if other != first:
            raise _error(
                f"rank {rank} on {host} has {_said(other)}, but rank 0 has {_said(first)}, so their"
                " results would differ in the last bits",
                "use machines of the same kind, or set SPECC_VECTOR_BITS to the smallest of them",
            )


def _said(own: tuple[str, str, int, bool]) -> str:
    version, architecture, bits, _ = own
    return f"specc {version} and {architecture} with vectors of {bits} bits"


def _error(message: str, help: str) -> SpecError:
    return SpecError([diagnostic("bad-run", message, start_of("mpiexec"), help=help)])


@contextmanager
def together(ranks: Ranks, tell: Callable[[BaseException], int]) -> Iterator[Lookout]:
    """Run a block on all ranks; an error that ends it on one rank ends it on all of them.

    Only the first rank prints. If every rank fails, as for an error in the file or a loss that is
    not finite, the first rank raises its error and the others raise `FirstFailed`. If only one rank
    fails, it prints its number, calls `tell` with its error, and ends all ranks. If a rank is
    killed, another one reports it.
    """
    from specc.runs.lost import Lookout

    errors, agreement = sys.stderr, ranks.comm.Dup()

    def tell_of(error: RunError) -> None:
        with redirect_stderr(errors):
            tell(error)
            errors.flush()

    # load what a message needs now: a launcher may end this process soon after another was killed
    with open(os.devnull, "w") as to, redirect_stderr(to):
        tell(run_error("a rank has ended", "mpiexec"))
    lookout = Lookout(ranks, tell_of)
    try:
        if ranks.is_first:
            yield lookout
        else:
            with open(os.devnull, "w") as to, redirect_stdout(to), redirect_stderr(to):
                yield lookout
    except BaseException as error:
        meeting, deadline = agreement.Ibarrier(), time.monotonic() + GRACE
        while not meeting.Test():
            if time.monotonic() > deadline:
                lookout.leave()
                _end_all(ranks, error, tell, errors)
            time.sleep(0.01)
        if ranks.is_first or isinstance(error, KeyboardInterrupt):
            raise
        raise FirstFailed from None
    finally:
        lookout.leave()


def _end_all(
    ranks: Ranks, error: BaseException, tell: Callable[[BaseException], int], errors: TextIO
) -> NoReturn:
    """Print the error of this rank, and end the processes of all ranks."""
    with redirect_stderr(errors):
        print(f"rank {ranks.rank} of {ranks.count} ({socket.gethostname()}):", file=errors)
        status = tell(error)
        errors.flush()
    ranks.comm.Abort(status)
    time.sleep(GRACE)  # the launcher should end this process meanwhile
    os._exit(status)


def first_alone(ranks: Ranks, function: Callable[[], Result]) -> Result:
    """Call a function on the first rank, then on the others, which find the caches filled.

    All ranks plan with the first rank's machine profile. Raises `FirstFailed` on the others if the
    function fails on the first rank.
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
    """Return the number of threads per rank: a machine's processors divided by its ranks."""
    from mpi4py import MPI

    neighbours = ranks.comm.Split_type(MPI.COMM_TYPE_SHARED)
    own = (
        os.sched_getaffinity(0) if hasattr(os, "sched_getaffinity") else range(os.cpu_count() or 1)
    )
    there = set().union(*neighbours.allgather(set(own)))
    return max(1, len(there) // neighbours.Get_size())


def opened_together(ranks: Ranks | None, function: Callable[[], Net]) -> Net:
    """Return the model that a function opens; the ranks share its evaluations and predictions."""
    if ranks is None:
        return function()
    net = first_alone(ranks, function)
    net.programs.share(ranks)
    net.prediction.ranks = ranks
    return net


def join(
    ranks: Ranks, lookout: Lookout, training: PreparedTraining | RunTraining, runs: Path
) -> RunTraining | None:
    """Let the ranks share a training, and begin its run; return it on the first rank."""
    from specc.runs.start import PreparedTraining

    net, begun = training.net, None
    net.programs.share(ranks)
    if ranks.is_first:
        begun = training.begun(runs) if isinstance(training, PreparedTraining) else training
    folder = ranks.agreed(None if begun is None else begun.run.folder)
    lookout.where = lambda: f"after step {net.steps_done}"
    lookout.help = lambda: f"`specc train --resume {shlex.quote(str(folder))}` continues the run"
    return begun


def follow(
    ranks: Ranks,
    training: PreparedTraining | RunTraining,
    should_stop: Callable[[], bool] = lambda: False,
) -> str:
    """Train together with the first rank, with checkpoints in memory; otherwise like `train`."""
    from specc.runs.start import RunTraining
    from specc.runtime.checkpoint import Progress
    from specc.runtime.keeper import InMemory
    from specc.runtime.train import train

    progress = Progress()
    if isinstance(training, RunTraining):
        progress = training.progress
        if training.is_done:
            return "finished"
    net, recipe = training.net, training.program.recipe
    keeper = InMemory(net)
    keeper.save(progress)
    outcome = train(net, training.data, recipe, keeper, _Silent(), progress, should_stop, ranks)
    net.training.leave()
    return outcome


def with_best_of_first(ranks: Ranks, net: Net, best: Path | None) -> None:
    """Give every rank's model the weights of the first one's best epoch, from its checkpoint.

    `best` is that file on the first rank; if it does not exist, the weights stay the last ones.
    """
    from specc.runtime.checkpoint import restore, tensors

    ranks.any(False)  # the ranks of a machine share the weights: none may still read the last ones
    done: int | None = None
    if best is not None and best.is_file():
        done = restore(best, net).epoch
    values = {name: array.copy() for name, array in tensors(net).items()}
    values, done = ranks.agreed((values, done))
    for name, array in tensors(net).items():
        array[...] = values[name]
    if done is not None:
        net.epochs_done = done
    ranks.any(False)


class _Silent:
    """A watch that does nothing."""

    def steps(self, epoch: int, step: int, loss: float, examples_per_second: float) -> None:
        pass

    def evaluation(self, evaluation: Evaluation) -> None:
        pass

    def epoch(self, epoch: Epoch) -> bool | None:
        return None
