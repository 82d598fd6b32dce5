"""specc checks, compiles and trains neural networks described in text files.

import specc

run = specc.train("houses.dl", data=frame, epochs=20)
specc.open("@last").predict(new_rows)

net = specc.compile(specc.load("models/lenet.dl"), batch=64)
net.step(image=images, label=labels)
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from specc.diagnostics import Diagnostic, Diverged, SpecError, SpecWarning
from specc.system import plotter, starter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from pathlib import Path

    from specc.driver import Overrides
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.plots.shown import ShownFigure
    from specc.runs.run import Run
    from specc.runtime.metrics import Epoch
    from specc.source import Source
    from specc.sweeps.result import Result

__version__ = "0.1.0"
__all__ = [
    "Diagnostic",
    "Diverged",
    "SpecError",
    "SpecWarning",
    "__version__",
    "compile",
    "load",
    "loads",
    "open",
    "plot",
    "sweep",
    "train",
]


def load(path: str | Path, **overrides: str | int | float) -> Program:
    """Return the checked program of a .dl file.

    `overrides` change sizes, constants and settings of `train`: `classes=10`. Raises
    `SpecError`, whose `.diagnostics` lists every error.

    Warnings are in the program's `.warnings`, and are also issued with Python's `warnings` as
    `SpecWarning`. A comment in the file, `# allow: NAME`, silences one;
    `warnings.filterwarnings("ignore", category=specc.SpecWarning)` silences all.

    >>> load("models/linear.dl", batch=16)
    <Program linear(x, label): 650 parameters>
    """
    return _loaded(path, overrides)


def loads(text: str, **overrides: str | int | float) -> Program:
    """Return the checked program of the text of a model; see `load`.

    >>> loads("model m { input x: float[3] output y = x -> dense(2) }")
    <Program m(x): 8 parameters>
    """
    from specc.runs.start import TEXT
    from specc.source import Source

    if not isinstance(text, str):
        raise TypeError(f"loads takes a text, not {type(text).__name__}: specc.load reads a file")
    return _loaded(Source(TEXT, text), overrides)


def _loaded(source: str | Path | Source, overrides: Overrides) -> Program:
    import warnings

    from specc import driver
    from specc.ir.program import Program

    Program.drawn = staticmethod(_page)
    program = driver.load(source, overrides)
    for each in program.warnings:
        warnings.warn(each.page().rstrip(), SpecWarning, stacklevel=3)
    return program


def _page(program: Program) -> str:
    """Return the HTML page of a program for notebooks."""
    from specc.drawing.page import page

    return page(program)


def compile(
    model: Program,
    batch: int | None = None,
    dtype: str = "float32",
    threads: int | None = None,
    seed: int | None = None,
    precision: str | None = None,
    shards: int | None = None,
) -> Net:
    """Return the model in machine code, with weights initialized from `seed`, as a
    `specc.net.net.Net`.

    `batch` and `seed` default to those of the file, `threads` to the number of processors, or
    fewer if a step has too little work; `dtype` is "float32" or "float64". The operands of
    products are rounded to the `precision`, "float32" or "bfloat16", by default that of the
    file. A batch is divided into `shards`, which the threads share; their default number suits
    the model and the batch. The bits of a result depend on the shards, but not on the threads.
    Raises `SpecError` for a symbolic size, and ValueError for an invalid argument.

    >>> compile(load("models/linear.dl"), batch=16, dtype="float64")
    <Net linear: 650 parameters, float64, batch 16>
    """
    from specc import driver

    return driver.compile(model, batch, dtype, threads, seed, precision, shards)


def train(
    model: str | Path | Program,
    data: object = None,
    validate: object = None,
    test: object = None,
    *,
    runs: str | Path = "runs",
    threads: int | None = None,
    dtype: str = "float32",
    callbacks: Iterable[Callable[[Epoch], object]] = (),
    quiet: bool = False,
    ranks: int | Literal["auto"] | None = "auto",
    **overrides: str | int | float,
) -> Run:
    """Train a model in a new run, and return the run: its `metrics`, `net` and `folder`.

    `model` is the path of a file, the text of a model, or a program. `data` replaces the file's
    data: a frame (pandas, polars, pyarrow), a dict of arrays, a list of dicts or the path of a
    file. So do `validate` and `test`; `validate=0.2` holds out 20% of the data.
    `overrides` change the file's values as on the command line: `epochs=5`, `lr=0.01`,
    `optimizer="adam"`. The run becomes `<model>/<number>` in `runs`.

    Each of `callbacks` is called with the `Epoch` after each epoch; one that returns True stops the
    training. Raises `SpecError` for errors in the file and its data, and `Diverged` if the loss
    is not finite.

    Processes that a launcher has started (`mpiexec -n 4 python train.py`) train the run together:
    each gets it, with the best weights; the first one alone writes, shows and calls `callbacks`. A
    number of `ranks` must be that of the processes, or a ValueError is raised. With `ranks=None`
    each process trains a run of its own.

    >>> import tempfile
    >>> run = train("models/linear.dl", epochs=2, runs=tempfile.mkdtemp(), quiet=True)
    >>> run.metrics["epoch"], run.outcome
    ([1, 2], 'finished')
    """
    from specc.runs.train import train as trained

    return trained(
        model,
        data,
        validate,
        test,
        runs=runs,
        threads=threads,
        dtype=dtype,
        callbacks=callbacks,
        quiet=quiet,
        ranks=ranks,
        **overrides,
    )


def sweep(
    model: str | Path,
    data: object = None,
    validate: object = None,
    *,
    trials: int | None = None,
    jobs: int = 1,
    sampler: str = "tpe",
    prune: bool = False,
    storage: str | None = None,
    runs: str | Path = "runs",
    threads: int | None = None,
    dtype: str = "float32",
    seen: Callable[[Result], object] = lambda result: None,
    **overrides: str | int | float,
) -> Result:
    """Train a model with many values for its searches, and return the results.

    `model` is the path of a file, or a text, with searches in place of numbers or functions: `lr =
    search(1e-4, 0.1; log)`. Each trial is a run in `runs`. There are `trials` of them, by default
    40 and those of earlier calls included, in `jobs` processes. The `sampler` is "tpe", "random" or
    "grid"; with `prune`, trials that are worse than the median are stopped. `storage` is the URL of
    a database that several machines share. `data`, `validate` and `overrides` are as for `train`;
    data that is not a file needs `jobs=1`. `seen` is called with the result so far.

    The result has the `trials`, the `best` of them, its `run`, the `text` of the file with the best
    values, and the `importance` of each search. Raises `SpecError` for errors in the file with any
    combination of values. Needs Optuna: `pip install 'specc-nn[sweep]'`.

    >>> import tempfile
    >>> from pathlib import Path
    >>> text = Path("models/linear.dl").read_text().replace("lr = 0.5", "lr = search(0.1, 0.5)")
    >>> result = sweep(text, sampler="grid", epochs=1, runs=tempfile.mkdtemp())
    >>> len(result.trials), result.best.state
    (2, 'complete')
    """
    from specc.sweeps.python import sweep as carried_out

    return carried_out(
        model,
        data,
        validate,
        trials=trials,
        jobs=jobs,
        sampler=sampler,
        prune=prune,
        storage=storage,
        runs=runs,
        threads=threads,
        dtype=dtype,
        seen=seen,
        **overrides,
    )


def open(
    run: str | Path, which: str = "best", *, batch: int | None = None, threads: int | None = None
) -> Net:
    """The model of a run or of a saved net, with its weights and what it knows of its data.

    `run` is a folder or a name: `digits/3`, `@last`, `@best`. `which` are the "best" weights or the
    "last" ones. Raises `SpecError` for a run that cannot be read.

    >>> import tempfile
    >>> folder = tempfile.mkdtemp()
    >>> trained = train("models/linear.dl", epochs=1, runs=folder, quiet=True)
    >>> open(trained.folder, which="last")
    <Net linear: 650 parameters, float32, batch 32>
    """
    from specc.runs.opened import open_net

    return open_net(run, which, batch, threads)


def plot(
    source: Net | Run | str | Path,
    kind: str,
    data: object = None,
    *,
    part: str | None = None,
    **options: object,
) -> ShownFigure:
    """A figure of a net, a run or a file, which a notebook shows: see `specc plot` for the kinds.

    `source` is a net, a run, its folder or name, or the path of a .dl file. `data` are the examples
    of a net, as `Net.evaluate` takes them; without it they are those that the file names: the test
    data, or else the validation data, or those of `part`. `options` are those of the command:
    `layer`, `example` (from 1), `method`. `figure.save("a.pdf")` writes it into a file.

    Raises ValueError for a figure that does not exist or that the model does not have, `SpecError`
    for data that do not fit, ImportError for a package that is missing.

    >>> net = compile(load("models/linear.dl"))
    >>> plot(net, "weights")
    <Figure weights: Weights>
    """
    from specc.plots.shown import plot as shown

    return shown(source, kind, data, part, options)


def _begin(net: Net, folder: Path) -> object:
    from specc.runs.starts import begin

    return begin(net, folder)


plotter.draw, starter.begin = plot, _begin
