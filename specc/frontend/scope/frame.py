"""The body that is being elaborated: the model's, or that of a definition at one of its uses.

frame.names["x"]                            # the value of a name
frame.apply(Mul(), x, y, span=span)         # a node, with its location and its provenance
frame.error("bad-number", message, span)    # POISON, and a diagnostic at the user's call
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import field, replace
from typing import Any

from specc.diagnostics import About, Label, closest
from specc.frontend.scope.errors import Misfit, OperandError, undecided
from specc.frontend.scope.provenance import Derivation
from specc.frontend.scope.scope import MOST_SUGGESTIONS, NUMBERS, WORDS, Context, Namer, Scope
from specc.frontend.scope.values import (
    Applicable,
    Poison,
    RunningIndex,
    Sequence,
    Tensor,
    Value,
    describe,
    excess,
)
from specc.frontend.syntax import ast
from specc.frontend.words.messages import SYNONYMS
from specc.ir.graph import Node, Origin, apply
from specc.ir.op import Form, Op, ShapeError
from specc.ir.sizes import Size, Undecided
from specc.ops.broadcast import Broadcast
from specc.ops.leaf import Input, Role, leaf
from specc.ops.steps import lift_one, lifted
from specc.source import Span
from specc.system.records import dataclass


@dataclass(eq=False)
class BodyFrame:
    """A body that is being elaborated: its names, and where its errors are shown.

    `call` is set inside the library: it is the user's call that led there, at which errors are
    shown, and the origin of the nodes.
    """

    context: Context
    scope: Scope
    kind: str  # "file", "model", "fn", "block", "optimizer", "train"
    names: dict[str, Value | None] = field(default_factory=dict)
    spans: dict[str, Span] = field(default_factory=dict)
    namer: Namer | None = None
    call: Span | None = None
    caller: BodyFrame | None = None
    called_at: Span | None = None
    definition: Any = None
    word: str = ""
    depth: int = 0
    schedule: Mapping[str, Value] | None = None  # step, epoch, ..., where they have a meaning
    draw: Callable[[str, Tensor], Tensor] | None = None  # random numbers, for an initial value
    fans: Mapping[str, Value] | None = None  # fan_in and fan_out, while an initial value is built
    weights: Callable[[], Value] | None = None
    gradients: Callable[[], Value] | None = None
    again: Callable[[Tensor], Tensor] | None = None  # the gradient at another value
    shared: Any = None  # the shared layer whose stages are elaborated
    hidden: frozenset[str] = frozenset()  # the sequences to whose time steps the body is applied
    known: dict[ast.Node, Value] = field(default_factory=dict)  # values in a formula
    running: dict[str, RunningIndex] = field(default_factory=dict)  # the indices of a formula
    bound: dict[ast.Over, list[Any]] = field(default_factory=dict)  # the indices of reductions
    body: tuple[ast.Statement, ...] = ()  # the statements that are elaborated
    walk: Any = None  # of a cell: its states

    @property
    def naming(self) -> Namer:
        """Return the namer of a body that is known to have layers."""
        assert self.namer is not None, f"a {self.kind} names no layers; please report this"
        return self.namer

    def location(self, span: Span) -> Span:
        """Return where an error at `span` is shown."""
        return self.call or span

    def index_error(self, message: str, span: Span, **more) -> Poison:
        """Report an error about an index, which covers the names within its location."""
        return self.error("bad-index", message, span, about=About.INDEX, **more)

    def error(self, name: str, message: str, span: Span, **more) -> Poison:
        """Report an error of this body, with labels at the uses of the user's definitions."""
        labels = list(more.pop("labels", ()))
        if self.call is not None:
            labels = [label for label in labels if label.span.source is self.call.source]
            if any(
                e.span.source is not self.call.source
                for f in more.get("fixes", ())
                for e in f.edits
            ):
                more.pop("fixes")  # the user cannot change the library
        frame: BodyFrame | None = self
        while frame is not None:
            if frame.call is None and frame.called_at is not None and frame.caller is not None:
                where = frame.caller.location(frame.called_at)
                if where != self.location(span) and isinstance(frame.definition, WORDS):
                    labels.append(Label(where, f"in this use of `{frame.definition.name.text}`"))
                break
            frame = frame.caller
        return self.context.error(name, message, self.location(span), labels=labels, **more)

    def declare(self, name: ast.Name, value: Value) -> None:
        """Give `name` its value; report a name that is already defined."""
        earlier = self.spans.get(name.text)
        if earlier is None and self.kind == "model":
            definition, _ = self.scope.definitions.get(name.text, (None, None))
            if isinstance(definition, NUMBERS):
                earlier = definition.name.span
        if earlier is not None and earlier is not name.span:
            self.error(
                "duplicate-name",
                f"`{name.text}` is already defined",
                name.span,
                labels=[Label(earlier, "first defined here")],
                help="rename one of them",
            )
            return
        self.names[name.text] = value
        self.spans[name.text] = name.span

    def once(self, spans: dict[str, Span], name: str, span: Span) -> None:
        """Note where a name is given in `spans`, and report a name that is given twice."""
        if name in spans:
            self.error(
                "duplicate-name",
                f"`{name}` is already defined",
                span,
                labels=[Label(spans[name], "first defined here")],
            )
        spans.setdefault(name, span)

    def known_names(self) -> set[str]:
        """Return all names of values that are visible here."""
        return set(self.names) | self.scope.number_names() | set(self.schedule or ())

    @property
    def suggests(self) -> bool:
        """Return whether similar names are suggested; they are not for very many errors."""
        return len(self.context.report) <= MOST_SUGGESTIONS

    def closest(self, name: str, candidates: Iterable[str]) -> str | None:
        """Return the candidate that a name was probably meant to be."""
        return closest(name, candidates, SYNONYMS) if self.suggests else None

    def suggestion(self, name: str, candidates: Iterable[str]) -> str | None:
        """Return the help for an unknown name."""
        found = self.closest(name, candidates)
        if found is not None:
            return f"did you mean `{found}`?"
        if (operator := SYNONYMS.get(name)) in ("@", "^"):
            return f"did you mean the operator `{operator}`?"
        return None

    def origin(self, span: Span) -> Origin:
        return Origin("", self.location(span), self.word)

    def uses(self, definition: Any) -> bool:
        """Return whether this body is part of a use of `definition`."""
        frame: BodyFrame | None = self
        while frame is not None:
            if frame.definition is definition:
                return True
            frame = frame.caller
        return False

    def open_labels(self, names: Iterable[str]) -> tuple[list[Label], str | None]:
        """Return labels at the declarations of symbolic dimensions, and the help to decide them."""
        declared = self.context.open_sizes
        labels = [
            Label(declared[name], f"`{name}` is symbolic") for name in names if name in declared
        ]
        first = next((name for name in names if name in declared), None)
        return labels, f"give `{first}` a number: `dim {first} = ...`" if first else None

    def apply(self, op: Op, *operands: Tensor, span: Span, note: str = "") -> Tensor:
        """Return the tensor of `op`, with provenance from `flowing(operands)`.

        Raises OperandError.
        """
        sequence = common_sequence(operands)
        indices = common_indices(operands)
        try:
            if indices:
                return self._at_each_index(op, operands, sequence, indices, span)
            if sequence is None:
                node = apply(op, *(each.node for each in operands), origin=self.origin(span))
            else:
                node, sequence = self._at_each_step(op, operands, sequence, span)
        except ShapeError as error:
            raise OperandError("shape-mismatch", error.message, argument=error.argument) from None
        except Undecided as error:
            raise undecided(error.size) from None
        if (wrong := excess(node.type.shape)) is not None:
            raise OperandError("too-large", wrong)
        return Tensor(node, flowing(operands), sequence)

    def _at_each_index(
        self,
        op: Op,
        operands: tuple[Tensor, ...],
        sequence: Sequence | None,
        indices: tuple[RunningIndex, ...],
        span: Span,
    ) -> Tensor:
        """Return the tensor of `op` for all values of indices, which may be time steps."""
        origin = self.origin(span)
        if op.form is Form.ELEMENT:
            nodes = [widened(each, sequence, indices) for each in operands]
            node = apply(op, *nodes, origin=origin)
            return Tensor(node, flowing(operands), sequence, indices=indices)
        levels: list[RunningIndex | Sequence] = [
            *reversed(indices),
            *([sequence] if sequence else []),
        ]
        now = [
            leaf(Input(Role.STEP, str(position), each.type)) if each.lead else each.node
            for position, each in enumerate(operands)
        ]
        root, moving = apply(op, *now, origin=origin), []
        for level in levels:
            put: dict[Node, Node] = {}
            for position, each in enumerate(operands):
                own = [*reversed(each.indices), *([sequence] if each.sequence else [])]
                if level not in own:
                    continue
                type_ = now[position].type
                type_ = replace(type_, shape=(level.size, *type_.shape))
                name = f"{position}.{len(type_.shape)}"
                made = each.node if own[-1] is level else leaf(Input(Role.STEP, name, type_))
                put[now[position]] = made
                now[position] = made
            root, moves = lift_one(root, put, level.size)
            if moves:
                moving.append(level)
        kept = tuple(each for each in indices if each in moving)
        over = sequence if sequence in moving else None
        return Tensor(root, flowing(operands), over, indices=kept)

    def _at_each_step(self, op: Op, operands, sequence: Sequence, span: Span):
        """Return the node of `op` for all time steps, and the sequence (None: one for all)."""
        moving = [each.sequence is not None for each in operands]
        leaves = [
            leaf(Input(Role.STEP, str(position), each.type)) if each.sequence else each.node
            for position, each in enumerate(operands)
        ]
        one = apply(op, *leaves, origin=self.origin(span))
        node, moves = lifted(one, [each.node for each in operands], moving, sequence.size)
        return node, sequence if moves else None


