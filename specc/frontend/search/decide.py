"""The active searches: those whose conditions hold, given the earlier values.

decide(space, ask)          # {"deep": "true", "layers": 3}: values of the active searches
corners(space, most=512)    # such values at the ends of ranges, and for all options
"""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator, Sequence

from specc.diagnostics import Report
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.program.overrides import numbers_of, parsed
from specc.frontend.program.uses import file_scope
from specc.frontend.scope.scope import Context
from specc.frontend.search.fill import Values, filled
from specc.frontend.search.space import Branch, Chosen, Option, Search, Space
from specc.frontend.syntax import ast

Ask = Callable[[Search], Chosen]
TRIES = 20
"""Random draws per corner, in a space with too many corners."""


def decide(space: Space, ask: Ask) -> dict[str, Chosen]:
    """Ask for the value of each active search, in order.

    Searches in branches that are not taken are not asked for. A condition on anything but sizes,
    constants and numbers of the file is assumed to hold.
    """
    values: dict[str, Chosen] = {}
    for each in _in_order(space):
        if all(_holds(space, values, condition) for condition in each.conditions):
            values[each.name] = ask(each)
    return values


def corners(space: Space, most: int) -> Iterator[dict[str, Chosen]]:
    """Yield the corners of a space, at most `most` of them.

    If there are more, each value of each search occurs in one of them, and the others are
    drawn at random, in the same way each time.
    """
    seen: set[tuple[tuple[str, Chosen], ...]] = set()

    def new(values: dict[str, Chosen]) -> bool:
        key = tuple(values.items())
        is_new = key not in seen
        seen.add(key)
        return is_new

    if count_of_corners(space) <= most:
        every = combinations(space, lambda search: search.corners)
        yield from (each for each in every if new(each))
        return
    for search in space.searches:
        for value in search.corners:
            found = decide(space, _one_at(search, value))
            if new(found):
                yield found
    draw = random.Random(0)
    for _ in range(TRIES * most):
        if len(seen) >= most:
            return
        found = decide(space, lambda search: draw.choice(search.corners))
        if new(found):
            yield found


def count_of_corners(space: Space) -> int:
    """Return the number of corners if all conditions hold."""
    count = 1
    for each in space.searches:
        count *= len(each.corners)
    return count


def combinations(
    space: Space, values_of: Callable[[Search], Sequence[Chosen]]
) -> Iterator[dict[str, Chosen]]:
    """Yield all combinations of given values of each search; the last search varies fastest."""
    path: tuple[int, ...] = ()
    while True:
        taken: list[tuple[int, int]] = []

        def ask(
            search: Search,
            taken: list[tuple[int, int]] = taken,
            path: tuple[int, ...] = path,
        ) -> Chosen:
            values = values_of(search)
            number = path[len(taken)] if len(taken) < len(path) else 0
            taken.append((number, len(values)))
            return values[number]

        yield decide(space, ask)
        while taken and taken[-1][0] + 1 == taken[-1][1]:
            taken.pop()
        if not taken:
            return
        path = (*(number for number, _ in taken[:-1]), taken[-1][0] + 1)


def _one_at(wanted: Search, value: Chosen) -> Ask:
    """Return an answer of `value` for one search, and for the others one that makes it active."""
    leading = {each.search: each.text for each in wanted.conditions if isinstance(each, Option)}

    def ask(search: Search) -> Chosen:
        if search is wanted:
            return value
        return leading.get(search.name, search.corners[0])

    return ask


def _in_order(space: Space) -> list[Search]:
    """Return the searches sorted so that each follows those that its conditions depend on."""
    order: dict[str, Search] = {}

    def add(search: Search) -> None:
        if search.name in order or search.name in waiting:
            return
        waiting.add(search.name)
        for each in search.conditions:
            names = {each.search} if isinstance(each, Option) else _within(space, each.condition)
            for name in sorted(names & {each.name for each in space.searches}):
                add(space[name])
        order[search.name] = search

    waiting: set[str] = set()
    for each in space.searches:
        add(each)
    return list(order.values())


def _within(space: Space, root: ast.Node) -> set[str]:
    """Return the searches that the value of a formula depends on, through sizes and constants."""
    numbers = {
        each.name.text: each
        for each in space.file.definitions
        if isinstance(each, ast.Dim | ast.Seq | ast.Const)
    }
    found: set[str] = set()
    seen: set[str] = set()
    waiting = [root]
    calls = {each.call: each.name for each in space.searches}
    while waiting:
        for node in ast.walk(waiting.pop()):
            if isinstance(node, ast.Call) and node in calls:
                found.add(calls[node])
            elif isinstance(node, ast.Path) and node.text in numbers and node.text not in seen:
                seen.add(node.text)
                waiting.append(numbers[node.text])
    return found


def _holds(space: Space, values: Values, condition: Branch | Option) -> bool:
    if isinstance(condition, Option):
        return values.get(condition.search) == condition.text
    found = _number(space, values, condition.condition)
    return not isinstance(found, bool) or found is condition.holds


NAME = "search condition"
"""The name has a space, so no name of the language equals it."""


def _number(space: Space, values: Values, formula: ast.Expression) -> object:
    """Return the value of a formula of sizes and constants; not a number after an error."""
    asked = ast.Const(ast.Name(NAME, formula.span), formula, formula.span)
    whole = ast.File((*space.file.definitions, asked), (), space.file.source, space.file.span)
    file = filled(space, values, whole)
    context = Context(Report())
    scope = file_scope(context, file)
    context.overrides = numbers_of(parsed(context, space.overrides), scope)
    definition = file.definitions[-1]
    assert isinstance(definition, ast.Const)
    return number_value(scope, definition)
