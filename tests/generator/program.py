"""A random program as lines, which can be printed, stored and made smaller.

print(Program(before=("seq time = 3",), lines=("input x: float[2]",), ends=("output x",)).text)
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DECLARES = re.compile(r"(?:let|param|input|target|stream|layer) ((?:\w+, )*\w+)")


@dataclass(frozen=True)
class Program:
    """The definitions before the model, its ports and statements, its ends, and its `train`
    block."""

    before: tuple[str, ...] = ()
    lines: tuple[str, ...] = ()
    ends: tuple[str, ...] = ()
    train: tuple[str, ...] = ()

    @property
    def text(self) -> str:
        model = "\n".join(f"  {line}" for line in (*self.lines, *self.ends))
        train = "\n".join(f"  {line}" for line in self.train)
        trained = f"train {{\n{train}\n}}\n" if self.train else ""
        before = "".join(f"{each}\n" for each in self.before)
        return f"{before}model m {{\n{model}\n}}\n{trained}"


def names(text: str) -> set[str]:
    """All names in a text."""
    return set(_NAME.findall(text))


def declared(line: str) -> tuple[str, ...]:
    """The names that a statement gives values to."""
    match = _DECLARES.match(line)
    return tuple(match[1].split(", ")) if match else ()


def pruned(program: Program) -> Program:
    """The program without statements that its ends do not need; one input is kept."""
    needed = set().union(*map(names, program.ends), *map(names, program.train))
    kept: list[str] = []
    for line in reversed(program.lines):
        if needed & set(declared(line)):
            needed |= names(line)
            kept.insert(0, line)
    if not any(line.startswith(("input", "stream")) for line in kept):
        kept.insert(0, next(line for line in program.lines if line.startswith(("input", "stream"))))
    body = set().union(*map(names, kept), *map(names, program.ends), *map(names, program.train))
    before = [
        each
        for each in program.before
        if not each.startswith(("cell", "optimizer")) or each.split()[1].split("(")[0] in body
    ]
    return Program(tuple(before), tuple(kept), program.ends, program.train)
