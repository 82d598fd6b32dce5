"""The stages of the compiler, in order; the result of each can be printed.

    source -> tree -> program -> graph -> ... -> plan -> code
            parse   check     lower             plan   emit

`specc.pipeline` lists the passes from the program to the plan. `check` and the stages up to
`program` need neither NumPy nor llvmlite; modules that need them are imported where they are used.
"""

from __future__ import annotations

import operator
import os
from collections.abc import Mapping
from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.diagnostics import Diagnostic, Report, SpecError
from specc.frontend.syntax.reading import read_source
from specc.recipe import PRECISIONS
from specc.source import Source, Span
from specc.system.collection import uncollected
from specc.system.locks import COMPILER

if TYPE_CHECKING:
    from specc.frontend.search.space import Space
    from specc.frontend.search.verdict import CornerVerdict
    from specc.frontend.syntax import ast
    from specc.ir.program import Program
    from specc.ir.stored import StoredValues
    from specc.net.net import Net
    from specc.pipeline import Made

# The stages that `specc show --stage` prints before the passes of `specc.pipeline`, and after them.
FRONT, BACK = ("source", "tree", "program"), ("code",)
# Names for the graph after several passes, with the name of the last pass.
GROUPS = {"forward": "hoist", "gradient": "autodiff", "optimized": "divide"}
DTYPES = ("float32", "float64")
SEARCH = "search"
"""A word that occurs in every file with searches."""

Overrides = Mapping[str, str | int | float]


def read(path: str | Path) -> Source:
    """Return the source of a file; for a `.json` file, its .dl text.

    Raises SpecError.
    """
    source = read_source(path)
    if Path(path).suffix != ".json":
        return source
    from specc.frontend.jsonform.read import read as read_json

    return read_json(source.text, source.name)


class Resized:
    """A function that returns the program of a file with changed sizes, or None after an error."""

    def __init__(self, source: Source, overrides: Overrides, file: ast.File | None = None):
        self.source, self.overrides, self._file = source, overrides, file
        self.checked: Program | None = None  # the program, until it is stored

    def __reduce__(self) -> tuple[type[Resized], tuple[Source, Overrides]]:
        return Resized, (self.source, self.overrides)  # the tree may be too deep for a pickle

    def store(self) -> None:
        """Store the checked program in the cache folder, if it follows from this source alone."""
        program, self.checked = self.checked, None
        file = self._file
        if program is None or file is None or SEARCH in self.source.text:
            return
        from specc.frontend.syntax import ast

        if any(isinstance(each, ast.Use) for each in file.definitions):
            return
        stored = _stored(self.source, self.overrides)
        if stored is not None and not stored:
            own = {each.name: getattr(program, each.name) for each in fields(program)}
            stored.keep(**own, digest=program.digest)

    def texts(self) -> dict[str, str]:
        """Return the text of the file as "model.dl", and those of the files that it imports."""
        used = {name: each.text for name, each in used_files(self.source).items()}
        return {**used, "model.dl": self.source.text}

    def __call__(self, sizes: Mapping[str, int]) -> Program | None:
        from specc.frontend.program.check import check as check_file
        from specc.frontend.syntax.parse import parse

        report = Report([])
        with COMPILER:
            if self._file is None:
                self._file, _ = parse(self.source)
            other = check_file(self._file, {**self.overrides, **sizes}, report)
        return None if report.errors else other


def used_files(source: Source) -> dict[str, Source]:
    """Return the files that a checked source imports with `use`, by relative path."""
    from specc.frontend.syntax import ast
    from specc.frontend.syntax.parse import parse

    root = Path(source.name).parent
    found: dict[str, Source] = {}
    waiting = [source]
    while waiting:
        user = waiting.pop()
        for definition in parse(user)[0].definitions:
            if isinstance(definition, ast.Use):
                path = Path(os.path.normpath(Path(user.name).parent / definition.path.value))
                relative = os.path.relpath(path, root)
                if relative not in found:
                    found[relative] = read_source(path)
                    waiting.append(found[relative])
    return found


@uncollected
def check(
    path: str | Path | Source,
    overrides: Overrides | None = None,
    values: Mapping[str, str | int | float] | None = None,
) -> tuple[Program | None, list[Diagnostic]]:
    """Return the program of a file and its diagnostics; the program is None after an error.

    `values` are the values of the file's searches, by name. A file whose program was compiled
    before is not checked again.
    """
    try:
        source = path if isinstance(path, Source) else read(path)
    except SpecError as error:
        return None, error.diagnostics
    if not values:
        stored = _stored(source, overrides or {})
        if stored:
            from specc.ir.program import Program

            hashed = stored.pop("digest")
            program = Program(**stored)
            vars(program)["digest"] = hashed
            return program, list(program.warnings)
    return _check_anew(source, overrides, values)


def _stored(source: Source, overrides: Overrides) -> StoredValues | None:
    """Return what the cache folder has of the program of a source.

    None for overrides whose text does not tell their value.
    """
    if any(type(each) not in (str, int, float, bool) for each in overrides.values()):
        return None
    from specc.ir.stored import StoredValues

    return StoredValues("checked", source.name, source.text, list(overrides.items()))


