"""Random programs in the process of the tests, where a trace sees which lines they reach.

Their own tests compare them in child processes (`tests/test_random_programs.py`).
"""

from __future__ import annotations

import pytest
from generator.cases import case
from generator.verdict import verdict

FIRST, PROGRAMS = 1_000_000, 100  # as the long run of `tests/test_random_programs.py` begins


@pytest.mark.parametrize("seed", range(FIRST, FIRST + PROGRAMS))
def test_a_random_program_computes_what_the_interpreter_computes(seed):
    verdict(case(seed))
