"""Checks the data of a file, and the weights that it begins with, against its model before
anything is compiled.

    verdict = data_verdict(source, program, folder)
    verdict.found       # [error[data]: `iris.csv`, line 5, column `kind`: ...]
    verdict.partial     # ("`iris.csv`: the first 9,000 examples",), or () if all of it was read

NumPy is imported only if the program reads files.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from specc.diagnostics import Diagnostic
from specc.recipe import DataCall, Recipe
from specc.recipe.data_warnings import same_data
from specc.recipe.sources import SOURCES
from specc.source import Source
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.ir.program import Program


SECONDS = 2.0
"""Time limit of `specc check` for reading data, in seconds; larger data is read in part."""
GROWTH = 4
"""Factor by which the amount of data grows if reading was fast enough."""


@dataclass(frozen=True)
class Verdict:
    """Errors and warnings of the data, and a description of each source that was read in part."""

    found: list[Diagnostic]
    partial: tuple[str, ...] = ()


def drafted(source: Source, found: list[Diagnostic]) -> Program | None:
    """Return the program of a file with errors, if its ports and its data have no errors."""
    from specc.frontend.program.check import draft
    from specc.frontend.syntax.parse import parse

    program = draft(parse(source)[0], found) if found else None
    return program if program is not None and not program.open_sizes else None


def data_verdict(
    source: Source,
    program: Program,
    folder: Path,
    changes: Mapping[str, str] = {},
    seconds: float = 0.0,
) -> Verdict:
    """Return the errors and warnings of a checked file's data. Relative paths start at `folder`.

    `changes` has the overrides that the program was checked with. First a sample of the data is
    read, then repeatedly `GROWTH` times as much, as long as all reading is expected to take at most
    `seconds`.
    """
    recipe = program.recipe
    found: list[Diagnostic] = []
    partial: tuple[str, ...] = ()
    if recipe.data is None and isinstance(recipe.validate, DataCall) and not program.open_sizes:
        recipe = replace(recipe, data=recipe.validate, validate=None)
    if recipe.data is not None and _has_files(recipe):
        from specc.runtime.data.survey import SAMPLE

        limit, start = SAMPLE, time.perf_counter()
        while True:
            before = time.perf_counter()
            found, partial = _surveyed(source, program, recipe, folder, changes, limit)
            now = time.perf_counter()
            is_bad = any(each.severity == "error" for each in found)
            if is_bad or not partial or now - start + GROWTH * (now - before) > seconds:
                break
            limit *= GROWTH
        found += same_data(program.recipe, lambda a, b: _is_copy(folder, a, b))
    if recipe.starts:
        from specc.runs.starts import start_errors

        found = [*found, *start_errors(program, folder)]
    if found:
        from specc.frontend.lint.allow import without_allowed
        from specc.frontend.syntax.parse import parse

        found = without_allowed(parse(source)[0], dict.fromkeys(found))
    return Verdict(found, partial)


def _is_copy(folder: Path, name: str, other: str) -> bool:
    """Return whether two files with different names have the same content."""
    import filecmp

    if os.path.normpath(name) == os.path.normpath(other):
        return False  # the checker warns about equal names
    try:
        return filecmp.cmp(
            folder / Path(name).expanduser(), folder / Path(other).expanduser(), shallow=False
        )
    except OSError:
        return False  # a file that cannot be read is reported as an error


def _has_files(recipe: Recipe) -> bool:
    calls = (recipe.data, recipe.validate, recipe.test)
    return any(isinstance(each, DataCall) and SOURCES[each.word].files for each in calls)


def _surveyed(
    source: Source,
    program: Program,
    recipe: Recipe,
    folder: Path,
    changes: Mapping[str, str],
    limit: int,
) -> tuple[list[Diagnostic], tuple[str, ...]]:
    """Return the errors and warnings of the first `limit` bytes of the data.

    Errors in symbolic dimensions come first, without others.
    """
    from specc import driver
    from specc.frontend.lint.reaches import reaches
    from specc.frontend.lint.scales import multiplied
    from specc.frontend.program.uses import words_of
    from specc.frontend.syntax.parse import parse
    from specc.runtime.data.survey import sizes, survey
    from specc.runtime.errors import DataError

    ports, open_ports = program.ports, []
    if program.open_sizes:
        try:
            known = sizes(recipe, ports, folder, limit)
        except DataError as error:
            return error.diagnostics, ()
        whole, found = driver.check(source, {**known, **changes})
        if whole is None:
            values = ", ".join(f"`{name} = {value}`" for name, value in known.items())
            note = f"the data gives {values}"
            return [
                replace(each, notes=(*each.notes, note))
                for each in found
                if each.severity == "error"
            ], ()
        if whole.open_sizes:
            return [], ()  # not all sizes follow from the data; training reports that
        open_ports = [
            port.name
            for port in ports
            if port.kind == "class" and not isinstance(port.classes, int)
        ]
        ports = whole.ports
        program = whole
    file = parse(source)[0]
    return survey(
        recipe,
        ports,
        folder,
        open_ports,
        reaches(file, words_of(file)),
        limit,
        multiplied(program),
    )
