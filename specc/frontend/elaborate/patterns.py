"""Types in signatures are patterns: `x: float[c, h, w]` takes an image and binds its sizes.

    match(callee, input, value)      # binds c, h and w in the callee's frame, or reports an error

A name that already has a value (a dimension, a setting, an earlier input's size) must agree. `t:
like(y)` takes a float with the shape of the input `y`; a constant fits all shapes.
"""

from __future__ import annotations

from dataclasses import field
from functools import cache

from specc.diagnostics import Edit, Fix, Label, closest, spelled
from specc.frontend.elaborate.dispatch import evaluate
from specc.frontend.elaborate.numbers import number_value
from specc.frontend.fix.fixes import wrapped
from specc.frontend.scope import provenance
from specc.frontend.scope.frame import BodyFrame, SharedLayer
from specc.frontend.scope.scope import NUMBERS, Word
from specc.frontend.scope.values import (
    MOST_ELEMENTS,
    POISON,
    AllWeights,
    Given,
    Several,
    Tensor,
    Value,
    describe,
    describe_type,
    excess,
    is_static,
)
from specc.frontend.syntax import ast
from specc.frontend.words.messages import OF_CLASSES
from specc.frontend.words.signatures import InputDeclared
from specc.ir import sizes
from specc.ir.sizes import Polynomial, Size
from specc.ir.types import Type
from specc.source import Span
from specc.system.records import dataclass

KINDS = {"float": "float", "class": "int", "bool": "bool"}
LIKE = "like"


