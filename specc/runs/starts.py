"""The weights that a training begins with, of a run, a saved model or a file of weights.

    start_errors(program, folder)     # what is wrong with `start`: a missing file, another shape
    begin(net, folder)                # puts the arrays into the net, or SpecError: a `Begun` each

Arrays are matched by name. The statement `start tower = "runs/teacher/1"` takes what the file calls
`tower.dense1.weight`; if it has nothing of `tower`, it takes `dense1.weight`.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from specc.diagnostics import Diagnostic, Label, SpecError, closest
from specc.frontend.syntax.reading import read_source
from specc.recipe import StartingWeights
from specc.runs.names import RECORD, folder_of
from specc.runtime.errors import RunError, diagnostic, start_of
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

    from specc.ir.program import Parameter, Program, State
    from specc.net.net import Net

SHOWN = 5  # arrays that a message names
FLOATS = ("F64", "F32", "F16")
"""The types of arrays in a safetensors file that weights can be made of."""


@dataclass(frozen=True)
class Begun:
    """What weights were taken from: a source as the file names it, and the hash of its bytes."""

    source: str
    sha256: str


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights: the shape and type of each array, and whether moving means predict."""

    path: Path
    arrays: Mapping[str, tuple[tuple[int, ...], str]]
    has_means: bool = False

    def key(self, name: str) -> str | None:
        """Return what the file calls an array of the model; None if it has none of that name."""
        means = (f"state/{name}.average",) if self.has_means else ()
        return next((key for key in (*means, name, f"state/{name}") if key in self.arrays), None)

    def names(self) -> list[str]:
        """Return the names of its arrays as a model has them."""
        return [each.removeprefix("state/") for each in self.arrays if each != "records"]


def start_errors(program: Program, folder: Path) -> list[Diagnostic]:
    """Return the errors of the weights that a program begins with; paths start at `folder`."""
    found: list[Diagnostic] = []
    for start in program.recipe.starts:
        try:
            _pairs(program, start, _opened(start, folder))
        except SpecError as error:
            found += error.diagnostics
    return found


def require_starts(program: Program, folder: Path) -> None:
    """Raise SpecError if the weights that a program begins with are not there or do not fit."""
    if found := start_errors(program, folder):
        raise SpecError(found)


def begin(net: Net, folder: Path) -> list[Begun]:
    """Put the weights that the program of a net begins with into it. Raises SpecError, having
    changed nothing."""
    from specc.runtime.checkpoint import STATE, tensors

    program = net.program
    values: dict[str, np.ndarray] = {}
    begun = []
    for start in program.recipe.starts:
        file = _opened(start, folder)
        arrays, sha256 = _read(start, file.path)
        pairs = _pairs(program, start, file)
        values.update({name: arrays[key] for name, key in pairs.items()})
        begun.append(Begun(start.source, sha256))
    values.update(_of_copies(program, values))
    live = {name.removeprefix(STATE): array for name, array in tensors(net).items()}
    for name, value in values.items():
        live[name][...] = value
    return begun


