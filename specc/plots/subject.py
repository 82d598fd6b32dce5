"""What is plotted: a model with weights, the history of its run, and examples.

    subject = of_run(Path("runs/digits/1"), listener)
    subject.curves["val_loss"]          # [0.91, 0.52, ...]
    subject.outputs["scores"]           # for all examples of the part, [n, 10]
    subject.of_layers(["relu1"], rows)  # {"relu1": [len(rows), 8, 14, 14]}

The examples are those of the test data if there is any, otherwise of the validation data, otherwise
of the training data. At most `MOST` of them are used.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from specc.ir.graph import Node, topological
from specc.ir.program import Layer
from specc.ops.leaf import Input
from specc.plots.heads import Head, heads
from specc.recipe import Column, Port
from specc.system.lazy import cached_property
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.net.net import Net
    from specc.runs.listener import Listener
    from specc.runtime.data.part import Data

MOST = 1_000_000
"""Largest number of examples that are predicted for a plot."""


@dataclass(eq=False)
class Subject:
    """A model with everything that plots need.

    `part` is the part of the data ("test", "validation", "training"). `data` has a column for each
    port, of which only `rows` belong to the part. `words` has the names of classes, by port.
    `curves` has the columns of metrics.csv.
    """

    program: Program
    net: Net
    name: str
    part: str = ""
    data: Mapping[str, Column] = field(default_factory=dict)
    rows: np.ndarray = field(default_factory=lambda: np.arange(0))
    words: Mapping[str, Sequence[str]] = field(default_factory=dict)
    curves: Mapping[str, Sequence[float]] = field(default_factory=dict)
    best_epoch: int = 0
    folder: Path | None = None

    @property
    def count(self) -> int:
        """The number of examples."""
        return len(self.rows)

    def said(self, count: int) -> str:
        """So many of the examples, in words: "1 training example", "1,000 test examples"."""
        return f"{count:,} {self.part} example{'s' * (count != 1)}"

    @cached_property
    def heads(self) -> tuple[Head, ...]:
        return heads(self.program)

    @cached_property
    def samples(self) -> list[dict[str, Any]]:
        """The texts generated during training, each with step, epoch and text."""
        from specc.runs.writing import samples

        return [] if self.folder is None else samples(self.folder)

    @cached_property
    def outputs(self) -> dict[str, np.ndarray]:
        """The outputs of all examples, [n, *shape] each, in inference mode."""
        return self.net.predict_rows(self.cut())

    def cut(self, rows: np.ndarray | None = None) -> dict[str, Column]:
        """Return the columns of only some examples (by default, all examples of the part)."""
        chosen = self.rows if rows is None else self.rows[rows]
        return {
            name: Column(
                self.data[name].array[chosen], self.data[name].scale, self.data[name].shift
            )
            for name in {port.name for port in self.net.ports} & set(self.data)
        }

    def values(self, port: str, rows: np.ndarray | None = None) -> np.ndarray:
        """Return the scaled values of a port for some examples (by default, all of them)."""
        return self.data[port].values(self.rows if rows is None else self.rows[rows])

    def ports(self, role: str) -> list[Port]:
        """Return the inputs or targets, without sequence lengths and starts of streams."""
        return [
            port
            for port in self.net.ports
            if port.role == role and port.length_of is None and port.begin_of is None
        ]

    def names(self, port: Port) -> list[str]:
        """Return the names of the classes of a port."""
        if port.kind == "bool":
            return ["false", "true"]
        known = list(self.words.get(port.name, ()))
        return known or [str(k) for k in range(port.class_count)]

    def of_layers(self, paths: Sequence[str], rows: np.ndarray) -> dict[str, np.ndarray]:
        """Return the outputs of layers in inference mode for some examples: [n, *shape] by path.

        Of a layer that is used several times, it is the output of the first use.
        """
        nodes: dict[str, Node] = {}
        for layer in self.program.layers:
            if layer.path in paths:
                nodes.setdefault(layer.path, layer.node)
        return self.net.inspection.values(self.data, self.rows[rows], nodes)

    def of_uses(self, layers: Sequence[Layer], rows: np.ndarray) -> list[np.ndarray]:
        """Return the outputs of uses of layers, as `of_layers` does, each [n, *shape]."""
        nodes = {str(k): layer.node for k, layer in enumerate(layers)}
        found = self.net.inspection.values(self.data, self.rows[rows], nodes)
        return [found[str(k)] for k in range(len(layers))]

    def picture_of(self, node: Node) -> Port | None:
        """Return the first image that a value is computed from, or None."""
        reads = {each.op.label for each in topological([node]) if isinstance(each.op, Input)}
        return next((port for port in self.pictures if port.name in reads), None)

    @property
    def pictures(self) -> list[Port]:
        """The inputs that are images."""
        return [port for port in self.ports("input") if is_picture(port.shape, port.kind)]


def is_picture(shape: Sequence[int], kind: str = "float") -> bool:
    """Return whether values of a shape are images: [h, w], [1, h, w] or [3, h, w]."""
    if kind != "float" or len(shape) not in (2, 3):
        return False
    high, wide = shape[-2:]
    deep = shape[0] if len(shape) == 3 else 1
    return min(high, wide) >= 4 and max(high, wide) <= 8 * min(high, wide) and deep in (1, 3)


def of_run(folder: Path, listener: Listener, part: str | None = None) -> Subject:
    """Return a run with its best weights, history and held-out examples. Raises SpecError."""
    from specc import driver
    from specc.runs.programs import run_program
    from specc.runs.provenance import counts_then, require_rows
    from specc.runs.summary import best_epoch, curves
    from specc.runtime.checkpoint import restore
    from specc.runtime.run import open_run

    run = open_run(folder)
    program = run_program(run, {}, listener)
    net = driver.compile(program, dtype=run.record.dtype)
    restore(run.best if run.best.exists() else run.last, net)
    subject = Subject(
        program,
        net,
        f"{run.record.model}/{folder.name}",
        words=run.record.vocabularies,
        curves=curves(folder),
        best_epoch=best_epoch(folder),
        folder=folder,
    )
    counts = counts_then(run, program.recipe)
    found, loaded = with_examples(subject, Path(run.record.data), part, counts)
    if loaded is not None and found.part != "training":
        where = Path(run.record.data)
        require_rows(run, program.recipe, loaded, found.part, where, listener.warn)
    return found


def of_file(
    file: Path, listener: Listener, data: Path | None = None, part: str | None = None
) -> Subject:
    """Return a file with initial weights and its data, from the file's folder or from `data`.

    Raises SpecError if the file has errors.
    """
    from specc import driver
    from specc.frontend.syntax.reading import read_source
    from specc.runs.programs import checked
    from specc.runtime.data import open_sizes

    source, folder = read_source(file), data or file.parent
    program = checked(source, {}, listener, comes_again=True)
    if program.open_sizes and program.recipe.data is not None:
        sizes = open_sizes(program.recipe, program.ports, folder)
        program = checked(source, {**sizes}, listener)
    subject = Subject(program, driver.compile(program), program.name)
    return with_examples(subject, folder, part)[0]


def of_net(
    net: Net, data: object = None, part: str | None = None, reads_file: bool = False
) -> Subject:
    """Return a net with its current weights, and the examples of a table.

    With `reads_file`, the examples come from the data that the model's file names. Raises SpecError
    if that data cannot be read.
    """
    from specc.net.tables import part_of

    words = dict(net.encoding.vocabularies)
    subject = Subject(net.program, net, net.name, words=words)
    if data is not None:
        found = part_of(net, data, net.ports)
        rows = np.asarray(found.rows)[:MOST]
        return replace(subject, part="given", data=found.columns, rows=rows)
    made = net.program.resized
    if not reads_file or made is None:
        return subject
    return with_examples(subject, Path(made.source.name).parent, part)[0]


def with_examples(
    subject: Subject,
    folder: Path,
    part: str | None,
    counts: Mapping[str, Sequence[int]] | None = None,
) -> tuple[Subject, Data | None]:
    """Return the subject with the examples of a part of its data in `folder`, and the data."""
    from specc.runtime.data import load

    recipe = subject.program.recipe
    if part is None:
        part = "test" if recipe.test else "validation" if recipe.validate else "training"
    if recipe.data is None:
        return subject, None
    words = {name: tuple(each) for name, each in subject.words.items()}
    loaded = load(
        recipe,
        subject.net.ports,
        folder,
        parts=(part,),
        counts=counts if part == "validation" else None,
        vocabularies=words,
    )
    found = loaded.parts[part]
    made = replace(
        subject,
        part=part,
        data=found.columns,
        rows=np.asarray(found.rows)[:MOST],
        words=subject.words or loaded.vocabularies,
    )
    return made, loaded
