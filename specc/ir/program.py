"""A checked program: everything a .dl file says about a model, as one frozen record of graphs.

The front end makes it, `specc show --stage program` prints it, the driver lowers it. Its leaves are
`Input` nodes; weights, optimizer state and the gradient are inputs like any other, told apart by
their role (see `specc.ops.leaf`).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field, fields, replace
from typing import Any, ClassVar, Protocol

from specc.diagnostics import Diagnostic
from specc.ir.graph import Node, topological
from specc.ir.sizes import Size
from specc.ir.types import Type
from specc.recipe import Port, Recipe
from specc.source import Source, Span
from specc.system.lazy import cached_property
from specc.system.records import dataclass


@dataclass(frozen=True)
class Parameter:
    """A trained array. `initial` is an unbatched node over random ops, evaluated once by NumPy."""

    path: str  # tower.dense1.weight: it follows from the file alone, so a checkpoint can use it
    type: Type
    initial: Node
    is_weight: bool = True  # whether `weights` has it: not for biases and normalization factors
    span: Span | None = None


@dataclass(frozen=True)
class State:
    """An array carried from one training step to the next: running statistics, a momentum."""

    path: str
    type: Type
    initial: Node
    next: Node | None = None  # its value after a training step
    span: Span | None = None


@dataclass(frozen=True)
class Term:
    """A named loss, metric or output.

    A loss is a scalar per example, or one for all (a penalty).
    """

    name: str
    node: Node
    span: Span | None = None
    sequence: str | None = None  # the name of the node's first axis, if that is an axis of steps
    is_max: bool | None = None  # whether a metric is better if higher; None if nothing says so


@dataclass(frozen=True)
class Objective:
    """The losses whose sum some parameters are trained on.

    Those of a program take turns within a step: each sees the weights that those before it have
    left.
    """

    losses: tuple[str, ...]
    paths: tuple[str, ...]


@dataclass(frozen=True)
class Average:
    """A state that follows a parameter: after each step, path <- path + rate * (of - path).

    `rate` is a formula over the schedule.
    """

    path: str
    of: str
    rate: Node


@dataclass(frozen=True)
class Update:
    """An optimizer's rule for one parameter, over inputs param, gradient, state and schedule.

    A rule may take the gradient a second time, at the value `again` of the parameter, and read it
    as the input again.
    """

    path: str
    next: Node
    states: tuple[State, ...]
    again: Node | None = None

    @property
    def elements(self) -> Size:
        """The elements of all states."""
        return sum(each.type.elements for each in self.states)


@dataclass(frozen=True)
class Limit:
    """The bounds that a setting of an optimizer must respect at every training step.

    `node` is a formula over the schedule.
    """

    setting: str
    node: Node
    bounds: tuple[tuple[str, float], ...]  # (">=", 0.0)
    span: Span


@dataclass(frozen=True)
class Layer:
    """One line of the table that `specc show` prints: a use of a word of the model."""

    path: str
    text: str  # the call as the file writes it
    input: Type | None
    output: Type
    parameters: tuple[str, ...]
    node: Node
    span: Span | None = None
    sequence: str | None = None  # the sequence at each of whose steps the layer is applied


class MadeFrom(Protocol):
    """The file that a program was made of, and the overrides that it was checked with."""

    @property
    def source(self) -> Source: ...

    @property
    def overrides(self) -> Mapping[str, str | int | float]: ...

    def texts(self) -> dict[str, str]:
        """Return the texts of the file, "model.dl", and of those that it uses."""
        ...

    def __call__(self, sizes: Mapping[str, int]) -> Program | None:
        """Return the program with some sizes changed; None if that is an error."""
        ...


@dataclass(frozen=True, repr=False)
class Program:
    """A model with its optimizer and recipe; sizes are integers once all of them are bound."""

    name: str
    ports: tuple[Port, ...]
    parameters: tuple[Parameter, ...]
    states: tuple[State, ...]
    losses: tuple[Term, ...]
    metrics: tuple[Term, ...]
    outputs: tuple[Term, ...]
    updates: tuple[Update, ...]
    layers: tuple[Layer, ...]
    recipe: Recipe
    open_sizes: tuple[str, ...] = ()
    frozen: tuple[str, ...] = ()  # paths of parameters that are not trained
    limits: tuple[Limit, ...] = ()
    carries: tuple[tuple[str, Node], ...] = ()  # what the state of each cell is at the next step
    # states that are carried from batch to batch, and the ports that say where they begin anew
    streams: tuple[tuple[str, str], ...] = ()
    averages: tuple[Average, ...] = ()  # of parameters: for copies of layers, and for evaluation
    objectives: tuple[Objective, ...] = ()  # none: all parameters are trained on all losses
    scores: tuple[Node, ...] = ()  # values that a loss or a metric takes as raw scores
    probabilities: tuple[Node, ...] = ()  # values of words that give probabilities
    resized: MadeFrom | None = field(default=None, compare=False, repr=False)  # for other sizes
    warnings: tuple[Diagnostic, ...] = field(default=(), compare=False, repr=False)
    drawn: ClassVar[Callable[[Program], str] | None] = None  # set by the package that draws models

    def __repr__(self) -> str:
        count = sum(each.type.elements for each in self.parameters)
        sizes = f", symbolic sizes {', '.join(self.open_sizes)}" if self.open_sizes else ""
        ports = ", ".join(port.name for port in self.ports if "." not in port.name)
        return f"<Program {self.name}({ports}): {count} parameters{sizes}>"

    def _repr_html_(self) -> str | None:
        """The table of the layers and a drawing, for notebooks."""
        return None if Program.drawn is None else Program.drawn(self)

    def __copy__(self) -> Program:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Program:
        return self  # nothing in it changes

    def __reduce__(self) -> tuple[Callable[[bytes], Program], tuple[bytes]]:
        from specc.ir.pickled import packed  # `pickle` takes 2 ms to import

        return _unpacked, (packed({each.name: getattr(self, each.name) for each in fields(self)}),)

    @cached_property
    def digest(self) -> str:
        """A hash of the model, without anything that its compiled programs do not depend on."""
        from specc.ir.digest import digest  # a program from the cache folder has its hash

        names = (each.name for each in fields(self) if each.compare and each.name != "layers")
        facts = {name: getattr(self, name) for name in names}
        # data from Python may be any object
        facts["recipe"] = replace(self.recipe, data=None, validate=None, test=None)
        return digest(facts)

    @cached_property
    def loss_nodes(self) -> tuple[Node, ...]:
        """The nodes that the losses need, each after its inputs."""
        return topological([term.node for term in self.losses])


def _unpacked(pickled: bytes) -> Program:
    from specc.ir.pickled import unpacked

    return Program(**unpacked(pickled))
