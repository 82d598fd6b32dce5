"""The table of the results, and the mutants that are argued to be equivalent.

`equivalent.txt` holds an argument, and below it, indented, patterns (of `fnmatch`, `[` being
itself) of the mutants that it is about.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection
from fnmatch import fnmatchcase
from pathlib import Path

EQUIVALENT = Path(__file__).with_name("equivalent.txt")


def arguments() -> list[tuple[str, str]]:
    """Pairs of a pattern and its argument."""
    found: list[tuple[str, str]] = []
    argument: list[str] = []
    is_pattern = True
    for line in EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if not line.strip() or line.startswith("#"):
            continue
        if line.startswith("    "):
            found.append((line.strip().replace("[", "[[]"), " ".join(argument)))
            is_pattern = True
        else:
            argument = [line] if is_pattern else [*argument, line]
            is_pattern = False
    return found


def is_argued(name: str, patterns: list[str]) -> bool:
    """Whether one of the patterns is about a mutant."""
    return any(fnmatchcase(name, each) for each in patterns)


def stale(patterns: list[str], names: list[str]) -> list[str]:
    """The patterns that are about none of the changes."""
    return [each for each in patterns if not any(fnmatchcase(name, each) for name in names)]


def report(folder: Path, names: Collection[str] = ()) -> str:
    """Counts by room, the mutants that survive without an argument, and the arguments that are
    about none of the changes of these `names`.
    """
    path = folder / "results.jsonl"
    if not path.exists():
        return "no mutant was tried yet"
    lines = path.read_text(encoding="utf-8").splitlines()
    results = {each["name"]: each for each in map(json.loads, lines)}
    patterns = [pattern for pattern, _ in arguments()]
    counts: dict[str, Counter] = {}
    left = []
    for name, each in results.items():
        verdict = each["verdict"]
        if verdict == "none":
            continue
        if verdict == "survived":
            if is_argued(name, patterns):
                verdict = "equivalent"
            else:
                left.append(f"  {name}  (line {each['line']}, {each['tests']} tests)")
        for room in (name.split("/")[0], "all"):
            counts.setdefault(room, Counter())[verdict] += 1
    rows = [
        f"{'':10}{'mutants':>9}{'killed':>9}{'timeout':>9}{'equivalent':>12}{'survived':>10}{'caught':>9}"
    ]
    for room in sorted(counts, key=lambda each: (each == "all", each)):
        of_room = counts[room]
        total = sum(of_room.values())
        caught = (total - of_room["survived"]) / total
        rows.append(
            f"{room:10}{total:9}{of_room['killed']:9}{of_room['timeout']:9}{of_room['equivalent']:12}"
            f"{of_room['survived']:10}{caught:9.1%}"
        )
    lines = [*rows, "", "Survivors without an argument:", *(left or ["  none"])]
    if names:
        old = [f"  {each.replace('[[]', '[')}" for each in stale(patterns, list(names))]
        lines += ["", "Arguments about no change that there is:", *(old or ["  none"])]
    return "\n".join(lines)
