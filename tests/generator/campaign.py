"""Many cases, on a few processes; those that fail are shrunk and told.

report = run(range(300), processes=2)
assert not report.failures
"""

from __future__ import annotations

import shutil
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path

from .cases import Case, case
from .child import SECONDS, Answer, Child
from .shrink import shrunk

LARGEST_CACHE = 1 << 30
"""Bytes of compiled kernels that are kept."""


@dataclass
class Report:
    """How many cases ran, what became of them, and the texts of those that failed."""

    counts: Counter = field(default_factory=Counter)
    compared: int = 0
    judged: int = 0
    failures: list[str] = field(default_factory=list)


def run(
    seeds: Iterable[int],
    processes: int = 1,
    off: frozenset[str] = frozenset(),
    whole: bool = False,
    seconds: float = float("inf"),
    shrinks: int = 60,
    tell: Callable = print,
    every: int = 0,
    most_failures: int = 50,
    child: Child | None = None,
    small: bool = False,
    limit: float = SECONDS,
    make: Callable[[int], Case] | None = None,
) -> Report:
    """Runs the cases of all seeds, until the time is over or very many have failed.

    `tell` gets each failure at once, and the counts `every` so many cases. The processes keep their
    kernels in a folder that is removed at the end; a `child` given runs all cases, and has a folder
    already. `small` programs have fewer statements. A case without an answer after `limit` seconds
    counts as one that hangs. `make` makes the case of a seed, if it is not the usual one.
    """
    report, lock, start = Report(), threading.Lock(), time.monotonic()
    left = iter(seeds)

    def work(folder: Path) -> None:
        with Child(folder, limit) if child is None else nullcontext(child) as process:
            while True:
                with lock:
                    seed = next(left, None)
                is_over = (
                    time.monotonic() - start > seconds or len(report.failures) >= most_failures
                )
                if seed is None or is_over:
                    return
                made = case(seed, off, whole, small) if make is None else make(seed)
                answer = process.ask(made)
                text = "" if answer.stage == "ok" else told(made, answer, process, shrinks)
                with lock:
                    note(report, answer, text, tell)
                    done = report.counts.total()
                    if every and done % every == 0:
                        tell(
                            f"{done:,} programs up to seed {seed}: {dict(report.counts)};"
                            f" {report.compared:,} arrays compared, {report.judged} by samples of"
                            f" rounding; {time.monotonic() - start:.0f} s"
                        )
                        trim(folder)

    with (
        tempfile.TemporaryDirectory(prefix="specc-programs-", ignore_cleanup_errors=True) as name,
        ThreadPoolExecutor(processes) as pool,
    ):
        for each in [pool.submit(work, Path(name)) for _ in range(processes)]:
            each.result()
    return report


def note(report: Report, answer: Answer, text: str, tell: Callable) -> None:
    report.counts[answer.stage] += 1
    report.compared += answer.compared
    report.judged += answer.judged
    if text:
        report.failures.append(text)
        tell(text)


def told(failed: Case, answer: Answer, child: Child, tries: int) -> str:
    """The text of a failure: the whole program, and a small one that fails like it."""

    def fails(other: Case) -> bool:
        return child.ask(other).stage.split(" of ")[0] == answer.stage.split(" of ")[0]

    text = f"=== seed {failed.seed}: {answer.stage}\n{answer.message}\n{failed.text}"
    if tries:
        small = shrunk(
            replace(failed, differences=answer.stage == "finite differences"), fails, tries
        )
        text += (
            f"--- smaller ({', '.join(small.stages)})\n{small.text}--- {child.ask(small).message}\n"
        )
    return text


def trim(folder: Path) -> None:
    """Removes the compiled kernels if there are very many; the next process compiles what it
    needs."""
    files = [each.stat().st_size for each in folder.rglob("*.o")]
    if sum(files) > LARGEST_CACHE:
        shutil.rmtree(folder, ignore_errors=True)
