"""Determines the range of each index of a formula before the formula is evaluated.

    ranges(frame, binders, formula)     # binds i to 0 .. 7 in `let y[i] = x[i] + 1` of x [8]

An index runs through the axis for which it is used alone. If there is none, it runs as far as the
sums that contain it stay on their axes. A range can also be written. Finally every occurrence is
checked.
"""

from __future__ import annotations

from specc.diagnostics import Label
from specc.frontend.elaborate.binders import Binder, Occurrence, base, bound_names, shown, used
from specc.frontend.elaborate.formula import FormulaWalk
from specc.frontend.scope.values import POISON, IndexPart, RunningIndex, Sequence, describe
from specc.frontend.syntax import ast
from specc.ir import sizes
from specc.ir.sizes import Polynomial, Size, Undecided
from specc.system.records import dataclass


@dataclass(eq=False)
class Ranges(FormulaWalk):
    """The ranges of a formula's indices."""

    def resolve(self) -> None:
        """Give every index its range."""
        for each in self.binders:
            if each.bind is not None and each.bind.start is not None:
                self._written(each)
        while self.is_good:
            self._from_axes()
            self._as_far_as_possible()
            self._from_comparisons()
            ready = [
                (node, names)
                for node, names in self.waiting
                if all(b is None or b.size is not None for b in used(node.value, names))
            ]
            if not ready or not self.is_good:
                break
            for node, names in ready:
                self.waiting.remove((node, names))
                with_indices = {k: b for k, b in names.items() if b is not None}
                with bound_names(self.frame, with_indices.values()):
                    value = self.known(node.value)
                self._read(node, value, names)
        if not self.is_good:
            return
        for each in self.binders:
            if each.size is None:
                self._unknown(each)
        if self.is_good:
            self._check()

    def _written(self, binder: Binder) -> None:
        assert binder.bind is not None and binder.bind.start is not None
        ends = []
        for tree in (binder.bind.start, binder.bind.stop):
            assert tree is not None
            value = self.known(tree)
            if value is POISON:
                self.is_good = False
                return
            if isinstance(value, bool) or not isinstance(value, (int, Polynomial)):
                self.error(
                    "wrong-kind",
                    f"the range of an index must end at an integer, not at {describe(value)}",
                    tree.span,
                    help="for example, `i in 0:n` runs from 0 to n - 1",
                )
                return
            ends.append(value)
        size = ends[1] - ends[0]
        if isinstance(size, int) and size < 1:
            self.index_error(
                f"the range of `{binder.name}` is empty: it goes from {ends[0]} up to, but not"
                f" including, {ends[1]}",
                binder.bind.span,
            )
            return
        binder.start, binder.size = ends[0], size
        binder.sequence = self._named_sequence(binder.bind, size)

    def _named_sequence(self, bind: ast.Bind, size: Size) -> Sequence | None:
        """Return the sequence that a range `0:time` names: the one of `seq time`, unless its length
        varies."""
        start, stop, frame = bind.start, bind.stop, self.frame
        if not isinstance(start, ast.Number) or not isinstance(stop, ast.Path):
            return None
        name = stop.text
        definition, _ = frame.scope.definitions.get(name, (None, None))
        is_sequence = isinstance(definition, ast.Seq) and name not in frame.names
        if not is_sequence or start.value != 0 or name in frame.context.varying:
            return None
        return Sequence(name, size)

    def _from_axes(self) -> None:
        """Give indices the range of the axis for which they are used alone."""
        for binder in self.binders:
            alone = [each for each in binder.places if each.alone is binder]
            if not alone:
                continue
            first = max(alone, key=_over_steps)
            if binder.size is None:
                binder.size, binder.source = alone[0].size, alone[0]
            whole = binder.start == 0 and sizes.same(binder.size, first.size)
            if first.sequence is not None and whole:
                if binder.sequence is None:
                    binder.sequence = first.sequence
                self._one_sequence(binder, alone)
            if binder.source is None:
                continue
            for each in alone:
                self._agree(binder, binder.source, each)

    def _one_sequence(self, binder: Binder, alone: list[Occurrence]) -> None:
        named = [each for each in alone if each.sequence is not None]
        for each in named[1:]:
            assert each.sequence is not None and named[0].sequence is not None
            if each.sequence.name != named[0].sequence.name:
                self.error(
                    "shape-mismatch",
                    f"the index `{binder.name}` runs over `{named[0].sequence.name}` in"
                    f" `{shown(named[0])}`, and over `{each.sequence.name}` in `{shown(each)}`",
                    each.span,
                    labels=[Label(named[0].span, f"over `{named[0].sequence.name}`")],
                    help="use a separate index for each sequence",
                )
                return

    def _agree(self, binder: Binder, one: Occurrence, other: Occurrence) -> None:
        equal = sizes.same(one.size, other.size)
        if equal or not self.is_good:
            return
        both = (
            f"`{binder.name}` runs through axis {one.axis} of {base(one)}, which is {one.size},"
            f" and axis {other.axis} of {base(other)}, which is {other.size}"
        )
        labels = [Label(one.span, f"0 to {one.size - 1}")]
        if equal is None:
            self.error(
                "undecided-size",
                f"{both}: cannot prove that these are equal",
                other.span,
                labels=labels,
            )
            return
        least = min(one.size, other.size) if _are_numbers(one.size, other.size) else one.size
        self.error(
            "shape-mismatch",
            both,
            other.span,
            labels=labels,
            help=f"use a common part: `{binder.name} in 0:{least}`",
        )

    def _as_far_as_possible(self) -> None:
        """Give an index that is never alone the range that keeps its occurrences on their axes."""
        changed = True
        while changed:
            changed = False
            for binder in self.binders:
                if binder.size is not None:
                    continue
                found = [r for each in binder.places if (r := _room(binder, each)) is not None]
                if not found:
                    continue
                size = found[0]
                for each in found[1:]:
                    size = min(size, each) if _are_numbers(size, each) else size
                if isinstance(size, int) and size < 1:
                    return
                binder.size, changed = size, True

    def _from_comparisons(self) -> None:
        """Give an index without brackets the range of an index that it is compared with."""
        for one, other in (*self.pairs, *((b, a) for a, b in self.pairs)):
            if one.size is None and other.size is not None and not one.places:
                one.start, one.size, one.sequence = other.start, other.size, other.sequence

    def _unknown(self, binder: Binder) -> None:
        if not binder.places:
            where = "on the left" if binder.is_axis else "before the `:`"
            self.index_error(
                f"the index `{binder.name}` is bound {where}, but not used in brackets",
                binder.span,
                help=f"give its range: `{binder.name} in 0:n`",
            )
            return
        place = binder.places[0]
        self.index_error(
            f"the range of `{binder.name}` is not known: in `{shown(place)}` it is not alone",
            binder.span,
            help=f"give its range: `{binder.name} in 0:n`",
        )

    def _check(self) -> None:
        """Report occurrences that leave their axis."""
        for place in self.places:
            low, high = place.constant, place.constant
            if any(isinstance(e, IndexPart) and not self._is_cut(place, e) for e in place.terms):
                return
            for each, factor in place.terms.items():
                assert each.size is not None
                first, last = each.start, each.start + each.size - 1
                ends = (first, last) if _at_least(factor, 0) else (last, first)
                low, high = low + factor * ends[0], high + factor * ends[1]
            beyond = high - (place.size - 1)
            if _at_least(low, 0) and _at_least(-beyond, 0):
                self._refuse_varying(place)
                continue
            self._outside(place, low, high, beyond)
            return

    def _is_cut(self, place: Occurrence, part: IndexPart) -> bool:
        """Return whether the range of an index consists of whole parts; reports one that does
        not."""
        of, by = part.of, part.by
        sign = "%" if part.is_rest else "//"
        if not isinstance(of.size, int):
            self.error(
                "undecided-size",
                f"`{of.name} {sign} {by}` needs the size of `{of.name}`, which is {of.size}",
                place.span,
            )
        elif of.start != 0 or of.size % by:
            stop = of.start + of.size
            self.error(
                "bad-index",
                f"`{of.name} {sign} {by}` cuts `{of.name}` into parts of {by}, and it runs from"
                f" {of.start} to {stop - 1}",
                place.span,
                help=f"`{of.name} in 0:{max(1, stop // by) * by}` consists of whole parts",
            )
        return self.is_good

    def _outside(self, place: Occurrence, low: Size, high: Size, beyond: Size) -> None:
        axis = f"axis {place.axis} of {base(place)}, which is {place.size}"
        known = isinstance(low, int) and isinstance(beyond, int)
        if not known:
            names = sizes.open_names(low) | sizes.open_names(beyond)
            self.error(
                "undecided-size",
                f"cannot prove that `{place.span.text}` stays on {axis}: it runs from {low} to"
                f" {high}",
                place.span,
                help=f"set `{sorted(names)[0]}` to a number" if names else None,
            )
            return
        assert isinstance(low, int) and isinstance(beyond, int)
        before = -low if low < 0 else 0
        after = beyond if beyond > 0 else 0
        parts = [f"{before} before its start"] * (before > 0) + [f"{after} after its end"] * (
            after > 0
        )
        self.index_error(
            f"`{place.span.text}` leaves {axis}: it runs from {low} to {high}, which is"
            f" {' and '.join(parts)}",
            place.span,
            help=_index_help(place, before, after),
        )

    def _refuse_varying(self, place: Occurrence) -> None:
        """Report a sum of indices over a variable-length sequence, which may end earlier."""
        sequence = place.sequence
        if sequence is None or sequence.mask is None:
            return
        each = next(iter(place.terms))
        whole = place.constant == 0 and len(place.terms) == 1 and each.sequence is sequence
        if whole and place.terms[each] == 1:
            return
        self.index_error(
            f"`{sequence.name}` varies in length, so `{place.span.text}` could be past its end",
            place.span,
            help=f"use an index over `{sequence.name}` alone, without a sum",
        )

    def indices(self) -> None:
        """Create the indices, once all ranges are known."""
        for each in self.binders:
            assert each.size is not None
            each.index = RunningIndex(each.name, each.size, each.start, each.order, each.sequence)