def _of_copies(program: Program, values: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Return the values of moving means, of parameters and of running statistics, that no file
    gave: those of what they follow."""
    found = {each.path: values[each.of] for each in program.averages if each.of in values}
    for copy, original in _copies(program).items():
        for state in program.states:
            of = original + state.path.removeprefix(copy)
            if state.path.startswith(f"{copy}.") and of in values:
                found[state.path] = values[of]
    return {path: value for path, value in found.items() if path not in values}


def _copies(program: Program) -> dict[str, str]:
    """Return the paths of moving means of layers, with the layers that they follow."""
    found = {}
    for each in program.averages:
        copy, original = each.path.split("."), each.of.split(".")
        while copy and original and copy[-1] == original[-1]:
            del copy[-1], original[-1]
        if copy and original:
            found[".".join(copy)] = ".".join(original)
    return found


def _opened(start: StartingWeights, folder: Path) -> WeightsFile:
    """Return the arrays that the source of a start has. Raises SpecError."""
    path, has_means = _file(start, folder)
    try:
        from safetensors import SafetensorError, safe_open

        with safe_open(path, framework="np") as file:
            pieces = {name: file.get_slice(name) for name in list(file.keys())}
            arrays = {
                name: (tuple(each.get_shape()), str(each.get_dtype()))
                for name, each in pieces.items()
            }
    except (SafetensorError, OSError, ValueError):
        raise _error(
            start,
            f"`{path}` is not a file of weights, or is damaged",
            help="specc reads the safetensors format: `safetensors.numpy.save_file(arrays, path)`"
            " writes it",
        ) from None
    return WeightsFile(path, arrays, has_means)


def _file(start: StartingWeights, folder: Path) -> tuple[Path, bool]:
    """Return the file that a start names, and whether its moving means predict."""
    given = Path(start.source).expanduser()
    path = folder / given
    if path.is_file():
        return path, False
    try:
        run = path if (path / RECORD).is_file() else folder_of(start.source)
    except RunError as error:
        (found,) = error.diagnostics
        raise _error(
            start,
            f"there is no run and no file of weights `{start.source}`",
            help=found.help or f"relative paths start at `{folder}`, runs are in `runs`",
        ) from None
    from specc.runtime.run import open_run

    opened = open_run(run)
    if not opened.best.is_file():
        raise _error(
            start,
            f"the run `{run}` has no best weights yet: no epoch of it is complete",
            help=f'`"{run}/last.safetensors"` has its last ones',
        )
    return opened.best, _predicts_with_means(run)


def _predicts_with_means(run: Path) -> bool:
    """Return whether the model of a run predicts with moving means, the setting `average`."""
    from specc import driver
    from specc.runtime.run import open_run

    record = open_run(run).record
    program, _ = driver.check(read_source(run / "model.dl"), {**record.sizes, **record.overrides})
    return program is not None and program.recipe.average is not None


def _pairs(program: Program, start: StartingWeights, file: WeightsFile) -> dict[str, str]:
    """Return the key in the file of each array that a start gives. Raises SpecError if one is
    missing there, or has another shape or type."""
    wanted: list[Parameter | State] = [*program.parameters, *program.states]
    optional = {each.path for each in program.averages}
    copies = tuple(f"{path}." for path in _copies(program))
    found: dict[str, str] = {}
    missing: list[str] = []
    errors: list[Diagnostic] = []
    for each in wanted:
        name = _name_there(each.path, start, file)
        if name is None or (each.path.endswith(".average") and each.path in optional):
            continue
        key = file.key(name)
        if key is None:
            if each.path not in optional and not each.path.startswith(copies):
                missing.append(each.path)
            continue
        found[each.path] = key
        errors += _misfits(each, start, file, key)
    if missing:
        errors.insert(0, _missing(start, file, missing))
    if errors:
        raise SpecError(errors)
    return found


def _name_there(path: str, start: StartingWeights, file: WeightsFile) -> str | None:
    """Return the name in a file for an array at a path; None if the start does not give it."""
    if not start.paths:
        return path
    for part in start.paths:
        if path == part or path.startswith(f"{part}."):
            names = file.names()
            is_named = any(name == part or name.startswith(f"{part}.") for name in names)
            return path if is_named or path == part else path.removeprefix(f"{part}.")
    return None


def _misfits(
    each: Parameter | State, start: StartingWeights, file: WeightsFile, key: str
) -> Iterable[Diagnostic]:
    shape, kind = file.arrays[key]
    here = each.type.shape
    labels = [] if each.span is None else [Label(each.span, f"`{each.path}` is declared here")]
    name = key.removeprefix("state/")
    if kind not in FLOATS:
        yield _diagnostic(
            start,
            f"`{name}` in `{file.path}` has numbers of the type {kind}",
            help="weights are read as float64, float32 or float16: convert the file",
        )
    elif len(here) != len(shape) or any(
        isinstance(a, int) and a != b for a, b in zip(here, shape, strict=True)
    ):
        yield _diagnostic(
            start,
            f"`{each.path}` is {_shape(here)} here, but {_shape(shape)} in `{file.path}`",
            labels=labels,
            help="give the layers the same sizes, or begin with fewer layers:"
            f' `start tower = "{start.source}"`'
            if not start.paths
            else "give the layers the same sizes",
        )


def _missing(start: StartingWeights, file: WeightsFile, missing: Sequence[str]) -> Diagnostic:
    """An error that names the arrays that a file does not have."""
    names = file.names()
    listed = ", ".join(f"`{each}`" for each in missing[:SHOWN])
    more = f" and {len(missing) - SHOWN} more" if len(missing) > SHOWN else ""
    near = closest(missing[0], names)
    has = ", ".join(f"`{each}`" for each in sorted(names)[:SHOWN])
    help_ = f"did you mean `{near}`? it has {has}" if near else f"it has {has}"
    if len(names) > SHOWN:
        help_ += f" and {len(names) - SHOWN} more"
    if not start.paths:
        help_ += f'; `start tower = "{start.source}"` begins with those of a layer alone'
    return _diagnostic(start, f"`{file.path}` has no {listed}{more}", help=help_)


def _read(start: StartingWeights, path: Path) -> tuple[dict[str, np.ndarray], str]:
    """Return all arrays of a file, and the hash of its bytes. Raises SpecError."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    from specc.runtime.checkpoint import CHECKSUM, checksum, metadata_of, not_finite

    try:
        content = path.read_bytes()
        arrays = load(content)
        metadata = metadata_of(path)
    except (SafetensorError, OSError, ValueError, TypeError, AttributeError, KeyError):
        raise _error(start, f"`{path}` cannot be read: it is damaged") from None
    noted = metadata.pop(CHECKSUM, None)
    if noted is not None and noted != checksum(arrays, metadata):
        raise _error(
            start, f"`{path}` is damaged: its SHA-256 is not the one that specc noted in it"
        )
    floats = {name: each for name, each in arrays.items() if each.dtype.kind == "f"}
    if (bad := not_finite(floats)) is not None:
        raise _error(start, f"`{bad.removeprefix('state/')}` in `{path}` is not finite")
    return arrays, hashlib.sha256(content).hexdigest()


def _shape(shape: Sequence[object]) -> str:
    return f"[{', '.join(map(str, shape))}]"


def _error(start: StartingWeights, message: str, help: str | None = None) -> SpecError:
    return SpecError([_diagnostic(start, message, help=help)])


def _diagnostic(
    start: StartingWeights, message: str, help: str | None = None, labels: Sequence[Label] = ()
) -> Diagnostic:
    place = start.span or start_of("start")
    return diagnostic("bad-start", message, place, labels=labels, help=help)