@dataclass(eq=False)
class Match:
    """Matches the inputs of one call; errors are reported in the frame `caller`."""

    caller: BodyFrame
    callee: BodyFrame
    word: str
    call: Span
    is_stage: bool
    binders: dict[str, Given] = field(default_factory=dict)
    given: dict[str, Given] = field(default_factory=dict)  # accepted inputs, by name
    whole: set[str] = field(default_factory=set)  # sequences whose axis an input declares

    def accepts(self, declared: InputDeclared, given: Given) -> bool:
        """Return whether the value fits the input's type; otherwise report an error."""
        value, type_ = given.value, declared.type
        if isinstance(value, (Several, SharedLayer, AllWeights, Word, str)):
            return self._wrong_kind(declared, given)
        if type_ is None:
            return True
        if is_like(type_):
            return self._like(declared, given)
        kind = KINDS.get(type_.kind.text)
        if kind is None:
            unknown_type(self.callee, type_)
            return False
        if is_static(value):
            fits_kind = kind == "float" or (kind == "bool" and isinstance(value, bool))
            if not fits_kind or type_.axes:
                return self._wrong_kind(declared, given)
            return True
        assert isinstance(value, Tensor)
        actual = value.type.kind
        if actual != kind and not (kind == "float" and actual == "bool"):
            return self._wrong_kind(declared, given)
        has_axes = type_.axes is not None or kind != "float"
        if has_axes and not self._axes(declared, given, value, type_.axes or ()):
            return False
        if type_.classes is not None:
            classes = value.type.classes
            if classes is None:
                return self._wrong_kind(declared, given)
            return self._size(declared, given, type_.classes, classes, None)
        return True

    def _like(self, declared: InputDeclared, given: Given) -> bool:
        """Return whether the value is a float that fits the input named by `like`, or a constant.

        Only different numbers of elements are reported here; the formula reports other differences.
        """
        value, type_ = given.value, declared.type
        assert type_ is not None and isinstance(type_.classes, ast.Path)
        name = type_.classes.text
        if name not in self.callee.names:
            unknown_like(self.callee, type_)
            return False
        if is_static(value):
            return True
        assert isinstance(value, Tensor)
        if value.type.kind not in ("float", "bool"):
            return self._wrong_kind(declared, given)
        first = self.given.get(name)
        if first is None or not isinstance(first.value, Tensor):
            return True
        ranks = first.value.type.rank, value.type.rank
        if 0 not in ranks or sizes.same(first.value.type.elements, value.type.elements):
            return True
        texts = [provenance.excerpt(each.span, 32) for each in (first, given)]
        shapes = [_type_of(each) for each in (first, given)]
        self.caller.error(
            "shape-mismatch",
            f"`{self.word}` needs equal shapes, but `{texts[0]}` is {shapes[0]} and `{texts[1]}` is"
            f" {shapes[1]}",
            given.span,
            labels=[Label(first.span, shapes[0]), *self._stage_label()],
            notes=[*_story(first), *_story(given)],
            help=(
                f"take one element, `{texts[ranks.index(max(ranks))]}[0]`, or make the shapes equal"
            ),
        )
        return False

    def _axes(self, declared: InputDeclared, given: Given, value: Tensor, axes) -> bool:
        if value.sequence is not None and axes and sequence_name(self.callee, axes[0]) is not None:
            if not self._size(declared, given, axes[0].size, value.sequence.size, 0):
                return False
            self.whole.add(value.sequence.name)
            axes = axes[1:]
        elif (
            value.sequence is not None
            and len(axes) == value.type.rank + 1
            and has_indices(self.callee.definition)
        ):  # the function sees all time steps, because its formulas index them
            if not self._size(declared, given, axes[0].size, value.sequence.size, 0):
                return False
            self.whole.add(value.sequence.name)
            axes = axes[1:]
        if len(axes) != value.type.rank:
            return self._wrong_rank(declared, given, value, axes)
        for position, (axis, size) in enumerate(zip(axes, value.shape, strict=True)):
            if not self._size(declared, given, axis.size, size, position):
                return False
        return True

    def _size(
        self,
        declared: InputDeclared,
        given: Given,
        wanted: ast.Expression,
        size: Size,
        axis: int | None,
    ) -> bool:
        """Match one size of a value against the pattern; bind a new name to it."""
        name = None
        if isinstance(wanted, ast.Path) and len(wanted.names) == 1:
            name = wanted.names[0].text
            value = self._known(name)
            if value is None:
                self.callee.names[name] = size
                self.binders[name] = given
                return True
        else:
            value = evaluate(self.callee, wanted)
        if value is POISON:
            return False
        if isinstance(value, bool) or not isinstance(value, (int, Polynomial)):
            self.callee.error(
                "wrong-kind", f"a size must be an integer, not {describe(value)}", wanted.span
            )
            return False
        equal = sizes.same(value, size)
        return (
            True if equal else self._wrong_size(declared, given, wanted, name, value, size, equal)
        )

    def _known(self, name: str) -> Value | None:
        if name in self.callee.names:
            return self.callee.names[name]
        found = self.callee.scope.definitions.get(name)
        if found is not None and isinstance(found[0], NUMBERS):
            return number_value(found[1], found[0])
        return None

    def _wrong_kind(self, declared: InputDeclared, given: Given) -> bool:
        help_ = None
        if isinstance(given.value, Several):
            help_ = "name each of them: `let a, b = ...`"
        elif isinstance(given.value, Word):
            help_ = f"apply it: `{given.value.name}(x)`"
        elif (
            _is_class(given.value)
            and declared.type is not None
            and declared.type.kind.text == "float"
        ):
            help_ = "turn a class into a vector with `one_hot` or `embed(16)`"
        elif (
            declared.type is not None
            and declared.type.kind.text == "class"
            and isinstance(given.value, Tensor)
        ):
            help_ = "declare a class: `input word: class(50)`, `target label: class(10)`"
        elif (
            _is_class(given.value)
            and declared.type is not None
            and declared.type.kind.text == "bool"
        ):
            help_ = f"`{provenance.excerpt(given.span, 32)} == 1` is true for class 1"
        self.caller.error(
            "wrong-kind",
            f"`{self.word}` takes {_wanted(declared)}, not {describe(given.value)}",
            given.span,
            labels=self._stage_label(),
            help=help_,
        )
        return False

    def _wrong_rank(self, declared: InputDeclared, given: Given, value: Tensor, axes) -> bool:
        help_, fixes = None, []
        text = provenance.excerpt(given.span, 32)
        if len(axes) == 1 and value.type.rank > 1 and value.type.kind == "float":
            flat = sizes.show((value.type.elements,))
            if self.is_stage and self.caller.call is None:
                help_ = f"`-> flatten -> {self.word}` makes it {flat} first"
                at = Span(self.call.source, self.call.start, self.call.start)
                fixes = [Fix("flatten it first", (Edit(at, "flatten -> "),))]
            else:
                help_ = f"`flatten({text})` makes it {flat}"
                if self.caller.call is None:
                    fixes = [Fix("flatten it first", wrapped(given.span, "flatten("))]
        if not axes and value.type.rank == 1 and value.type.kind != "float":
            help_ = f"`{text}[0]` is the first of them"
        elif not axes and value.shape == (1,):
            help_ = f"`sum({text})` or `{text}[0]` is its only number"
        elif not axes and value.type.rank == 1 and self.word in OF_CLASSES:
            help_ = f"for scores and classes: `{OF_CLASSES[self.word]}({text}, ...)`"
            if value.shape == (2,):
                help_ = f"for class 1 of two: `{self.word}({text}[1] - {text}[0], ... == 1)`"
        elif len(axes) == 3 and value.type.rank == 1:
            help_ = "turn a vector into an image with `-> reshape(channels, height, width)`"
        what = "it is given" if self.is_stage else f"`{text}` is"
        actual = describe_type(value.type) + (" at each step" if value.sequence is not None else "")
        self.caller.error(
            "shape-mismatch",
            f"`{self.word}` takes {_wanted(declared)}, but {what} {actual}",
            self.call if self.is_stage else given.span,
            labels=[Label(given.span, actual)] if self.is_stage else (),
            notes=_story(given),
            help=help_,
            fixes=fixes,
        )
        return False

    def _wrong_size(
        self,
        declared: InputDeclared,
        given: Given,
        wanted: ast.Expression,
        name: str | None,
        value: Size,
        size: Size,
        equal: bool | None,
    ) -> bool:
        text = provenance.excerpt(given.span, 32)
        labels, notes = self._stage_label(), []
        pattern = " ".join(wanted.span.text.split())
        why = f"with {pattern} = {value}" if not pattern.isdigit() else ""
        actual = _type_of(given)
        if name in self.binders:
            source = self.binders[name]
            if source is not given:
                labels.append(Label(source.span, f"{_type_of(source)} makes {name} = {value}"))
                notes += _story(source)
            labels.append(Label(given.span, actual))
        notes += [note for note in _story(given) if note not in notes]
        if equal is None:
            doubt = (
                f"`{self.word}` takes {_wanted(declared)} {why}: cannot prove that {size} is"
                f" {value}"
            )
            open_labels, help_ = self.caller.open_labels(sorted(sizes.open_names(size - value)))
            labels += open_labels
            self.caller.error(
                "undecided-size", doubt, given.span, labels=labels, notes=notes, help=help_
            )
            return False
        self.caller.error(
            "shape-mismatch",
            " ".join(
                f"`{self.word}` takes {_wanted(declared)} {why}, but `{text}` is {actual}".split()
            ).replace(" ,", ","),
            given.span,
            labels=labels,
            notes=notes,
        )
        return False

    def _stage_label(self) -> list[Label]:
        return [Label(self.call, f"`{self.word}` is applied here")] if self.is_stage else []


