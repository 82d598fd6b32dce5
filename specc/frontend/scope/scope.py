"""The names of a file, the frame of the body that is being walked, and what is built meanwhile.

Context   one for a check: the report, and the parameters, states and layers found so far
Scope     one for a file: its dimensions, constants and words, and those it uses
Frame     one for a body: the model's, or that of a definition at one of its uses
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from specc.diagnostics import Fix, Label, Report, closest
from specc.frontend.scope.values import (
    POISON,
    Poison,
    Sequence,
    Tensor,
    Value,
    Word,
    describe,
    excess,
)
from specc.frontend.syntax import ast
from specc.frontend.words import library
from specc.frontend.words.messages import ERRORS, SYNONYMS
from specc.ir.graph import Node, Origin, apply
from specc.ir.op import Op, ShapeError
from specc.ir.program import Layer, Parameter, State
from specc.ir.sizes import Undecided
from specc.ops.leaf import Input, leaf
from specc.ops.steps import lifted
from specc.source import Source, Span

DEEPEST = 40
"""How deeply definitions may use each other (each level takes about ten of Python's frames)."""

MOST_SUGGESTIONS = 100
"""The mistakes of a file for which similar names are looked for."""


class Mistake(Exception):
    """A mistake in the use of a word, found where its place is not known; `call` reports it."""

    def __init__(
        self, name: str, message: str, help: str | None = None, argument: int | None = None,
        open_sizes: Iterable[str] = (),
    ):  # fmt: skip
        super().__init__(message)
        self.name = name
        self.message = message
        self.help = help
        self.argument = argument
        self.open_sizes = sorted(open_sizes)  # the dimensions whose number would decide


class Misfit(Mistake):
    """Values of which one is a sequence, and another is not (`along` mends it), or is another one."""

    along: str = ""  # the sequence to whose every step the argument is to be given


@dataclass(eq=False)
class Context:
    """What one check builds."""

    report: Report
    overrides: Mapping[str, tuple[ast.Expression, Span]] = field(default_factory=dict)
    parameters: dict[str, Parameter] = field(default_factory=dict)
    paths: list[str] = field(default_factory=list)  # of the parameters, in their order
    leaves: dict[str, Node] = field(default_factory=dict)  # the input node of each parameter
    owners: dict[str, Any] = field(default_factory=dict)  # the shared layer of a parameter or state
    states: dict[str, State] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    listed: set[str] = field(default_factory=set)  # parameters that stand in the table of layers
    open_sizes: dict[str, Span] = field(default_factory=dict)
    first_uses: dict[Any, Span] = field(default_factory=dict)  # of shared layers
    varying: dict[str, Sequence] = field(default_factory=dict)  # sequences of varying length
    streams: dict[str, str] = field(default_factory=dict)  # state of a cell -> where it begins anew
    carries: dict[str, Node] = field(default_factory=dict)  # states of cells, at the next step
    entered: set[Any] = field(default_factory=set)  # the definitions of words that were used
    declared: dict[int, tuple[Any, frozenset[str]]] = field(default_factory=dict)  # names of bodies
    templates: dict[Any, Any] = field(default_factory=dict)  # uses of words, for their repeats
    calls: int = 0  # of words
    uses: int = 0  # those of them that are not within the library's words
    draws: int = 0  # random numbers that are drawn at each step
    lists_layers: bool = True
    has_unknown_inputs: bool = False  # a definition is walked that no model uses
    is_incomplete: bool = False  # a part of the file could not be read

    def carry_label(self, path: str) -> str:
        """A name for the state of a cell that may be used again with the same weights."""
        label, number = path, 1
        while label in self.carries:
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
    ) -> Poison:
        """Reports a mistake; gives the value of what is wrong."""
        assert name in ERRORS, f"`{name}` is not in the table of errors; please report this"
        self.report.error(name, message, span, labels=labels, notes=notes, help=help, fixes=fixes)
        return POISON


