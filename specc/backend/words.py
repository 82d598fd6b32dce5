"""What the parts that plan and those that compile agree on, most of all the words of a crew.

Every word of a crew is an int64. `specc.backend.run.executor` sets them up; the compiled part, of
which every back end has its own (`specc.backend.llvm.crew`), waits for them and writes them.
"""

from __future__ import annotations

PAIRS = "bfloat16"  # the type of vectors whose elements are pairs of bfloat16 numbers

# The words of a crew: byte offsets, a cache line for each that different threads write.
LINE = 64
ARRIVED, GENERATION, SLEEPERS, STOPPED, STOP = 0, LINE, LINE + 8, LINE + 16, 2 * LINE
PROGRAM, FIRST, STEPS, DONE = 3 * LINE, 3 * LINE + 8, 3 * LINE + 16, 3 * LINE + 24
SPINS = 3 * LINE + 32
WORKERS = 4 * LINE
# After a worker's word: whether it sleeps, how often it looks again before it sleeps at a barrier,
# and how often in a row that was in vain. The caller has such words too.
NAPS, PATIENCE, FAILURES = 8, 16, 24
# The values of a worker's word.
FREE, HELD, BUSY, PARKED, LEAVE = range(5)

# If spinning is in vain, as other programs use the processors, a thread soon spins no more, but for
# the 2nd, 4th, 8th such time, and then every PROBE-th: then PROBED times as long, as the others may
# have to be woken first, which was seen to take 0.6 ms.
PROBE, PROBED = 64, 8
DOZES = 100  # moments before a worker that cannot sleep parks: some 8 ms