@uncollected
def _check_anew(
    source: Source,
    overrides: Overrides | None,
    values: Mapping[str, str | int | float] | None = None,
) -> tuple[Program | None, list[Diagnostic]]:
    from specc.frontend.program.check import check as check_file
    from specc.frontend.syntax.parse import parse

    file, diagnostics = parse(source)
    report = Report(diagnostics)
    with COMPILER:
        if SEARCH in source.text:
            from specc.frontend.search.fill import decided

            decision = decided(file, overrides or {}, report, values)
            if decision is None:
                return None, report.diagnostics
            file = decision
        program = check_file(file, overrides or {}, report)
    if report.errors or program is None:
        return None, report.diagnostics

    made = Resized(source, dict(overrides or {}), file)
    program = replace(program, resized=made, warnings=tuple(report.warnings))
    made.checked = program
    return program, report.diagnostics


def space_of(source: Source, overrides: Overrides | None = None) -> Space | None:
    """Return the searches of a file; None if it has none. Raises SpecError for an invalid one."""
    if SEARCH not in source.text:
        return None
    from specc.frontend.program.uses import words_of
    from specc.frontend.search.find import searches
    from specc.frontend.syntax.parse import parse

    file, diagnostics = parse(source)
    report = Report(diagnostics)
    if report.errors:
        return None  # the check reports the errors
    space = searches(file, words_of(file), report, overrides or {})
    report.raise_errors()
    return space if space else None


def check_all(
    source: Source, overrides: Overrides | None = None
) -> tuple[Program | None, list[Diagnostic], CornerVerdict | None]:
    """Check a file with each combination of its searches.

    Return the program of one of them, the diagnostics, and the verdict on the combinations (None
    for a file without a search).
    """
    try:
        space = space_of(source, overrides)
    except SpecError as error:
        return None, error.diagnostics, None
    if space is None:
        return *_check_anew(source, overrides), None
    from specc.frontend.search.verdict import checked_corners

    verdict = checked_corners(space)
    if any(each.severity == "error" for each in verdict.diagnostics):
        return None, verdict.diagnostics, verdict
    program, found = check(source, overrides, verdict.good)
    always = [each for each in found if each in verdict.diagnostics]
    return program, always, verdict


def load(path: str | Path | Source, overrides: Overrides | None = None) -> Program:
    """Return the program of a file with a model. Raises SpecError with all diagnostics."""
    program, diagnostics = check(path, overrides)
    if any(each.severity == "error" for each in diagnostics):
        raise SpecError(diagnostics)
    if program is None:
        name = path.name if isinstance(path, Source) else str(path)
        raise _error("no-model", f"{name} has definitions but no model", name)
    return program


@uncollected
def compile(
    program: Program,
    batch: int | None = None,
    dtype: str = "float32",
    threads: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    shards: int | None = None,
    accumulate: int | None = None,
) -> Net:
    """Return the model in machine code, with weights initialized from `seed`.

    `batch`, `seed` and `precision` default to those of the file, `threads` to the number that is
    worthwhile (`threads_for`), and `shards` to the number that suits the model and the batch
    (`specc.passes.division`). A step averages the gradients of `accumulate` batches, by default 1
    if only `batch` is given. With the precision "bfloat16" the operands of products are rounded to
    bfloat16; weights, sums and updates have the `dtype`. Raises SpecError for a symbolic size,
    TypeError if `program` is not a program, and ValueError for an invalid batch, dtype, seed,
    precision, or number of threads or shards.
    """
    from specc.ir.program import Program

    if not isinstance(program, Program):
        what = repr(program) if isinstance(program, str | Path) else type(program).__name__
        raise TypeError(f"compile takes a program, not {what}: specc.compile(specc.load(path))")
    if dtype not in DTYPES:
        raise ValueError(f"dtype must be one of {', '.join(DTYPES)}, not {dtype!r}")
    if accumulate is None:
        accumulate = program.recipe.accumulate if batch is None else 1
    accumulate = _whole("accumulate", accumulate, 1)
    batch = program.recipe.batch if batch is None else _whole("batch", batch, 1)
    threads = None if threads is None else _whole("threads", threads, 1)
    shards = None if shards is None else _whole("shards", shards, 1)
    seed = program.recipe.seed if seed is None else _whole("seed", seed, 0)
    if precision is not None:
        program = with_precision(program, precision)
    _check_sizes(program)
    if isinstance(program.resized, Resized):
        program.resized.store()
    from specc.backend.run import executor
    from specc.backend.toolchain.load import has_compiled

    if not has_compiled(executor.KERNELS[0]):  # so nothing has been compiled for this machine yet
        from specc.backend.toolchain.workers import start_ahead

        start_ahead()
    from specc.net.net import Net

    threads = threads or threads_for(program, batch)
    return Net(program, batch, dtype, threads, seed, shards=shards, accumulate=accumulate)