@dataclass(eq=False)
class Scope:
    """The names of one file."""

    context: Context
    source: Source | None
    is_library: bool = False
    definitions: dict[str, tuple[ast.Definition, Scope]] = field(default_factory=dict)
    numbers: dict[str, Value] = field(default_factory=dict)
    evaluating: set[str] = field(default_factory=set)
    library: Scope | None = None  # None: this is the library
    is_incomplete: bool = False  # a file that it uses could not be read: any name may be in there

    def word(self, name: str) -> Word | None:
        """The word `name` as this file sees it: its own, or one of the library."""
        found = self.definitions.get(name)
        if found is not None:
            definition, scope = found
            if isinstance(definition, WORDS):
                return Word(name, definition, scope)
            return None
        if self.library is not None:
            return self.library.word(name)
        definition = library.lookup(name)
        if definition is None:
            from specc.frontend.primitives import PRIMITIVES

            definition = PRIMITIVES.get(name)
            return Word(name, definition) if definition is not None else None
        word = Word(name, definition, self)
        self.definitions[name] = (definition, self)
        return word

    def word_names(self) -> set[str]:
        """All words that the file knows."""
        from specc.frontend.primitives import PRIMITIVES

        own = {name for name, (each, _) in self.definitions.items() if isinstance(each, WORDS)}
        return own | set(library.words()) | set(PRIMITIVES)

    def number_names(self) -> set[str]:
        return {name for name, (each, _) in self.definitions.items() if isinstance(each, NUMBERS)}


WORDS = (ast.Fn, ast.Block, ast.Cell, ast.Optimizer)
NUMBERS = (ast.Dim, ast.Seq, ast.Const)


@dataclass(eq=False)
class Namer:
    """Gives paths to the layers of one model, block or shared layer."""

    path: str
    counts: dict[str, int] = field(default_factory=dict)
    owner: Any = None  # the shared layer: parameters of the same path are its own
    in_table: bool = True

    def within(self, name: str) -> str:
        return f"{self.path}.{name}" if self.path else name

    def fresh(self, word: str) -> str:
        """The path of the next use of `word`."""
        self.counts[word] = self.counts.get(word, 0) + 1
        return self.within(f"{word}{self.counts[word]}")


@dataclass(eq=False)
class Frame:
    """A body that is being walked: its names, and where its mistakes are shown.

    `call` is set within the library: the user's call that led there, which is where mistakes are
    shown and what nodes have as their origin.
    """

    context: Context
    scope: Scope
    kind: str  # "file", "model", "fn", "block", "optimizer", "train"
    names: dict[str, Value] = field(default_factory=dict)
    places: dict[str, Span] = field(default_factory=dict)
    namer: Namer | None = None
    call: Span | None = None
    caller: Frame | None = None
    called_at: Span | None = None
    definition: Any = None
    word: str = ""
    depth: int = 0
    schedule: Mapping[str, Value] | None = None  # step, epoch, ..., where they have a meaning
    draw: Callable[[str, Tensor], Tensor] | None = None  # random numbers, for an initial value
    fans: Mapping[str, Value] | None = None  # fan_in and fan_out, while an initial value is built
    weights: Callable[[], Value] | None = None
    shared: Any = None  # the shared layer whose stages are walked
    body: tuple[ast.Statement, ...] = ()  # the statements that are walked

    def place(self, span: Span) -> Span:
        """Where a mistake at `span` is shown."""
        return self.call or span

    def error(self, name: str, message: str, span: Span, **more) -> Poison:
        """Reports a mistake of this body; tells which use led into a definition of the user."""
        labels = list(more.pop("labels", ()))
        if self.call is not None:
            labels = [label for label in labels if label.span.source is self.call.source]
            if any(
                e.span.source is not self.call.source
                for f in more.get("fixes", ())
                for e in f.edits
            ):
                more.pop("fixes")  # the library is not the user's to mend
        frame = self
        while frame is not None:
            if frame.call is None and frame.called_at is not None and frame.caller is not None:
                where = frame.caller.place(frame.called_at)
                if where != self.place(span) and isinstance(frame.definition, WORDS):
                    labels.append(Label(where, f"in this use of `{frame.definition.name.text}`"))
                break
            frame = frame.caller
        return self.context.error(name, message, self.place(span), labels=labels, **more)

    def declare(self, name: ast.Name, value: Value) -> None:
        """Gives `name` its value; a name that is taken is a mistake."""
        earlier = self.places.get(name.text)
        if earlier is None and self.kind == "model":
            definition, _ = self.scope.definitions.get(name.text, (None, None))
            if isinstance(definition, NUMBERS):
                earlier = definition.name.span
        if earlier is not None and earlier is not name.span:
            self.error(
                "duplicate-name",
                f"`{name.text}` is already there",
                name.span,
                labels=[Label(earlier, "first here")],
                help="give one of them another name",
            )
            return
        self.names[name.text] = value
        self.places[name.text] = name.span

    def known_names(self) -> set[str]:
        """All names that a value may be called by here."""
        return set(self.names) | self.scope.number_names() | set(self.schedule or ())

    @property
    def suggests(self) -> bool:
        """Whether similar names are looked for: not for each of very many mistakes."""
        return len(self.context.report) <= MOST_SUGGESTIONS

    def closest(self, name: str, candidates: Iterable[str]) -> str | None:
        """What a name was probably meant to be."""
        return closest(name, candidates, SYNONYMS) if self.suggests else None

    def suggestion(self, name: str, candidates: Iterable[str]) -> str | None:
        """The help for a name that is unknown."""
        found = self.closest(name, candidates)
        if found is not None:
            return f"did you mean `{found}`?"
        if (operator := SYNONYMS.get(name)) in ("@", "^"):
            return f"did you mean the operator `{operator}`?"
        return None

    def origin(self, span: Span) -> Origin:
        return Origin("", self.place(span), self.word)

    def uses(self, definition: Any) -> bool:
        """Whether this body is part of a use of `definition`."""
        frame: Frame | None = self
        while frame is not None:
            if frame.definition is definition:
                return True
            frame = frame.caller
        return False

    def open_labels(self, names: Iterable[str]) -> tuple[list[Label], str | None]:
        """The declarations of open dimensions, and the help that says how to decide them."""
        declared = self.context.open_sizes
        labels = [Label(declared[name], f"`{name}` is open") for name in names if name in declared]
        first = next((name for name in names if name in declared), None)
        return labels, f"give `{first}` a number: `dim {first} = ...`" if first else None

    def apply(self, op: Op, *operands: Tensor, span: Span, note: str = "") -> Tensor:
        """The tensor of `op`; raises Mistake. Its trail goes on from `flowing(operands)`."""
        sequence = common_sequence(operands)
        try:
            if sequence is None:
                node = apply(op, *(each.node for each in operands), origin=self.origin(span))
            else:
                node, sequence = self._at_each_step(op, operands, sequence, span)
        except ShapeError as error:
            raise Mistake("shape-mismatch", error.message, argument=error.argument) from None
        except Undecided as error:
            raise undecided(error.size) from None
        if (wrong := excess(node.type.shape)) is not None:
            raise Mistake("too-large", wrong)
        return Tensor(node, flowing(operands), sequence)

    def _at_each_step(self, op: Op, operands, sequence: Sequence, span: Span):
        """The node of `op` for all steps of a sequence, and the sequence (None: one value for all)."""
        moving = [each.sequence is not None for each in operands]
        leaves = [
            leaf(Input("step", str(position), each.type)) if each.sequence else each.node
            for position, each in enumerate(operands)
        ]
        one = apply(op, *leaves, origin=self.origin(span))
        node, moves = lifted(one, [each.node for each in operands], moving, sequence.size)
        return node, sequence if moves else None


