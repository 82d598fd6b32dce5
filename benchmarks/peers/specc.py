"""specc itself: a stretch of steps is one compiled call, with the batches gathered inside.

Like the peers, it may leave threads idle that a small model does not pay for.
"""

from __future__ import annotations

import numpy as np


def training(job, precision: str | None = None):
    import specc
    from specc.recipe import Column

    program = specc.load(job.case.path)
    threads = _threads(job, program, program.recipe.batch)
    net = specc.compile(program, threads=threads, precision=precision)
    data = {name: Column(array) for name, array in job.data.items()}
    rows = np.arange(job.case.rows)
    done = 0

    def run(steps: int):
        nonlocal done
        # every batch lies within the rows, as the peers' do
        starts = (np.arange(done, done + steps) % (job.case.rows // net.batch)) * net.batch
        order = rows[starts[:, None] + np.arange(net.batch)].ravel()
        losses = net.train(data, order, done, 0, 0)[:, 0]
        done += steps
        return losses

    return run


def measure(job, kind: str, batch: int) -> None:
    """Time the tiles of a program, which later processes then use."""
    import specc

    program = specc.load(job.case.path)
    if kind == "training":
        specc.compile(program, threads=_threads(job, program, program.recipe.batch)).measure()
    else:
        net = specc.compile(program, batch=batch, threads=_threads(job, program, batch))
        net.measure(batch)


def _threads(job, program, batch: int) -> int:
    from specc.driver import threads_for

    return min(job.threads, threads_for(program, batch))


def inference(job, batch: int):
    import specc

    program = specc.load(job.case.path)
    net = specc.compile(program, batch=batch, threads=_threads(job, program, batch))
    net.set_params(job.weights)
    needed = [port.name for port in net.ports if port.role == "input"]
    arrays = {name: job.data[name][:batch] for name in needed}
    found: dict[str, np.ndarray] = {}

    def run(calls: int):
        for _ in range(calls):
            found.update(net.forward(**arrays))

    run.outputs = lambda: next(iter(found.values()))
    return run
