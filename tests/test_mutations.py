"""Random errors in all programs: a program that passes the check takes a training step.

`python -m pytest -m long tests/test_mutations.py -s` tries 20,000 of them, on all processors.
"""

from __future__ import annotations

import os
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest
from mutations import run

from specc.driver import processors

USUAL, LONG = 300, 20_000
COMPILED = 5
"""Of so many usual mutations one is compiled, if it passes; of the long run every one."""


@pytest.mark.slow
def test_programs_with_random_mistakes_are_refused_in_words_or_take_a_step():
    counts, bugs = run(range(USUAL), COMPILED, fixed_share=25)
    assert not bugs, "\n\n".join(bugs[:3])
    assert counts.total() == USUAL and counts["refused"] > USUAL // 2
    assert counts["stepped"] + counts["compiled"] > USUAL // 10


@pytest.mark.long
def test_very_many_programs_with_random_mistakes():
    start = int(os.environ.get("SPECC_MUTATIONS_FROM", "1000000"))
    blocks = [range(first, first + 250) for first in range(start, start + LONG, 250)]
    counts: Counter = Counter()
    bugs: list[str] = []
    with ProcessPoolExecutor(processors(), get_context("spawn")) as pool:
        for done, (part, wrong) in enumerate(
            pool.map(run, blocks, [1] * len(blocks), [10] * len(blocks)), 1
        ):
            counts += part
            bugs += wrong
            if done % 8 == 0:
                print(f"{counts.total():,} mutations: {dict(counts.most_common())}", flush=True)
    assert not bugs, (
        f"{len(bugs)} bugs in {counts.total():,} mutations from {start} on\n"
        + "\n\n".join(bugs[:20])
    )
    assert counts.total() == LONG