@cache
def has_indices(definition: ast.Node) -> bool:
    """Return whether a definition has formulas with indices."""
    return any(
        isinstance(each, ast.Over) or (isinstance(each, ast.Let) and bool(each.indices))
        for each in ast.walk(definition)
    )


def is_like(type_: ast.Type) -> bool:
    """Return whether a type is `like(y)`, the shape of another input."""
    return type_.kind.text == LIKE and isinstance(type_.classes, ast.Path) and type_.axes is None


def _is_class(value: Value) -> bool:
    return isinstance(value, Tensor) and value.type.kind == "int" and value.type.classes is not None


def _wanted(declared: InputDeclared) -> str:
    if declared.type is None:
        return f"a value like `{declared.name}`"
    return f"`{declared.name}: {' '.join(declared.type.span.text.split())}`"


def _type_of(given: Given) -> str:
    """Return the type of a given tensor in the language's syntax."""
    assert isinstance(given.value, Tensor), "only tensors have sizes; please report this"
    return describe_type(given.value.type)


def _story(given: Given) -> list[str]:
    value = given.value
    if not isinstance(value, Tensor):
        return []
    text = f"`{provenance.excerpt(given.span, 32)}`" if given.expression is not None else "it"
    note = provenance.story(text, value.shape, value.provenance)
    return [note] if note else []


def unknown_type(frame: BodyFrame, tree: ast.Type) -> None:
    near = closest(tree.kind.text, KINDS, {"real": "float", "boolean": "bool", "tensor": "float"})
    frame.error(
        "unknown-name",
        f"unknown type `{tree.kind.text}`",
        tree.kind.span,
        help=f"did you mean `{near}`?" if near else "types are `float`, `class` and `bool`",
        fixes=spelled(near, tree.kind.span),
    )


