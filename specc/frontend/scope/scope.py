"""The names of a file, and the state of a check.

Context   one per check: the report, and the parameters, states and layers found so far
Scope     one per file: its dimensions, constants and definitions, and those it imports
Namer     one per model, block or shared layer: the paths of its layers
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import field
from typing import Any

from specc.diagnostics import About, Fix, Label, Report
from specc.frontend.scope.values import POISON, Applicable, Given, Poison, Sequence, Value
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.frontend.words.messages import ERRORS
from specc.frontend.words.signatures import Primitive
from specc.ir.graph import Node
from specc.ir.program import Average, Layer, Parameter, State
from specc.source import Source, Span
from specc.system.records import dataclass

DEEPEST = 40
"""How deeply calls of definitions may be nested (a level takes about ten Python frames)."""

MOST_SUGGESTIONS = 100
"""The number of errors for which similar names are suggested."""


@dataclass(eq=False)
class Context:
    """The state of one check."""

    report: Report
    overrides: Mapping[str, ast.Expression] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)  # of the parameters, in their order
    leaves: dict[str, Node] = field(default_factory=dict)  # the input node of each parameter
    owners: dict[str, Any] = field(default_factory=dict)  # the shared layer of a parameter or state
    states: dict[str, State] = field(default_factory=dict)
    averages: dict[str, Average] = field(default_factory=dict)  # states that follow parameters
    layers: list[Layer] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)  # parameters in the table of layers
    open_sizes: dict[str, Span] = field(default_factory=dict)
    first_uses: dict[Any, Span] = field(default_factory=dict)  # of shared layers
    varying: dict[str, Sequence] = field(default_factory=dict)  # variable-length sequences
    streams: dict[str, str] = field(
        default_factory=dict
    )  # state of a cell -> the port that resets it
    carries: dict[str, Node] = field(default_factory=dict)  # states of cells at the next step
    entered: set[Any] = field(default_factory=set)  # the definitions that were used
    declared: dict[int, tuple[Any, frozenset[str]]] = field(default_factory=dict)  # names of bodies
    templates: dict[Any, Any] = field(default_factory=dict)  # elaborated calls, for equal ones
    scores: list[Node] = field(default_factory=list)  # inputs of functions that take raw scores
    probabilities: list[Node] = field(
        default_factory=list
    )  # results of functions with values from 0 to 1
    calls: int = 0  # the number of calls
    uses: int = 0  # the calls that are not inside library functions
    draws: int = 0  # the random draws in each step
    joined: int = 0  # the states of cells in cells
    lists_layers: bool = True
    has_unknown_inputs: bool = False  # an unused definition is being checked
    is_incomplete: bool = False  # a part of the file could not be read

    def carry_label(self, path: str, taken: Iterable[str] = ()) -> str:
        """Return a name for the state of a cell, unique among uses of the same weights."""
        label, number = path, 1
        while label in self.carries or label in taken:
            number += 1
            label = f"{path}#{number}"
        return label

    def error(
        self,
        name: str,
        message: str,
        span: Span,
        labels: Iterable[Label] = (),
        notes: Iterable[str] = (),
        help: str | None = None,
        fixes: Iterable[Fix] = (),
        about: About | None = None,
    ) -> Poison:
        """Report an error. Return the value of the wrong expression."""
        assert name in ERRORS, f"`{name}` is not in the table of errors; please report this"
        self.report.error(
            name, message, span, labels=labels, notes=notes, help=help, fixes=fixes, about=about
        )
        return POISON


@dataclass(frozen=True, slots=True, eq=False)
class Word(Applicable):
    """A function, layer or cell: a definition with the scope of its file, or a primitive."""

    what = "word"
    definition: ast.WordDefinition | Primitive
    scope: Scope | None = None
    settings: Mapping[str, Given] = field(
        default_factory=dict
    )  # the settings that are already given
    named_at: Span | None = None  # the user's setting that names it

    @property
    def is_library(self) -> bool:
        return self.scope is None or self.scope.is_library


@dataclass(eq=False)
class Scope:
    """The names of a file."""

    context: Context
    source: Source | None
    is_library: bool = False
    definitions: dict[str, tuple[ast.Definition, Scope]] = field(default_factory=dict)
    numbers: dict[str, Value] = field(default_factory=dict)
    evaluating: set[str] = field(default_factory=set)
    library: Scope | None = None  # None for the library itself
    primitives: Mapping[str, Primitive] = field(default_factory=dict)  # of the library
    is_incomplete: bool = False  # an imported file could not be read: it may define any name

    def word(self, name: str) -> Word | None:
        """Return the definition `name` of this file, or else of the library."""
        found = self.definitions.get(name)
        if found is not None:
            definition, scope = found
            if isinstance(definition, WORDS):
                return Word(name, definition, scope)
            return None
        if self.library is not None:
            return self.library.word(name)
        shipped = library.lookup(name)
        if shipped is None:
            builtin = self.primitives.get(name)
            return Word(name, builtin) if builtin is not None else None
        word = Word(name, shipped, self)
        self.definitions[name] = (shipped, self)
        return word

    def word_names(self) -> set[str]:
        """Return the names of all definitions that the file can use."""
        own = {name for name, (each, _) in self.definitions.items() if isinstance(each, WORDS)}
        return own | set(library.words()) | set((self.library or self).primitives)

    def number_names(self) -> set[str]:
        return {name for name, (each, _) in self.definitions.items() if isinstance(each, NUMBERS)}


WORDS = (ast.Fn, ast.Block, ast.Cell, ast.Optimizer)
NUMBERS = (ast.Dim, ast.Seq, ast.Const)


@dataclass(eq=False)
class Namer:
    """The paths of the layers of one model, block or shared layer."""

    path: str
    counts: dict[str, int] = field(default_factory=dict)
    owner: Any = None  # the shared layer, which owns the parameters of the same path
    in_table: bool = True

    def within(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def fresh(self, word: str) -> str:
        """Return the path of the next call of `word`."""
        self.counts[word] = self.counts.get(word, 0) + 1
        return self.within(f"{word}{self.counts[word]}")