def with_precision(program: Program, precision: str) -> Program:
    """Return the program with another `precision` than that of its file.

    Raises ValueError for an unknown precision.
    """
    if precision not in PRECISIONS:
        known = ", ".join(PRECISIONS)
        raise ValueError(f"precision must be one of {known}, not {precision!r}")
    return replace(program, recipe=replace(program.recipe, precision=precision))


def _check_sizes(program: Program) -> None:
    """Raise SpecError if a size is still symbolic."""
    if program.open_sizes:
        names = ", ".join(f"`{name}`" for name in program.open_sizes)
        raise _error(
            "open-size",
            f"the size {names} of {program.name} has no value yet",
            program.name,
            help=f"set it: {program.open_sizes[0]}=10",
        )


def _whole(name: str, value: Any, least: int) -> int:
    """Return the value, which may be a NumPy integer, as an int. Raises ValueError for others."""
    try:
        whole = operator.index(value)
    except TypeError:
        whole = None
    if whole is None or whole < least or isinstance(value, bool):
        raise ValueError(f"{name} must be an integer of at least {least}, not {value!r}")
    return whole


def build(
    program: Program, batch: int | None = None, dtype: str = "float32", shards: int | None = None
) -> str:
    """Return the Python source that the model is compiled from, in a readable form."""
    from specc.backend.listing import listing
    from specc.ir.kind import Kind

    net = compile(program, batch, dtype, threads=1, shards=shards)
    batches = net.examples_per_step // net.batch
    if batches == 1 or Kind.main(program) != Kind.TRAIN:
        return listing(program, net.compiled(Kind.main(program)), net.settings_graph)
    again = any(each.again is not None for each in program.updates)
    return listing(
        program,
        net.compiled(Kind.ACCUMULATE),
        net.programs.settings_of(Kind.UPDATE),
        net.compiled(Kind.UPDATE),
        batches,
        net.compiled(Kind.AGAIN) if again else None,
    )


def show(path: str | Path | Source, stage: str, overrides: Overrides | None = None) -> str:
    """Return the text of a stage of a file's compilation. Raises SpecError for errors in it."""
    assert stage in stages(), stage
    source = path if isinstance(path, Source) else read(path)
    if stage == "source":
        return source.text
    if stage == "tree":
        from specc.frontend.syntax.parse import parse
        from specc.frontend.syntax.tree import show_tree

        file, diagnostics = parse(source)
        if diagnostics:
            raise SpecError(diagnostics)
        return show_tree(file)
    program = load(source, overrides)
    if stage == "program":
        from specc.ir.show import show_program

        return show_program(program)
    if stage == "code":
        return build(program)
    return str(_passed(program, GROUPS.get(stage, stage), source.name))


def stages() -> tuple[str, ...]:
    """Return the names of all stages, in order."""
    from specc.pipeline import NAMES

    return (*FRONT, *NAMES, *BACK, *GROUPS)


def _passed(program: Program, name: str, file: str) -> Made:
    """Return the result of the passes up to pass `name`, for a program's main kind."""
    from specc.ir.kind import Kind
    from specc.pipeline import NAMES, Batch, Job, optimized, run

    if NAMES.index(name) <= NAMES.index("autodiff"):
        if name == "autodiff" and not program.losses:
            message = f"{program.name} has no loss, so there are no gradients"
            raise _error("no-loss", message, file)
        return run(Job(program, Kind.GRADIENTS), through=name)
    _check_sizes(program)
    job = Job(program, Kind.main(program))
    batch = Batch.on_this_machine(program.recipe.batch)
    job = replace(job, recompute=optimized(job, batch).is_recomputed)
    return run(job, through=name, batch=batch)


def processors() -> int:
    """Return the number of processors that this process may use."""
    from specc.backend.machine import system

    return system.processors()


# With less work per thread (some 50 us), a further thread makes a training step no faster, as
# threads synchronize some ten times per step.
FLOPS_WORTH_A_THREAD = 2e6
UPDATE = 10  # flops that take as long as the reads and writes of one weight's update


def threads_for(program: Program, batch: int) -> int:
    """Return the default number of threads of a model: that of processors, or fewer for little
    work.

    The work of a training step is some three times that of a forward pass.
    """
    from specc.ir import sizes
    from specc.ir.graph import topological
    from specc.ops.flops import flops

    terms = (*program.losses, *program.outputs)
    of_example = flops(topological([term.node for term in terms]))
    # pairs of examples count as well
    work = 3 * batch * sizes.bound(sizes.bind(of_example, {"the batch": batch}))
    trained = {each.path for each in program.updates}
    work += UPDATE * sum(
        each.type.bound_elements for each in program.parameters if each.path in trained
    )
    return max(1, min(processors(), int(work / FLOPS_WORTH_A_THREAD)))


def _error(name: str, message: str, file: str, help: str | None = None) -> SpecError:
    return SpecError([Diagnostic(name, "error", message, Span(Source(file, ""), 0, 0), help=help)])
