"""Draws a sequence model unrolled: one column per time step, states from left to right.

    unrolled(diagram(program, is_whole=True), program, 4)      # Scene

After Karpathy, The unreasonable effectiveness of recurrent neural networks, 2015. A longer sequence
gets columns for its first steps and its last one, with dots in between. Losses, and targets that
the model does not read, are left out. A sequence that is read backward runs from right to left; a
box for `reverse` is drawn only if a sequence is combined with its own reverse. Attention is
connected to all time steps, or with `causal=true` to earlier ones. All sizes are in pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import field

from specc.drawing.boxes import Arrow, Box, Diagram
from specc.drawing.placed import GAP, ROUND, TIP, boxed, height, page, width
from specc.drawing.scene import Curve, Item, Point, Scene, Words
from specc.ir.program import Program
from specc.ir.sizes import Size
from specc.system.records import dataclass

BETWEEN = 34.0
"""Space between columns."""
TRACK = 20.0
"""Space between boxes of the same column."""
DOTS = 62.0
"""Space between columns if steps in between are left out."""
TOP = 112.0
DEEP = 28.0


@dataclass
class _Lane:
    """The columns of a sequence; each column has one or more tracks, side by side."""

    name: str
    size: Size
    columns: int
    wide: list[float] = field(default_factory=list)  # width of each track
    centers: list[float] = field(default_factory=list)  # center x of each column
    tracks: dict[Box, int] = field(default_factory=dict)

    def place(self, box: Box, column: int) -> float:
        """Return the x of a box in a column."""
        left = self.centers[column] - (sum(self.wide) + TRACK * (len(self.wide) - 1)) / 2
        track = self.tracks[box]
        return left + sum(self.wide[:track]) + TRACK * track + self.wide[track] / 2

    @property
    def is_cut(self) -> bool:
        return not (isinstance(self.size, int) and self.size <= self.columns)

    def labels(self) -> list[str]:
        known = [f"{self.name} {k + 1}" for k in range(self.columns)]
        if self.is_cut:
            known[-1] = f"{self.name} {self.size}" if isinstance(self.size, int) else "last"
        return known


def unrolled(diagram: Diagram, program: Program, steps: int) -> Scene:
    """Return the drawing with columns for up to `steps` time steps.

    Raises LookupError if the model has no sequence.
    """
    made = _Unrolled(_kept(diagram), program, steps)
    return page(diagram, *made.items())


def _kept(diagram: Diagram) -> Diagram:
    """Return the part of a diagram that outputs depend on, or without losses if no outputs."""
    boxes = [box for box in diagram.boxes if box.kind != "loss"]
    ends = [box for box in boxes if box.kind == "output"] or boxes
    needed: set[Box] = set()
    waiting = [*ends]
    while waiting:
        box = waiting.pop()
        if box in needed:
            continue
        needed.add(box)
        waiting += [a.start for a in (*diagram.arrows, *diagram.returns) if a.end is box]
    arrows = [a for a in diagram.arrows if a.start in needed and a.end in needed]
    returns = [a for a in diagram.returns if a.start in needed and a.end in needed]
    kept = [box for box in boxes if box in needed]
    return Diagram(diagram.title, kept, arrows, [], diagram.summary, returns)


class _Unrolled:
    def __init__(self, diagram: Diagram, program: Program, steps: int) -> None:
        self.diagram = diagram
        self.boxes, self.arrows = diagram.boxes, diagram.arrows
        sizes = {port.sequence: port.shape[0] for port in program.ports if port.sequence}
        names = dict.fromkeys(box.sequence for box in self._in_order() if box.sequence)
        if not names:
            raise LookupError("the model does not read a sequence")
        self.lanes = {}
        for name in names:
            size = sizes.get(name, steps)
            columns = min(steps, size) if isinstance(size, int) else steps
            self.lanes[name] = _Lane(name, size, columns)
        self.turns = [box for box in self.boxes if _word(box) == "reverse"]
        self.back = self._backward()
        self._without_turns()
        self.rows = self._rows()
        self.after = {box: self._reached(box, "start", "end") for box in self.boxes}
        self.before = {box: self._reached(box, "end", "start") for box in self.boxes}
        self._sink()
        self.tops, self.bottom = self._tops()
        self.singles = self._columns()

    def _in_order(self) -> list[Box]:
        """Return the boxes in topological order."""
        done: list[Box] = []
        left = [*self.boxes]
        while left:
            ready = [b for b in left if all(a.start in done for a in self.arrows if a.end is b)]
            done += ready or left
            left = [box for box in left if box not in done]
        return done

    def _reached(self, box: Box, near: str, far: str) -> set[Box]:
        found: set[Box] = set()
        waiting = [box]
        while waiting:
            here = waiting.pop()
            for arrow in self.arrows:
                other = getattr(arrow, far)
                if getattr(arrow, near) is here and other not in found:
                    found.add(other)
                    waiting.append(other)
        return found

    def _backward(self) -> dict[Box, bool]:
        """Return whether each box reads the steps backward, after an odd number of `reverse`.

        If a sequence is combined with its own reverse, no box is backward, and the boxes of
        `reverse` are drawn.
        """
        back: dict[Box, bool] = {}
        is_mixed = False
        for box in self._in_order():
            before = {back[a.start] for a in self.arrows if a.end is box and a.start.sequence}
            is_mixed |= bool(box.sequence) and len(before) > 1
            back[box] = (box in self.turns) != (True in before)
        if is_mixed:
            back = dict.fromkeys(self.boxes, False)
        else:
            self.turns = []
        for arrow in self.diagram.returns:
            if arrow.is_backward:
                back[arrow.start] = back[arrow.end] = True
        return back

    def _without_turns(self) -> None:
        """Remove the boxes of `reverse` if the direction of the columns shows the order.

        Afterwards an arrow is backward if it carries the steps in reverse order.
        """
        self.arrows = [a._replace(is_backward=self.back[a.start]) for a in self.arrows]
        for box in [box for box in self.boxes if _word(box) == "reverse" and box not in self.turns]:
            into = [a for a in self.arrows if a.end is box]
            users = [a for a in self.arrows if a.start is box]
            self.arrows = [a for a in self.arrows if a not in (*into, *users)]
            self.arrows += [b._replace(start=a.start) for a in into for b in users]
            self.boxes = [each for each in self.boxes if each is not box]

    def _rows(self) -> dict[Box, int]:
        """Return the row of each box: below its inputs; an initial state may be beside its cell."""
        rows: dict[Box, int] = {}
        for box in self._in_order():
            needs = [
                rows[a.start] + (not (a.is_initial and a.start.sequence))
                for a in self.arrows
                if a.end is box
            ]
            rows[box] = max(needs, default=0)
            while self._meets_state(box, rows):
                rows[box] += 1
        lowest: dict[str, int] = {}
        for box in self.boxes:
            lowest[box.sequence] = max(lowest.get(box.sequence, 0), rows[box])
        for box in self._in_order():  # a box that reduces a sequence is below all of its columns
            before = [a.start for a in self.arrows if a.end is box]
            for each in before:
                if each.sequence and not box.sequence:
                    is_end = not any(b.sequence for b in self._reached(box, "start", "end"))
                    rows[box] = max(rows[box], (lowest[each.sequence] if is_end else 0) + 1)
                elif not box.sequence:
                    rows[box] = max(rows[box], rows[each] + 1)
        return rows

    def _meets_state(self, box: Box, rows: dict[Box, int]) -> bool:
        """Return whether another cell of the same sequence is in the same row as a cell."""
        cells = {a.start for a in self.diagram.returns} & set(rows)
        return box in cells and any(
            each is not box and each.sequence == box.sequence and rows[each] == rows[box]
            for each in cells
        )

    def _sink(self) -> None:
        """Move boxes down, next to the boxes that read them."""
        for box in reversed(self._in_order()):
            users = [a for a in self.arrows if a.start is box]
            if not users:
                continue
            before = self.rows[box]
            self.rows[box] = min(
                self.rows[a.end] - (not (a.is_initial and a.start.sequence)) for a in users
            )
            while self.rows[box] > before and self._meets_state(box, self.rows):
                self.rows[box] -= 1

    def _tops(self) -> tuple[dict[int, float], float]:
        tops, top = {}, TOP
        for row in range(max(self.rows.values()) + 1):
            tops[row] = top
            tall = [height(_plain(box)) for box in self.boxes if self.rows[box] == row]
            top += max(tall, default=DEEP) + GAP
        return tops, top - GAP

    def _columns(self) -> dict[Box, float]:
        """Place the columns of all sequences; return the x of boxes that occur once."""
        places: dict[Box, float] = {}
        x = 0.0
        single = [box for box in self.boxes if not box.sequence]
        ends = []
        for lane in self.lanes.values():
            own = [box for box in self.boxes if box.sequence == lane.name]
            into = [
                box for box in single if box not in places and self.after[box].intersection(own)
            ]
            x = self._side_by_side(into, x, places)
            self._tracks(lane, own)
            wide = sum(lane.wide) + TRACK * (len(lane.wide) - 1)
            for column in range(lane.columns):
                lane.centers.append(x + wide / 2)
                is_gap = lane.is_cut and column == lane.columns - 2
                x += wide + (DOTS if is_gap else BETWEEN)
            x += BETWEEN
        ends = [box for box in self._in_order() if box not in places and not box.sequence]
        self._below(ends, places)
        return places

    def _tracks(self, lane: _Lane, own: list[Box]) -> None:
        """Give each box of a column a track: that of its input, unless another box has it."""
        taken: set[tuple[int, int]] = set()
        for box in (box for box in self._in_order() if box in own):
            before = [a.start for a in self.arrows if a.end is box and a.start in lane.tracks]
            wanted = [lane.tracks[each] for each in before]
            track = next(k for k in (*wanted, *range(len(own))) if (k, self.rows[box]) not in taken)
            # an arrow that passes rows reserves them in its track
            first = min((self.rows[each] + 1 for each in before), default=self.rows[box])
            taken |= {(track, row) for row in range(min(first, self.rows[box]), self.rows[box] + 1)}
            lane.tracks[box] = track
        count = max(lane.tracks.values()) + 1
        lane.wide = [
            max(width(_plain(b)) for b in own if lane.tracks[b] == k) for k in range(count)
        ]

    def _side_by_side(self, boxes: list[Box], x: float, places: dict[Box, float]) -> float:
        """Place boxes that occur once in a separate column; return the x of the next column."""
        if not boxes:
            return x
        rows: dict[int, list[Box]] = {}
        for box in boxes:
            rows.setdefault(self.rows[box], []).append(box)
        wide = max(sum(width(_plain(b)) + BETWEEN for b in row) for row in rows.values())
        for row in rows.values():
            at = x + (wide - sum(width(_plain(b)) + BETWEEN for b in row)) / 2
            for box in row:
                places[box] = at + width(_plain(box)) / 2
                at += width(_plain(box)) + BETWEEN
        return x + wide + BETWEEN / 2

    def _below(self, boxes: list[Box], places: dict[Box, float]) -> None:
        """Place the boxes after the sequences below their inputs."""
        taken: dict[int, float] = {}
        for box in boxes:
            from_ = [x for a in self.arrows if a.end is box for x in self._sources(a, places)]
            x = sum(from_) / len(from_) if from_ else 0.0
            row, half = self.rows[box], width(_plain(box)) / 2
            x = max(x, taken.get(row, float("-inf")) + half)
            places[box] = x
            taken[row] = x + half + BETWEEN

    def _sources(self, arrow: Arrow, places: dict[Box, float]) -> list[float]:
        if not arrow.start.sequence:
            return [places[arrow.start]] if arrow.start in places else []
        lane = self.lanes[arrow.start.sequence]
        return [lane.place(arrow.start, k) for k in self._read(arrow)]

    def _read(self, arrow: Arrow) -> Iterable[int]:
        """Return the columns of a sequence that a box which occurs once reads."""
        lane = self.lanes[arrow.start.sequence]
        word = _word(arrow.end)
        if word in ("first", "last") or arrow.is_last:
            is_first = (word == "first") != arrow.is_backward
            return [0 if is_first else lane.columns - 1]
        return range(lane.columns)

    def items(self) -> tuple[list[Item], float]:
        """Return the items of the drawing, and its lower end."""
        out: list[Item] = []
        for lane in self.lanes.values():
            top = min(self.tops[self.rows[box]] for box in lane.tracks)
            for x, text in zip(lane.centers, lane.labels(), strict=True):
                out.append(Words(x, top - 12, text, "faint"))
        for arrow in self.arrows:
            out += self._drawn(arrow)
        for arrow in self.diagram.returns:
            out += self._states(arrow)
        for box in self.boxes:
            for x, y in self._corners(box):
                out += boxed(_plain(box), x, y, self._wide(box))
        return out, self.bottom

    def _wide(self, box: Box) -> float:
        own = width(_plain(box))
        if box.sequence and box.kind not in ROUND:
            lane = self.lanes[box.sequence]
            return lane.wide[lane.tracks[box]]
        return own

    def _corners(self, box: Box) -> list[Point]:
        """Return the middle of the upper edge of each copy of a box."""
        top = self.tops[self.rows[box]]
        if box.sequence:
            lane = self.lanes[box.sequence]
            return [(lane.place(box, k), top) for k in range(lane.columns)]
        return [(self.singles[box], top)]

    def _drawn(self, arrow: Arrow) -> Iterator[Item]:
        """Yield the lines of an arrow in all columns, and the shape beside the first line."""
        start, end = arrow.start, arrow.end
        starts, ends = self._corners(start), self._corners(end)
        if arrow.is_initial and end.sequence:
            column = (len(starts) - 1) * (not arrow.is_backward) if start.sequence else 0
            goal = ends[-1 if self.back[end] else 0]
            yield self._aside(start, starts[column], end, goal)
            return
        if start.sequence and end.sequence == start.sequence:
            pairs = list(zip(starts, ends, strict=True))
            if _word(end) == "previous":
                pairs = list(zip(starts, ends[1:], strict=False))
            elif end in self.turns:
                pairs = list(zip(starts, reversed(ends), strict=True))
            elif end.looks_around:
                is_causal = "causal=true" in end.title.replace(" ", "")
                pairs = [
                    (one, two)
                    for k, one in enumerate(starts)
                    for two in (ends[k:] if is_causal else ends)
                ]
        elif start.sequence and not end.sequence:
            pairs = [(starts[k], ends[0]) for k in self._read(arrow)]
        else:
            pairs = [(one, two) for one in starts for two in ends]
        for number, ((x0, y0), (x1, y1)) in enumerate(pairs):
            y0 += height(_plain(start))
            y1 -= TIP
            if abs(x0 - x1) < 0.5 and self._is_between(start, end):
                yield self._around(start, end, (x0, y0), (x1, y1))
            elif abs(x0 - x1) < 0.5:
                yield Curve((x0, y0), (((x1, y1),),))
            else:
                half = (y0 + y1) / 2
                yield Curve((x0, y0), (((x0, half), (x1, half), (x1, y1)),))
            if number == 0 and abs(x0 - x1) < 0.5:
                text = arrow.shape.split(" over ")[0]
                yield Words(x0 - 6, y0 + 17, text, "edge", "end", "page")

    def _is_between(self, start: Box, end: Box) -> bool:
        """Return whether another box is between two boxes of the same column."""
        rows = range(self.rows[start] + 1, self.rows[end])
        tracks = self.lanes[start.sequence].tracks if start.sequence else {}
        return any(
            self.rows[b] in rows and tracks.get(b) == tracks.get(start)
            for b in self.boxes
            if b.sequence == start.sequence
        )

    def _around(self, start: Box, end: Box, one: Point, two: Point) -> Curve:
        """Return a curve around the boxes between two boxes of the same column."""
        (x, y0), (_, y1) = one, two
        out = x + max(self._wide(start), self._wide(end)) / 2 + 11
        way = (
            (
                (x, y0 + 12),
                (out, y0 + 4),
                (out, y0 + GAP),
            ),
            ((out, y1 - GAP),),
            ((out, y1 - 4), (x, y1 - 14), (x, y1)),
        )
        return Curve(one, way)

    def _aside(self, start: Box, one: Point, end: Box, two: Point) -> Curve:
        """Return a line that enters a box from the side."""
        y1 = two[1] + height(_plain(end)) / 2
        x1 = two[0] - self._wide(end) / 2 - TIP
        if self.rows[start] == self.rows[end]:
            x0, y0 = one[0] + self._wide(start) / 2, one[1] + height(_plain(start)) / 2
            return Curve((x0, y0), (((x1, y1),),), "state")
        x0, y0 = one[0], one[1] + height(_plain(start))
        return Curve((x0, y0), (((x0, y1), (x0, y1), (x1, y1)),), "state")

    def _states(self, arrow: Arrow) -> Iterator[Item]:
        """Yield the arrows of a cell's states from each time step to the next."""
        lane = self.lanes[arrow.start.sequence or arrow.end.sequence]
        starts, ends = self._corners(arrow.start), self._corners(arrow.end)
        is_back = self.back[arrow.start]
        for k in range(lane.columns - 1):
            one, two = (starts[k + 1], ends[k]) if is_back else (starts[k], ends[k + 1])
            side = -1 if is_back else 1
            x0 = one[0] + side * self._wide(arrow.start) / 2
            x1 = two[0] - side * (self._wide(arrow.end) / 2 + TIP)
            y0 = one[1] + height(_plain(arrow.start)) / 2
            y1 = two[1] + height(_plain(arrow.end)) / 2
            is_gap = lane.is_cut and k == lane.columns - 2
            if abs(y0 - y1) < 0.5:
                yield Curve((x0, y0), (((x1, y1),),), "state")
            else:
                half = (x0 + x1) / 2
                yield Curve((x0, y0), (((half, y0), (half, y1), (x1, y1)),), "state")
            middle = ((x0 + x1) / 2, (y0 + y1) / 2)
            if is_gap:
                yield Words(middle[0], middle[1] + 5, "···", "dots", halo="page")
            if k == 0:
                yield Words(middle[0], middle[1] - 7, arrow.shape, "state", halo="page")


def _word(box: Box) -> str:
    return box.title.split("(")[0]


def _plain(box: Box) -> Box:
    """Return a box as it is drawn in a column: without its detail, except a port's role."""
    kinds = {"input": "input", "target": "target", "output": "output"}
    detail = kinds.get(box.kind, "")
    return Box(box.kind, box.title, box.shape, detail, box.word, box.sequence)
