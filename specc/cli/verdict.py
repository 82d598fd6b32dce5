"""The data in the verdict on a file: they are compared with the model before anything is compiled.

    verdict = data_verdict(source, program, folder)
    verdict.found       # [error[data]: `iris.csv`, line 5, column `kind`: ...]
    verdict.absent      # [Path("iris.csv")]: not there, so that nothing is said of it

NumPy is imported for files that are there alone.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING

from specc.diagnostics import Diagnostic
from specc.recipe import DataCall, Recipe
from specc.source import Source
from specc.sources import SOURCES, absent, nearest_file

if TYPE_CHECKING:
    from specc.ir.program import Program


@dataclass
class Verdict:
    """What is wrong or doubtful with the data, and files that are not there, nor a similar one."""

    found: list[Diagnostic] = field(default_factory=list)
    absent: list[Path] = field(default_factory=list)


def drafted(source: Source, found: list[Diagnostic]) -> Program | None:
    """The program of a file with mistakes, if there are none in its ports and its data."""
    from specc.frontend.check import draft
    from specc.frontend.parse import parse

    program = draft(parse(source)[0], found) if found else None
    return program if program is not None and not program.open_sizes else None


def data_verdict(
    source: Source,
    program: Program,
    folder: Path,
    changes: Mapping[str, str] = {},
    must_be_there: bool = False,
) -> Verdict:
    """Looks at the data of a checked file; relative paths start at `folder`.

    `changes` are those that the program was checked with. Where the data need not be there, a file
    that is not makes a warning only if one with a similar name is.
    """
    verdict, found = Verdict(), []
    recipe = program.recipe
    for name in ("data", "validate", "test"):
        call = getattr(recipe, name)
        paths = absent(call, folder) if isinstance(call, DataCall) and not must_be_there else {}
        if paths:
            recipe = replace(recipe, **{name: None})
        for position, path in paths.items():
            if (similar := _similar(call, position, path)) is not None:
                found.append(similar)
            else:
                verdict.absent.append(path)
    if recipe.data is None and isinstance(recipe.validate, DataCall) and not program.open_sizes:
        recipe = replace(recipe, data=recipe.validate, validate=None)
    if recipe.data is not None and _has_files(recipe):
        found += _surveyed(source, program, recipe, folder, changes)
    if found:
        from specc.frontend.lint import without_allowed
        from specc.frontend.parse import parse

        verdict.found = without_allowed(parse(source)[0], dict.fromkeys(found))
    return verdict


def _similar(call: DataCall, position: int, path: Path) -> Diagnostic | None:
    """The warning of a file that is not there, but one whose name is nearly the same."""
    near = nearest_file(path)
    if near is None or position >= len(call.argument_spans):
        return None
    message = f"there is no file `{path}`, so that the data were not checked"
    place = call.argument_spans[position]
    return Diagnostic("missing-data", "warning", message, place, help=f"did you mean `{near}`?")


def _has_files(recipe: Recipe) -> bool:
    calls = (recipe.data, recipe.validate, recipe.test)
    return any(isinstance(each, DataCall) and SOURCES[each.word].files for each in calls)


def _surveyed(
    source: Source, program: Program, recipe: Recipe, folder: Path, changes: Mapping[str, str]
) -> list[Diagnostic]:
    """What the data have to say, first of all on the sizes that the file leaves open."""
    from specc import driver
    from specc.frontend.parse import parse
    from specc.frontend.reaches import reaches
    from specc.runtime.data.survey import sizes, survey
    from specc.runtime.errors import DataError

    ports, open_ports = program.ports, []
    if program.open_sizes:
        try:
            known = sizes(recipe, ports, folder)
        except DataError as error:
            return error.diagnostics
        whole, found = driver.check(source, {**known, **changes})
        if whole is None:
            values = ", ".join(f"`{name} = {value}`" for name, value in known.items())
            note = f"the data give {values}"
            return [
                replace(each, notes=(*each.notes, note))
                for each in found
                if each.severity == "error"
            ]
        if whole.open_sizes:
            return []  # sizes that do not follow from the data: training says so
        open_ports = [
            port.name
            for port in ports
            if port.kind == "class" and not isinstance(port.classes, int)
        ]
        ports = whole.ports
    return survey(recipe, ports, folder, open_ports, reaches(parse(source)[0]))
