"""The command line: see the package."""

from __future__ import annotations

import argparse
import os
import sys
from pathlib import Path

import pytest

from tests.code_mutants.report import report
from tests.code_mutants.run import Mutants, sample
from tests.code_mutants.trace import ROOT

# The tests that are tried; those of the command line and the frontend seldom notice a compiler's
# change first.
TESTS = (
    "tests/passes",
    "tests/ops",
    "tests/backend",
    "tests/std",
    "tests/code_mutants/generated.py",
    "tests/test_bad_programs.py",
    "tests/net/test_bucketing.py",
    "tests/net/test_one_example.py",
    "tests/net/test_streams.py",
    "tests/net/test_varying.py",
    "tests/test_sequences.py",
    "tests/cli/test_time.py",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.code_mutants", description=__doc__)
    parser.add_argument("--count", type=int, default=300, help="mutants to try")
    parser.add_argument("--seed", type=int, default=0, help="of the sample")
    parser.add_argument("--seconds", type=float, default=25, help="of tests for each mutant")
    parser.add_argument(
        "--most", type=int, default=100, help="tests of each test function that are traced"
    )
    parser.add_argument(
        "--results", type=Path, default=ROOT / "build" / "code_mutants", help="folder, kept"
    )
    parser.add_argument(
        "--only", default="", help="try mutants whose names contain this text alone"
    )
    parser.add_argument("--again", action="store_true", help="try survivors again")
    parser.add_argument(
        "--report", action="store_true", help="print the table of the results so far"
    )
    parser.add_argument(
        "tests", nargs="*", help=f"tests that are tried (default: {' '.join(TESTS)})"
    )
    given = parser.parse_args()
    status = 0
    if not given.report:
        os.chdir(ROOT)
        given.results.mkdir(parents=True, exist_ok=True)
        folder = given.results.resolve()
        temporary = folder / f"tmp-{os.getpid()}"  # several runs may share the folder
        options = ["-q", "-n0", "-p", "no:cacheprovider", "--timeout=0", f"--basetemp={temporary}"]
        plugin = Mutants(folder, temporary, given)
        status = pytest.main([*options, *(given.tests or TESTS)], plugins=[plugin])
    names = [f"{file.removeprefix('specc/')} {change.name}" for file, change in sample(0)]
    print(report(given.results, names))
    return int(status)


if __name__ == "__main__":
    sys.exit(main())
