"""Give names to the parts that an expression has more than once.

    square = x * x                              # one object, used twice
    named(square + 1.0 / square, [x], let)      # let(x * x) gives v0: v0 + 1.0 / v0

So a formula is written as one, and each part of it is computed and printed once.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence, Set

from specc.target.expressions import Expression


def named(
    tree: Expression, operands: Sequence[Expression], let: Callable[[Expression], Expression]
) -> Expression:
    """Return the tree with a variable for every part, but its operands, that it has more than once.

    `let` is given each of these parts, inner ones first, and returns the variable that holds its
    value. Two parts are the same if they are one object. Names and constants need no variable.
    """
    atoms = set(map(id, operands))
    uses = counted(tree, atoms)
    known: dict[int, Expression] = {}

    def of(part: Expression) -> Expression:
        if id(part) in known:
            return known[id(part)]
        if id(part) in atoms or not _parts(part):
            return part
        made = type(part)(*(_rebuilt(value, of) for value in vars(part).values()))
        known[id(part)] = let(made) if uses[id(part)] > 1 else made
        return known[id(part)]

    return of(tree)


def counted(tree: Expression, atoms: Set[int] = frozenset()) -> Counter[int]:
    """Count how often a tree has each part, by its identity; parts within `atoms` do not count."""
    uses: Counter[int] = Counter()
    stack = [tree]
    while stack:
        part = stack.pop()
        uses[id(part)] += 1
        if uses[id(part)] == 1 and id(part) not in atoms:
            stack.extend(_parts(part))
    return uses


def _parts(tree: Expression) -> list[Expression]:
    found: list[Expression] = []
    for value in vars(tree).values():
        each = value if isinstance(value, tuple) else (value,)
        found.extend(part for part in each if isinstance(part, Expression))
    return found


def _rebuilt(value: object, of: Callable[[Expression], Expression]) -> object:
    if isinstance(value, Expression):
        return of(value)
    if isinstance(value, tuple):
        return tuple(_rebuilt(each, of) for each in value)
    return value
