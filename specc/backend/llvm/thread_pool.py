"""The compiled part of the executor: the loop over steps, the barrier, and waiting for work.

A waiting thread first spins, which is fast if it has a processor to itself, and then sleeps, which
leaves the processor to the thread that it waits for. The time of spinning adapts: see `learn`.

    program   threads, phases, the threads of all processes that meet at barriers, the words at
              which they meet (0: those of the pool), then for each thread the addresses of its
              first shard and of the end of its last one
    shard     the addresses of its bounds and of its control block
    bounds    the address of the first phase's first call, then of the end of each phase's calls
    calls     for each call the address of the kernel and the address of its args block
    state     the shared words of the thread pool (see `specc.backend.words`); the words at which
              pools of several processes meet have the same layout

Every word is an int64. A worker's word is its state: FREE (it waits, and may be taken), HELD (it is
taken, and waits for the job), BUSY (it has a job to start), PARKED (it left the compiled code),
LEAVE (it must end). Workers park only on systems that cannot put a thread to sleep until it is
woken.
"""

from __future__ import annotations

from typing import no_type_check

from specc.backend.llvm.intrinsics import Helper as compiled
from specc.backend.llvm.memory import (
    CAN_SLEEP,
    atomic_add,
    atomic_peek,
    atomic_poke,
    call,
    doze,
    flush_tiny,
    keep_tiny,
    pause,
    peek,
    poke,
    replace,
    sleep_while,
    wake,
)
from specc.backend.words import (
    ARRIVED,
    BUSY,
    DOZES,
    FAILURES,
    FIRST,
    FREE,
    GENERATION,
    HELD,
    LEAVE,
    LINE,
    NAPS,
    PARKED,
    PROBE,
    PROBED,
    PROGRAM,
    SLEEPERS,
    SPIN_LIMIT,
    SPINS,
    STEPS,
    STOP,
    STOPPED,
    WORKERS,
)


@compiled
@no_type_check
def run_shards(state, thread):
    """Run one thread's part of the posted job; return the number of steps done."""
    before = flush_tiny()
    done = run_steps_of(state, thread)
    keep_tiny(before)
    return done


@compiled
@no_type_check
def run_steps_of(state, thread):
    program, first, steps = peek(state + PROGRAM), peek(state + FIRST), peek(state + STEPS)
    phases, threads, meeting = peek(program + 8), peek(program + 16), peek(program + 24)
    if meeting == 0:
        meeting = state
    own = program + 32 + 16 * thread
    shards, end_of_shards = peek(own), peek(own + 8)
    for step in range(steps):
        for phase in range(phases):
            shard = shards
            while shard < end_of_shards:
                bounds, control = peek(shard) + 8 * phase, peek(shard + 8)
                poke(control, first + step)
                at, end = peek(bounds), peek(bounds + 8)
                while at < end:
                    call(peek(at), peek(at + 8), control)
                    at += 16
                shard += 16
            if threads > 1:
                barrier(state, meeting, threads, thread)
        if threads == 1 and atomic_peek(state + STOP) != 0:
            return step + 1
        if threads > 1 and peek(meeting + STOPPED) != 0:
            return step + 1
    return steps


@compiled
@no_type_check
def barrier(state, meeting, threads, thread):
    """Wait for all threads. The last one to arrive decides whether all of them stop."""
    generation = atomic_peek(meeting + GENERATION)
    if atomic_add(meeting + ARRIVED, 1) == threads - 1:
        poke(meeting + STOPPED, atomic_peek(meeting + STOP))
        poke(meeting + ARRIVED, 0)
        atomic_add(meeting + GENERATION, 1)
        if atomic_add(meeting + SLEEPERS, 0) != 0:
            wake(meeting + GENERATION)
        return
    own = state + WORKERS + LINE * thread
    limit = peek(own + SPIN_LIMIT)
    failures = peek(own + FAILURES)
    if (failures > 0 and failures & (failures + 1) == 0) or failures % PROBE == PROBE - 1:
        limit = PROBED * peek(state + SPINS)
    spins = limit
    while atomic_peek(meeting + GENERATION) == generation:
        spins -= 1
        if spins >= 0:
            pause()
        else:
            atomic_add(meeting + SLEEPERS, 1)
            sleep_while(meeting + GENERATION, generation)
            atomic_add(meeting + SLEEPERS, -1)
    learn(state, own, limit - spins if spins >= 0 else -1)


@compiled
@no_type_check
def learn(state, own, spent):
    """Adapt a thread's spin limit after a wait.

    The limit is at least doubled if the wait ended after `spent` spins, and halved if it did not
    end (-1). At increasing intervals the thread spins for the maximum time, to test whether its
    processor is free again. If it is, the limit recovers at once.
    """
    if spent >= 0:
        more = max(2 * peek(own + SPIN_LIMIT) + 1, 4 * spent)
        poke(own + SPIN_LIMIT, min(more, peek(state + SPINS)))
        poke(own + FAILURES, 0)
    else:
        poke(own + SPIN_LIMIT, peek(own + SPIN_LIMIT) // 2)
        poke(own + FAILURES, peek(own + FAILURES) + 1)


@compiled
@no_type_check
def start(state, threads):
    """Take every worker and post the job; if one is parked, change nothing and return False."""
    for worker in range(1, threads):
        word = state + WORKERS + LINE * worker
        if not replace(word, FREE, HELD):
            for other in range(1, worker):
                atomic_poke(state + WORKERS + LINE * other, FREE)
            return False
    for worker in range(1, threads):
        word = state + WORKERS + LINE * worker
        atomic_poke(word, BUSY)
        if atomic_add(word + NAPS, 0) != 0:
            wake(word)
    return True


@compiled
@no_type_check
def serve(state, worker):
    """Run a worker's jobs, and wait for them, until it parks or must end."""
    word = state + WORKERS + LINE * worker
    replace(word, PARKED, FREE)
    spins = peek(word + SPIN_LIMIT)
    while True:
        now = atomic_peek(word)
        if now == BUSY:
            atomic_poke(word, FREE)
            run_shards(state, worker)
            spins = peek(word + SPIN_LIMIT)
        elif now == LEAVE:
            return
        elif spins > 0:
            spins -= 1
            pause()
        elif now == HELD:
            doze()
        elif CAN_SLEEP:
            atomic_add(word + NAPS, 1)
            sleep_while(word, FREE)
            atomic_add(word + NAPS, -1)
        elif spins > -DOZES:
            spins -= 1
            doze()
        elif replace(word, FREE, PARKED):
            return
