"""Constants shared by Python and compiled code: the memory layout of a thread pool.

Its state is an array of int64 words. `specc.backend.run.executor` allocates and initializes
it. The compiled code, of which every back end has its own (`specc.backend.llvm.thread_pool`),
waits for changes of the words and writes them.
"""

from __future__ import annotations

PAIRS = "bfloat16"  # the type of vectors whose elements are pairs of bfloat16 numbers

# The words of a pool as byte offsets. Words that different threads write are in different cache
# lines.
LINE = 64
ARRIVED, GENERATION, SLEEPERS, STOPPED, STOP = 0, LINE, LINE + 8, LINE + 16, 2 * LINE
PROGRAM, FIRST, STEPS, DONE = 3 * LINE, 3 * LINE + 8, 3 * LINE + 16, 3 * LINE + 24
SPINS = 3 * LINE + 32
WORKERS = 4 * LINE
# Byte offsets from a worker's word: whether the worker sleeps, its spin limit at a barrier, and the
# number of consecutive waits that reached the limit. The caller is worker 0 and has them as well.
NAPS, SPIN_LIMIT, FAILURES = 8, 16, 24
# The values of a worker's word.
FREE, HELD, BUSY, PARKED, LEAVE = range(5)

# If spinning fails because other programs use the processors, the thread stops spinning, except at
# the 2nd, 4th, 8th, ... failure and then at every PROBE-th. Those probes last PROBED times as long,
# because the other threads may have to be woken first (0.6 ms measured).
PROBE, PROBED = 64, 8
DOZES = 100  # pauses, about 8 ms in all, after which a worker that cannot sleep parks
