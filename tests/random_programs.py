"""Random programs, compiled and compared with the interpreter, from the command line.

    python tests/random_programs.py --first 0 --count 20000 --seconds 3600 --processes 2
    python tests/random_programs.py --show 17

A failure is printed with its seed, the whole program, and a smaller one that fails in the same way.
Ends with status 1 if there was one.
"""

from __future__ import annotations

import argparse
import sys

from generator.campaign import run
from generator.cases import FEATURES, case
from generator.child import SECONDS


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--first", type=int, default=0, help="the first seed")
    parser.add_argument("--count", type=int, default=300, help="how many seeds, from the first on")
    parser.add_argument("--seconds", type=float, default=float("inf"), help="stop after so long")
    parser.add_argument("--processes", type=int, default=1, help="how many processes run programs")
    parser.add_argument(
        "--every", type=int, default=50, help="print the counts every so many programs"
    )
    parser.add_argument(
        "--limit",
        type=float,
        default=SECONDS,
        metavar="SECONDS",
        help="the time that one program may take: more on a machine that other work keeps busy",
    )
    parser.add_argument(
        "--whole",
        action="store_true",
        help="compare predictions, gradients and a step of each program, not one of them",
    )
    parser.add_argument("--small", action="store_true", help="programs of few statements")
    parser.add_argument(
        "--shrink",
        type=int,
        default=60,
        metavar="TRIES",
        help="at most so many tries to make a failing program smaller",
    )
    parser.add_argument(
        "--off",
        default="",
        metavar="NAMES",
        help=f"features that are left out, with commas between: {', '.join(FEATURES)}",
    )
    parser.add_argument(
        "--show", type=int, metavar="SEED", help="print one program and do not run it"
    )
    options = parser.parse_args()
    off = frozenset(options.off.split(",")) - {""}
    if unknown := off - set(FEATURES):
        parser.error(f"there is no feature {', '.join(sorted(unknown))}")
    if options.show is not None:
        print(case(options.show, off, options.whole, options.small).text, end="")
        return 0
    seeds = range(options.first, options.first + options.count)
    report = run(
        seeds,
        options.processes,
        off,
        options.whole,
        options.seconds,
        options.shrink,
        lambda text: print(text, flush=True),
        options.every,
        small=options.small,
        limit=options.limit,
    )
    print(
        f"{report.counts.total():,} programs from seed {options.first} on: {dict(report.counts)};"
        f" {report.compared:,} arrays compared, {report.judged} by samples of rounding"
    )
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
