"""Opens a run or a saved model as a net with its weights and its data encoding.

net = open_net("digits/3", which="best")
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from specc.runs.listener import AsWarnings, Listener
from specc.runs.names import folder_of
from specc.runs.programs import run_program, warn_of_rounding

if TYPE_CHECKING:
    from specc.net.net import Net
    from specc.runtime.encoding import Encoding
    from specc.runtime.run import Record

WHICH = ("best", "last")


def open_net(
    name: str | Path,
    which: str = "best",
    batch: int | None = None,
    threads: int | None = None,
    listener: Listener | None = None,
    precision: str | None = None,
) -> Net:
    """Open the model of a run with its weights; see `specc.open`."""
    from specc import driver
    from specc.runtime.checkpoint import restore
    from specc.runtime.run import open_run

    if which not in WHICH:
        raise ValueError(f'which is "best" or "last", not {which!r}')
    folder = folder_of(name)
    run = open_run(folder)
    listener = listener or AsWarnings()
    program = run_program(run, {}, listener)
    record = run.record
    net = driver.compile(
        program,
        batch or record.batch,
        record.dtype,
        threads,
        record.seed,
        precision,
        accumulate=record.accumulate if batch is None else 1,
    )
    warn_of_rounding(net, listener)
    progress = restore(run.best if which == "best" else run.last, net, streams=batch is None)
    net.encoding = encoding_of(record)
    net.epochs_done = progress.epoch
    return net


def encoding_of(record: Record) -> Encoding:
    """Return the data encoding that a run learned: vocabularies, end symbols and statistics."""
    from specc.runtime.encoding import Encoding

    words = {name: tuple(each) for name, each in record.vocabularies.items()}
    return Encoding(words, dict(record.ends), dict(record.statistics))
