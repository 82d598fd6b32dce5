"""Compares a model with a reference solution, such as an answer to an exercise.

    report = grade("answer.dl", "reference.dl")
    report.passed, report.checks[0].name, report.to_record()

Each of these checks passes, fails or is skipped:

- `errors`: the answer must not have errors
- `inputs`, `targets`, `outputs`: compares names, order and shapes
- `parameters`: compares the shapes of all parameters
- `function`: compares the outputs, the loss and the gradients for equal parameters and random
examples, in the interpreter and in float64
- `metrics`: trains both models; the answer's metrics may be worse than the reference's by at most a
margin
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Any

from specc.diagnostics import SpecError
from specc.ir import sizes
from specc.recipe.binding import port_type
from specc.system.records import dataclass

if TYPE_CHECKING:
    import numpy as np

    from specc.ir.program import Program
    from specc.recipe import Port

CHECKS = ("errors", "inputs", "targets", "outputs", "parameters", "function", "metrics")
EXAMPLES = 5
OPEN = 7
"""The size of every symbolic dimension while functions are compared."""
TOLERANCE, MARGIN = 1e-6, 0.02


@dataclass(frozen=True)
class Check:
    """One comparison. `passed` is None if it was skipped; `expected` is the reference's."""

    name: str
    passed: bool | None
    message: str
    expected: Any = None
    found: Any = None

    def to_record(self) -> dict[str, Any]:
        """Return the check as plain data."""
        return {
            "name": self.name,
            "passed": self.passed,
            "message": self.message,
            "expected": self.expected,
            "found": self.found,
        }