@dataclass(frozen=True, slots=True, eq=False)
class LayerCopy:
    """The values that a copy of a layer uses in place of its weights.

    `kind` is "fixed" or "running"; `path` is that of the copy. A moving mean has weights of its own
    there; each training step moves them towards those of the `original` by the fraction `rate`.
    """

    kind: str
    original: SharedLayer
    path: str
    rate: float


@dataclass(frozen=True, slots=True, eq=False)
class SharedLayer(Applicable):
    """A shared layer, `layer tower = dense(64) -> relu`: stages with one set of weights."""

    what = "layer"
    path: str
    statement: ast.Layer
    frame: BodyFrame
    copy: LayerCopy | None = None

    @property
    def base(self) -> SharedLayer:
        """Return the layer that owns the weights."""
        return self if self.copy is None else self.copy.original


def common_sequence(operands: Iterable[Tensor], allow_constants: bool = False) -> Sequence | None:
    """Return the common sequence of some operands. Raises Misfit if there is none."""
    found = max(
        (each for each in operands if each.sequence is not None),
        default=None,
        key=lambda each: (each.over.begin is not None, each.over.mask is not None),
    )
    if found is None:
        return None
    sequence = found.over
    for position, each in enumerate(operands):
        if each.sequence is not None:
            if each.sequence.name != sequence.name:
                raise Misfit(
                    "shape-mismatch",
                    f"these are different sequences: over `{sequence.name}`"
                    f" and over `{each.sequence.name}`",
                    argument=position,
                )
        elif each.type.batched and each.type.rank and not allow_constants:
            misfit = Misfit(
                "shape-mismatch",
                f"{describe(found)} is a sequence, but {describe(each)} is one value"
                " for all time steps",
                argument=position,
                help=(
                    f"`along({sequence.name})` repeats it at every time step: `x ->"
                    f" along({sequence.name})`"
                ),
            )
            misfit.along = sequence.name
            raise misfit
    return sequence


