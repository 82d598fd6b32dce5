"""A failing case made smaller, as long as it still fails in the same way.

small = shrunk(case, fails)      # fails(case) -> bool
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import replace

from .cases import Case, is_valid
from .program import Program, declared, names, pruned

MOST_TRIES = 60
_LET = re.compile(r"let (\w+) = (.*)", re.S)
_WHOLE = re.compile(r"(?<![\w.])(\d+)(?![\w.])")


def shrunk(case: Case, fails: Callable[[Case], bool], most: int = MOST_TRIES) -> Case:
    """The smallest case that was found, within so many tries."""
    tried: set[str] = set()
    while True:
        for smaller in _smaller(case):
            key = smaller.to_json()
            if key in tried or not is_valid(smaller.program):
                continue
            if len(tried) == most:
                return case
            tried.add(key)
            if fails(smaller):
                case = smaller
                break
        else:
            return case


def _smaller(case: Case) -> Iterator[Case]:
    if len(case.stages) > 1:
        yield from (replace(case, stages=(each,)) for each in case.stages)
    yield from (replace(case, program=each) for each in _programs(case.program))
    if case.threads > 1:
        yield replace(case, threads=1)
    if case.special:
        yield replace(case, special="")
    for rows in case.forward if len(case.forward) > 1 else ():
        yield replace(case, forward=(rows,))
    for rows in (1, 2, 3):
        if rows < case.rows:
            yield replace(case, rows=rows, batch=rows)
            yield replace(case, rows=rows)
    if case.rows < case.batch:
        yield replace(case, batch=case.rows)
    if case.dtype == "float32":
        yield replace(case, dtype="float64")


def _programs(program: Program) -> Iterator[Program]:
    for field in ("ends", "train"):
        lines = getattr(program, field)
        for k in range(len(lines)):
            if len(lines) > 1:
                yield pruned(replace(program, **{field: lines[:k] + lines[k + 1 :]}))
    if program.train:
        yield replace(program, train=("optimizer sgd(lr = 0.1)",))
        yield pruned(replace(program, train=()))
    for k in reversed(range(len(program.lines))):
        line = program.lines[k]
        match = _LET.match(line)
        if match:  # its users read one of its own inputs instead; or a part of its formula
            inputs = [each for each in _known(program, k) if each in names(match[2])]
            for each in inputs:
                yield pruned(_renamed(program, k, match[1], each))
            for part in re.split(r" -> | [-+*] ", match[2]):
                if part != match[2] and part.count("(") == part.count(")"):
                    yield pruned(_with(program, k, f"let {match[1]} = {part}"))
            for each in inputs:
                yield pruned(_with(program, k, f"let {match[1]} = {each}"))
    sizes = {int(each) for each in _WHOLE.findall(program.text)}
    for size in sorted(sizes, reverse=True):
        for other in (1, 2, size - 1):
            if 0 < other < size:
                yield _resized(program, size, other)


def _known(program: Program, end: int) -> list[str]:
    return [name for line in program.lines[:end] for name in declared(line)]


def _with(program: Program, k: int, line: str) -> Program:
    return replace(program, lines=(*program.lines[:k], line, *program.lines[k + 1 :]))


def _renamed(program: Program, k: int, name: str, other: str) -> Program:
    def changed(text: str) -> str:
        return re.sub(rf"\b{name}\b", other, text)

    lines = (*program.lines[:k], *map(changed, program.lines[k + 1 :]))
    ends = tuple(dict.fromkeys(map(changed, program.ends)))
    return replace(program, lines=lines, ends=ends)


def _resized(program: Program, size: int, other: int) -> Program:
    def changed(text: str) -> str:
        return _WHOLE.sub(lambda match: str(other) if int(match[1]) == size else match[0], text)

    return Program(
        tuple(map(changed, program.before)),
        tuple(map(changed, program.lines)),
        program.ends,
        program.train,
    )