@dataclass(frozen=True)
class Grade:
    """All checks of an answer."""

    answer: str
    reference: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed."""
        return all(each.passed is not False for each in self.checks)

    @property
    def skipped(self) -> list[str]:
        """The names of the checks that could not be made."""
        return [each.name for each in self.checks if each.passed is None]

    def to_record(self) -> dict[str, Any]:
        """Return the report as plain data."""
        return {
            "answer": self.answer,
            "reference": self.reference,
            "passed": self.passed,
            "skipped": self.skipped,
            "checks": [each.to_record() for each in self.checks],
        }


@dataclass(frozen=True)
class Wanted:
    """Which checks to make, and their tolerances."""

    checks: Collection[str] = CHECKS
    tolerance: float = TOLERANCE  # largest relative difference of outputs, loss and gradients
    margin: float = MARGIN  # how much worse a metric may be
    seed: int = 0


def grade(
    answer: str | Path,
    reference: str | Path,
    wanted: Wanted | None = None,
    values: Mapping[str, str | int | float] | None = None,
    data: Path | None = None,
) -> Grade:
    """Compare the model in a file with the model in a reference file.

    `values` change settings of both files, such as `epochs`. Relative data paths start at `data`,
    by default the folder of the reference. Raises SpecError if the reference has errors.
    """
    from specc import driver

    wanted, values = wanted or Wanted(), dict(values or {})
    theirs = driver.load(Path(reference), values)
    folder = data or Path(reference).parent

    def report(checks: Iterable[Check]) -> Grade:
        found = (each for each in checks if each.name in wanted.checks)
        return Grade(str(answer), str(reference), tuple(found))

    try:
        own = driver.load(Path(answer), values)
    except SpecError as error:
        messages = [str(each) for each in error.diagnostics]
        return report(
            [Check("errors", False, f"the answer has errors: {messages[0]}", [], messages)]
        )
    checks = [Check("errors", True, "the answer has no errors", [], [])]
    checks += [*_ports(own, theirs), _outputs(own, theirs), _parameters(own, theirs)]
    if "function" in wanted.checks:
        checks.append(_function(Path(answer), Path(reference), values, wanted))
    if "metrics" in wanted.checks:
        checks.append(
            _metrics((Path(answer), own), (Path(reference), theirs), values, folder, wanted)
        )
    return report(checks)


def _listed(what: str, expected: list[str], found: list[str]) -> Check:
    """Compare the lists of ports, outputs or parameters of two models."""
    if expected == found:
        return Check(what, True, f"the {what} match the reference", expected, found)
    missing = [each for each in expected if each not in found]
    more = [each for each in found if each not in expected]
    parts = [f"missing: {', '.join(missing)}"] * bool(missing)
    parts += [f"not in the reference: {', '.join(more)}"] * bool(more)
    message = "; ".join(parts) or "they are in another order"
    return Check(what, False, f"the {what} differ: {message}", expected, found)


def _ports(own: Program, theirs: Program) -> list[Check]:
    def declared(program: Program, role: str) -> list[str]:
        ports = [each for each in program.ports if each.role == role and not each.length_of]
        return sorted(f"{each.name}: {port_type(each)}" for each in ports)

    return [
        _listed(f"{role}s", declared(theirs, role), declared(own, role))
        for role in ("input", "target")
    ]


def _outputs(own: Program, theirs: Program) -> Check:
    def shapes(program: Program) -> list[str]:
        return [
            f"{each.node.type.kind}{sizes.show(each.node.type.shape)}" for each in program.outputs
        ]

    return _listed("outputs", shapes(theirs), shapes(own))


def _parameters(own: Program, theirs: Program) -> Check:
    def shapes(program: Program) -> list[str]:
        return sorted(sizes.show(each.type.shape) for each in program.parameters)

    return _listed("parameters", shapes(theirs), shapes(own))


# The function


def _function(
    answer: Path, reference: Path, values: Mapping[str, str | int | float], wanted: Wanted
) -> Check:
    """Compare outputs, losses and gradients for equal parameters and random examples."""
    import numpy as np

    from specc import driver

    def loaded(path: Path) -> Program:
        program = driver.load(path, values)
        return driver.load(path, {**values, **dict.fromkeys(program.open_sizes, OPEN)})

    own, theirs = loaded(answer), loaded(reference)
    reason = _why_not(own, theirs)
    if reason:
        return Check("function", None, f"not compared: {reason}")
    random = np.random.default_rng(wanted.seed)
    ports = {each.name: _random(each, random) for each in theirs.ports}
    given = [random.normal(size=each.type.bound_shape) * 0.5 for each in theirs.parameters]
    expected, found = (_results(each, ports, given) for each in (theirs, own))
    worst: dict[str, float] = {}
    for name, value in expected.items():
        scale = max(float(np.abs(value).max(initial=0)), 1e-12)
        worst[name] = float(np.abs(found[name] - value).max(initial=0)) / scale
    off = {name: each for name, each in worst.items() if not each <= wanted.tolerance}
    if not off:
        message = "outputs, loss and gradients match the reference"
        return Check("function", True, message, 0.0, max(worst.values(), default=0.0))
    name = next(iter(off))
    message = f"{name} differs by a relative error of {off[name]:.2g}, with equal parameters"
    return Check("function", False, message, _short(expected[name]), _short(found[name]))


def _short(value: np.ndarray) -> list[float]:
    """Return the first numbers of an array, for a message."""
    return [float(f"{each:.6g}") for each in value.reshape(-1)[:4]]


def _why_not(own: Program, theirs: Program) -> str | None:
    """Return why two functions cannot be compared; None if they can."""
    shapes = [[each.type.shape for each in program.parameters] for program in (own, theirs)]
    ports = [
        {(each.name, each.kind, each.shape) for each in program.ports} for program in (own, theirs)
    ]
    if ports[0] != ports[1]:
        return "the inputs or targets differ"
    if len(own.outputs) != len(theirs.outputs):
        return "the numbers of outputs differ"
    if shapes[0] != shapes[1]:
        return "the parameters differ in shape or order"
    if any(each.length_of or each.begin_of for each in theirs.ports) or theirs.streams:
        return "the sequences have no fixed length, or continue from batch to batch"
    if bool(own.losses) != bool(theirs.losses):
        return "only one of the two has a loss"
    return None


def _random(port: Port, random: np.random.Generator) -> np.ndarray:
    shape = (EXAMPLES, *port.shape)
    if port.kind == "class":
        return random.integers(0, port.class_count, shape)
    return random.random(shape) < 0.5 if port.kind == "bool" else random.normal(size=shape)


def _results(
    program: Program, ports: Mapping[str, np.ndarray], given: list[np.ndarray]
) -> dict[str, np.ndarray]:
    """Compute the outputs, the loss and the gradients in the interpreter, by name."""
    import numpy as np

    from specc import pipeline
    from specc.backend.reference import evaluate
    from specc.ir.graph import Graph
    from specc.ops.peers import bind_batch

    leaves: dict[tuple[str, str], np.ndarray] = {
        **{(each.role, each.name): ports[each.name] for each in program.ports},
        **{("param", p.path): g for p, g in zip(program.parameters, given, strict=True)},
        ("weight_of_example", ""): np.full(EXAMPLES, 1 / EXAMPLES),
    }
    states = Graph({each.path: each.initial for each in program.states})
    for path, value in evaluate(states, {}).items() if program.states else ():
        leaves["state", path] = value
    with np.errstate(all="ignore"):
        graph = bind_batch(pipeline.forward(program, False), EXAMPLES)
        values = evaluate(graph, leaves)
        found = {
            f"output {number}": values[f"output.{each.name}"]
            for number, each in enumerate(program.outputs, 1)
        }
        if program.losses and program.parameters:
            values = evaluate(bind_batch(pipeline.with_gradients(program), EXAMPLES), leaves)
            found["the loss"] = np.asarray(values["loss"])
            for number, each in enumerate(program.parameters, 1):
                found[f"gradient {number}"] = values[f"gradient.{each.path}"]
    return found


# Training


def _metrics(
    answer: tuple[Path, Program],
    reference: tuple[Path, Program],
    values: Mapping[str, str | int | float],
    folder: Path,
    wanted: Wanted,
) -> Check:
    """Train both models on the reference's data, and compare their best epochs."""
    recipe = reference[1].recipe
    if recipe.data is None:
        return Check("metrics", None, "not compared: the reference has no data")
    data = {name: getattr(recipe, name) for name in ("data", "validate") if getattr(recipe, name)}
    expected = _best(*reference, data, values, folder)
    try:
        found = _best(*answer, data, values, folder)
    except SpecError as error:
        return Check("metrics", False, f"the answer cannot be trained: {error.diagnostics[0]}")
    for name, (value, is_max) in expected.items():
        if name not in found:
            return Check("metrics", False, f"the answer has no metric `{name}`", value, None)
        own = found[name][0]
        if is_max is None:
            continue
        allowed = value - wanted.margin if is_max else value + wanted.margin * max(1.0, abs(value))
        if not (own >= allowed if is_max else own <= allowed):
            message = f"`{name}` is {own:.4g}, but the reference reaches {value:.4g}"
            return Check("metrics", False, message, value, own)
    shown = ", ".join(f"{name} {each[0]:.4g}" for name, each in found.items())
    return Check("metrics", True, f"after training: {shown}",
                 {name: each[0] for name, each in expected.items()},
                 {name: each[0] for name, each in found.items()})  # fmt: skip


