"""The checked programs of files and of runs.

program = checked(read_source("lenet.dl"), {"classes": "10"}, listener)     # or SpecError
program = run_program(run, {}, listener)
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specc.diagnostics import SpecError
from specc.frontend.syntax.reading import read_source
from specc.runs.listener import Listener
from specc.source import Source

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.runtime.run import RunFolder


def checked(
    source: Source, changes: Mapping[str, str | int], listener: Listener, comes_again: bool = False
) -> Program:
    """Check a source, report its warnings and return its program. Raises SpecError with all errors.

    With `comes_again`, the caller checks a program with symbolic dimensions again once their sizes
    are known, so its warnings are not reported yet.
    """
    from specc import driver

    program, found = driver.check(source, changes)
    if program is None:
        if found:
            raise SpecError(found)
        return driver.load(source, changes)  # raises: there is no model
    if found and not (comes_again and program.open_sizes):
        listener.diagnostics(found)
    return program


def look_at_data(
    source: Source, program: Program, folder: Path, changes: Mapping[str, str], listener: Listener
) -> None:
    """Check a sample of the data against the program and report warnings. Raises SpecError."""
    from specc.runs.verdict import data_verdict

    found = data_verdict(source, program, folder, changes).found
    if any(each.severity == "error" for each in found):
        raise SpecError(found)
    if found:
        listener.diagnostics(found)


def run_program(run: RunFolder, changes: Mapping[str, str | int], listener: Listener) -> Program:
    """Return the program of a run, with its own overrides and further `changes`.

    Raises `RunError` if its files were edited. Warns about a different machine or different
    versions of packages.
    """
    from specc.runs.provenance import compare_model

    compare_model(run, listener.warn)
    known: dict[str, str | int] = {**run.record.sizes, **run.record.overrides}
    return checked(read_source(run.folder / "model.dl"), {**known, **changes}, listener)


def warn_of_rounding(net: Net, listener: Listener) -> None:
    """Warn if rounding operands to bfloat16 is slower than float32 on this machine."""
    from specc.backend.machine import this_machine
    from specc.backend.machine.here import gains_by_pairs

    if net.program.recipe.precision != "bfloat16":
        return
    if net.dtype != "float32":
        why = f"products are computed in {net.dtype}"
    elif not this_machine().multiplies_bfloat16:
        why = "this CPU has no instruction for products of bfloat16"
    elif not gains_by_pairs():
        why = "this CPU multiplies bfloat16 no faster than float32"
    else:
        return
    listener.warn(
        f"{why}, so `precision = bfloat16` only rounds their operands, which is slower than"
        " `float32`"
    )
