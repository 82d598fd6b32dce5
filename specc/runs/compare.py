"""The differences between two runs: settings, results and models.

found = compare(Path("runs/digits/3"), Path("runs/digits/4"), ("digits/3", "digits/4"))
found.settings      # [Difference("lr", "0.01", "0.003")]
found.layers        # [Difference("dense1", "dense(64)  [64]", "dense(128)  [128]")]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from specc.runs.listener import Listener
from specc.runs.summary import Summary, summary
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.source import Source


@dataclass(frozen=True)
class Difference:
    """A name with its value in each of two runs; None if a run does not have it."""

    name: str
    first: str | None
    second: str | None

    @property
    def kind(self) -> str:
        """ "added", "removed" or "changed"."""
        if self.first is None:
            return "added"
        return "removed" if self.second is None else "changed"


@dataclass(frozen=True)
class Comparison:
    """Two runs with their differences; `metrics` has all metrics, also equal ones."""

    runs: tuple[Summary, Summary]
    settings: list[Difference]
    metrics: list[Difference]
    layers: list[Difference]
    parameters: tuple[int, int]


def compare(first: Path, second: Path, names: tuple[str, str], listener: Listener) -> Comparison:
    """Return the differences between two runs. Raises SpecError if one of them cannot be read."""
    both = summary(first, names[0]), summary(second, names[1])
    programs = _program(first, listener), _program(second, listener)
    settings = [
        {**settings_of(*program), **run.overrides}
        for program, run in zip(programs, both, strict=True)
    ]
    metrics = [
        {f"{run.part}_{name}": f"{value:.5g}" for name, value in run.metrics.items()}
        for run in both
    ]
    layers = [layers_of(program) for program, _ in programs]
    counts = [sum(each.type.elements for each in program.parameters) for program, _ in programs]
    return Comparison(
        both,
        _differing(settings[0], settings[1]),
        [
            Difference(name, metrics[0].get(name), metrics[1].get(name))
            for name in dict.fromkeys([*metrics[0], *metrics[1]])
        ],
        _differing(layers[0], layers[1]),
        (int(counts[0]), int(counts[1])),
    )


def _program(folder: Path, listener: Listener) -> tuple[Program, Source]:
    from specc.frontend.syntax.reading import read_source
    from specc.runs.programs import run_program
    from specc.runtime.run import open_run

    program = run_program(open_run(folder), {}, listener)
    return program, read_source(folder / "model.dl")


def _differing(first: Mapping[str, str], second: Mapping[str, str]) -> list[Difference]:
    return [
        Difference(name, first.get(name), second.get(name))
        for name in dict.fromkeys([*first, *second])
        if first.get(name) != second.get(name)
    ]


def settings_of(program: Program, source: Source) -> dict[str, str]:
    """Return the settings of the recipe, its data and its optimizers, as strings by name."""
    from specc.frontend.syntax import ast
    from specc.frontend.syntax.parse import parse
    from specc.recipe import DataCall

    recipe = program.recipe
    plain = (
        "epochs", "batch", "seed", "patience", "clip_norm", "clip_value", "recompute",
    )  # fmt: skip
    known = {name: getattr(recipe, name) for name in plain}
    found = {
        name: str(each).lower() if isinstance(each, bool) else str(each)
        for name, each in known.items()
        if each is not None
    }
    found["monitor"] = recipe.monitor.column if recipe.monitor else "loss"
    for name in ("data", "validate", "test"):
        call = getattr(recipe, name)
        if isinstance(call, DataCall):
            found[name] = _shown(call)
        elif call is not None:
            found[name] = f"split = {1 - call:g}"
    for block in parse(source)[0].definitions:
        for each in block.body if isinstance(block, ast.Train) else ():
            if isinstance(each, ast.TrainOptimizer):
                whose = ", ".join(path.text for path in each.paths)
                text = " ".join(each.optimizer.span.text.split())
                found[f"optimizer for {whose}" if whose else "optimizer"] = text
    return found


def _shown(call) -> str:
    given = [*map(str, call.arguments), *(f"{k}={v}" for k, v in call.settings.items())]
    return f"{call.word}({', '.join(given)})"


def layers_of(program: Program) -> dict[str, str]:
    """Return each layer's call and output shape as a string, by path."""
    from specc.ir import sizes

    return {
        each.path: f"{' '.join(each.text.split())}  {sizes.show(each.output.shape)}"
        for each in program.layers
    }