def unknown_like(frame: BodyFrame, tree: ast.Type) -> None:
    """Report `like(y)` without an earlier input `y`."""
    name = tree.classes
    assert isinstance(name, ast.Path), "`like` names an input; please report this"
    frame.error(
        "unknown-name",
        f"`like` must name an earlier input, but there is no `{name.text}`",
        name.span,
    )


def sequence_name(frame: BodyFrame, axis: ast.Axis) -> str | None:
    """Return the name of the sequence that an axis is, or None."""
    tree = axis.size
    if isinstance(tree, ast.Path) and len(tree.names) == 1:
        found = frame.scope.definitions.get(tree.names[0].text)
        if found is not None and isinstance(found[0], ast.Seq):
            return tree.names[0].text
    return None


def declared_type(
    frame: BodyFrame, tree: ast.Type, batched: bool, sequences: bool = False
) -> Type | None:
    """Return the type of a declaration (an input, a parameter); None after an error.

    The axis of a sequence is part of the shape, and is allowed only with `sequences`.
    """
    kind = KINDS.get(tree.kind.text)
    if kind is None:
        unknown_type(frame, tree)
        return None
    good = True
    if (tree.kind.text == "class") != (tree.classes is not None):
        message = (
            "a `class` needs the number of classes: `class(10)`"
            if tree.classes is None
            else f"`{tree.kind.text}` takes its sizes in brackets: `{tree.kind.text}[...]`"
        )
        frame.error("wrong-kind", message, tree.span)
        good = False
    shape = []
    for position, axis in enumerate(tree.axes or ()):
        name = sequence_name(frame, axis)
        if name is not None and not sequences:
            frame.error(
                "misplaced",
                f"`{name}` is a sequence, which only inputs, targets and parameters can be"
                if batched
                else f"`{name}` is a sequence, and a parameter of a cell is not one",
                axis.span,
                help=f"remove `{name}`: this is the same at each time step, or carried to the next",
            )
            good = False
            continue
        if name is not None and axis.at_most and not batched:
            frame.error(
                "misplaced",
                "a parameter is the same for all examples, so its length cannot vary",
                axis.span,
                help=f"remove `<=`: it has all steps of `{name}`",
            )
            good = False
            continue
        if name is not None and position and batched:
            frame.error(
                "misplaced",
                f"`{name}` is a sequence: put it first",
                axis.span,
                help=f"write `{tree.kind.text}{'(...)' if tree.classes else ''}[{name}, ...]`",
            )
            good = False
            continue
        if axis.at_most and name is None:
            frame.error(
                "misplaced",
                "only a sequence can vary in length",
                axis.span,
                help=(
                    "declare one with `seq time = 50`; `[<= time]` is a sequence of at most that"
                    " many steps"
                ),
            )
            good = False
            continue
        value = evaluate(frame, axis.size)
        for each in value.items if isinstance(value, Several) else (value,):  # of a window
            size = _declared_size(frame, axis.size, each)
            if size is None:
                good = False
            else:
                shape.append(size)
    classes = None
    if tree.classes is not None and good:
        classes = _declared_size(frame, tree.classes, evaluate(frame, tree.classes))
        good = classes is not None
    if good and (wrong := excess(tuple(shape))) is not None:
        # report the largest axis; within the library, report the user's call
        _, largest = max((size, at) for at, size in enumerate(shape) if isinstance(size, int))
        axis = (tree.axes or ())[min(largest, len(tree.axes or ()) - 1)]
        frame.error(
            "too-large",
            wrong,
            axis.span,
            help=(
                f"`{' '.join(axis.span.text.split())}` is {shape[largest]:,}"
                if not axis.span.text.isdigit()
                else None
            ),
        )
        good = False
    elif good and tree.classes and isinstance(classes, int) and classes > MOST_ELEMENTS:
        frame.error(
            "too-large",
            f"a class can have at most {MOST_ELEMENTS:,} classes, not {classes:,}",
            tree.classes.span,
        )
        good = False
    return Type(kind, tuple(shape), batched, classes) if good else None


def _declared_size(frame: BodyFrame, tree: ast.Expression, value: Value) -> Size | None:
    if value is POISON:
        return None
    if isinstance(value, Polynomial):
        return value
    if isinstance(value, bool) or not isinstance(value, int):
        frame.error("wrong-kind", f"a size must be an integer, not {describe(value)}", tree.span)
        return None
    if value < 1:
        frame.error("bad-number", f"a size must be at least 1, not {value}", tree.span)
        return None
    return value