def common_sequence(operands: Iterable[Tensor], allow_constants: bool = False) -> Sequence | None:
    """The sequence that some operands are; raises Misfit for operands that do not go together."""
    found = max(
        (each for each in operands if each.sequence is not None),
        default=None,
        key=lambda each: (each.sequence.begin is not None, each.sequence.mask is not None),
    )
    if found is None:
        return None
    sequence = found.sequence
    for position, each in enumerate(operands):
        if each.sequence is not None:
            if each.sequence.name != sequence.name:
                raise Misfit("shape-mismatch", f"these are different sequences: over `{sequence.name}`"
                             f" and over `{each.sequence.name}`", argument=position)  # fmt: skip
        elif each.type.batched and each.type.rank and not allow_constants:
            misfit = Misfit(
                "shape-mismatch", f"{describe(found)} is a sequence, and {describe(each)} is one value"
                " for all of its steps", argument=position,
                help=f"`along({sequence.name})` gives it to every step: `x -> along({sequence.name})`",
            )  # fmt: skip
            misfit.along = sequence.name
            raise misfit
    return sequence


def flowing(operands: Iterable[Value]):
    """The trail of the operand that differs between examples, or has most axes; the first of equal ones."""
    tensors = [each for each in operands if isinstance(each, Tensor)]
    best = max(tensors, key=lambda each: (each.type.batched, each.type.rank), default=None)
    return best.trail if best is not None else None


def undecided(size: Any) -> Mistake:
    """The mistake of a size that must be known, and is open."""
    from specc.ir.sizes import open_names

    names = sorted(open_names(size))
    listed = " and ".join(f"`{name}`" for name in names)
    return Mistake(
        "undecided-size", f"this depends on {listed}, whose number is open", open_sizes=names
    )


def name_result(node: Node, name: str) -> None:
    """Writes the user's name for a value into its node, which is still being built."""
    if not node.origin.name and node.op.name != "Input":
        origin = Origin(name, node.origin.span, node.origin.word)
        object.__setattr__(node, "origin", origin)


def callers(frame: Frame) -> Iterator[Frame]:
    """`frame` and those that led to it."""
    current: Frame | None = frame
    while current is not None:
        yield current
        current = current.caller