def _best(
    path: Path, program: Program, data: Mapping[str, Any], values: Mapping[str, Any], folder: Path
) -> dict[str, tuple[float, bool | None]]:
    """Train a model on `data`; return each metric of the best epoch and whether more is better."""
    from specc.frontend.syntax.reading import read_source
    from specc.runs.display import display
    from specc.runs.listener import Silent
    from specc.runs.run import Run
    from specc.runs.start import prepare

    metrics = {each.name: each.is_max for each in program.metrics}
    source = read_source(path)
    texts = {name: str(value) for name, value in values.items()}
    with TemporaryDirectory() as runs:
        content = source.text.encode()
        prepared = prepare(source, content, folder, texts, Silent(), threads=1, given=data)
        training = prepared.begun(Path(runs))
        try:
            net, epochs = training.net, training.program.recipe.epochs
            with display(net, epochs, training.steps_per_epoch, 0, is_quiet=True) as watch:
                outcome = training.carry_out(watch)
        finally:
            training.release()
        rows = list(Run(training.run.folder, net, outcome).metrics)
    part = "val_" if f"val_{next(iter(metrics), 'loss')}" in rows[-1] else "train_"
    best = min(rows, key=_by(part + "loss"))
    return {name: (best[part + name], is_max) for name, is_max in metrics.items()}


def _by(column: str) -> Callable[[Mapping[str, float]], float]:
    return lambda row: row[column]