def common_indices(operands: Iterable[Tensor]) -> tuple[RunningIndex, ...]:
    """Return the indices of some operands, in order.

    Raises OperandError for a variable-length axis.
    """
    found: dict[RunningIndex, None] = {}
    for position, each in enumerate(operands):
        found.update(dict.fromkeys(each.indices))
        axis = next((k for k, s in enumerate(each.within) if s is not None and s.mask), None)
        if axis is not None:
            over = each.within[axis]
            assert over is not None
            raise OperandError(
                "bad-index",
                f"axis {axis + 1} runs over `{over.name}`, a variable-length sequence: only"
                " formulas with indices may read it",
                argument=position,
                help="write the formula with an index for it, as in `sum(u: s[t, u])`",
            )
    return tuple(sorted(found, key=lambda index: index.order))


def widened(tensor: Tensor, sequence: Sequence | None, indices: tuple[RunningIndex, ...]) -> Node:
    """Return the node of a value, broadcast to the axes of a sequence and of some indices."""
    axes: list[int] = []
    shape: list[Size] = []
    if sequence is not None:
        if tensor.sequence is not None:
            axes.append(0)
        shape.append(sequence.size)
    for each in indices:
        if each in tensor.indices:
            axes.append(len(shape))
        shape.append(each.size)
    axes += range(len(shape), len(shape) + len(tensor.shape))
    shape += tensor.shape
    if len(axes) == len(shape):
        return tensor.node
    return apply(Broadcast(tuple(shape), tuple(axes)), tensor.node)


def flowing(operands: Iterable[Value]) -> Derivation | None:
    """Return the provenance of the main operand.

    That is the first one that differs between examples, or else the first with most axes.
    """
    tensors = [each for each in operands if isinstance(each, Tensor)]
    best = max(tensors, key=lambda each: (each.type.batched, each.type.rank), default=None)
    return best.provenance if best is not None else None


def name_result(node: Node, name: str) -> None:
    """Set the user's name for a value in its node, which is still being built."""
    if not node.origin.name and node.op.name != "Input":
        origin = Origin(name, node.origin.span, node.origin.word)
        object.__setattr__(node, "origin", origin)


def callers(frame: BodyFrame) -> Iterator[BodyFrame]:
    """Yield `frame` and the frames that led to it."""
    current: BodyFrame | None = frame
    while current is not None:
        yield current
        current = current.caller