def _over_steps(place: Occurrence) -> int:
    """Rank an occurrence: sequences before other axes, those whose length varies first."""
    return 0 if place.sequence is None else 1 + (place.sequence.mask is not None)


def _room(binder: Binder, place: Occurrence) -> Size | None:
    """Return the largest range of an index, from 0 on, for which an occurrence stays on its axis.

    Return None if the range of another index in it is not known yet.
    """
    if place.alone is binder:
        return None
    if binder not in place.terms:
        return _room_of_parts(binder, place)
    factor = place.terms[binder]
    low, high = place.constant, place.constant
    for each, other in place.terms.items():
        if each is binder:
            continue
        if each.size is None:
            return None
        first, last = each.start, each.start + each.size - 1
        ends = (first, last) if _at_least(other, 0) else (last, first)
        low, high = low + other * ends[0], high + other * ends[1]
    if not _at_least(factor, 1):
        return low // -factor + 1
    room = place.size - 1 - high
    return room // factor + 1


def _room_of_parts(binder: Binder, place: Occurrence) -> Size | None:
    """Return how many positions an index may have whose whole part `i // k` is alone in a place."""
    ((part, factor), *more) = place.terms.items()
    if more or factor != 1 or place.constant != 0 or not isinstance(part, IndexPart):
        return None
    return None if part.is_rest else place.size * part.by


def _at_least(value: Size, least: int) -> bool:
    try:
        return bool(value >= least)
    except Undecided:
        return False


def _are_numbers(*values: Size) -> bool:
    return all(isinstance(each, int) for each in values)


def _index_help(place: Occurrence, before: int, after: int) -> str | None:
    """Return the help for an occurrence that leaves its axis: another range, or padding."""
    help_ = []
    for each, factor in place.terms.items():
        assert each.size is not None
        if isinstance(each, IndexPart):
            if not each.is_rest and len(place.terms) == 1 and before == 0 and factor == 1:
                help_.append(f"`{each.of.name} in 0:{place.size * each.by}` stays on it")
                break
            continue
        if isinstance(factor, int) and _are_numbers(each.start, each.size):
            front, back = (before, after) if factor > 0 else (after, before)
            start = each.start + -(-front // abs(factor))
            stop = each.start + each.size - -(-back // abs(factor))
            if start < stop:
                help_.append(f"`{each.name} in {start}:{stop}` stays on it")
                break
    sides = [f"{before} at the start"] * (before > 0) + [f"{after} at the end"] * (after > 0)
    help_.append(f"or pad {base(place)} by {' and '.join(sides)}")
    return ", ".join(help_)
