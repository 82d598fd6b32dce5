"""Turns a program into boxes and arrows for a drawing.

    diagram(program)        # Diagram(boxes=[Box("image", ..), ..], arrows=[Arrow(..), ..])

A box is an input, a layer, a formula between layers, an output or a loss. A frame surrounds the
boxes of a block or of a shared layer. In a long model, consecutive equal blocks are drawn once; if
the drawing is still too long, each block becomes a single box.
"""

from __future__ import annotations

from collections.abc import Iterable

from specc.drawing.boxes import Arrow, BlockFrame, Box, Diagram
from specc.drawing.repeats import repeated
from specc.drawing.shapes import nodes_of, over, port_shape
from specc.ir.graph import Node, topological
from specc.ir.program import Layer, Program, Term
from specc.ir.sizes import Size
from specc.ops.broadcast import Sum
from specc.ops.carry import Carry
from specc.ops.elementwise import Add
from specc.ops.leaf import Input
from specc.ops.reduce import Max
from specc.ops.shape import Reshape
from specc.ops.step_axes import step_axes
from specc.recipe import Port

MOST_BOXES = 48
"""Number of boxes above which the boxes inside blocks are left out."""
PORTS = ("input", "target")
SHARED = "shared parameters"
KINDS = {
    "conv": "conv",
    "conv_transpose": "conv",
    "dense": "dense",
    "maxout": "dense",
    "embed": "dense",
    "rnn": "cell",
    "lstm": "cell",
    "gru": "cell",
    "batchnorm": "norm",
    "layernorm": "norm",
    "dropout": "norm",
    "relu": "activation",
    "leaky_relu": "activation",
    "prelu": "activation",
    "elu": "activation",
    "selu": "activation",
    "softplus": "activation",
    "silu": "activation",
    "mish": "activation",
    "gelu": "activation",
    "softmax": "activation",
    "log_softmax": "activation",
    "sigmoid": "activation",
    "tanh": "activation",
    "maxpool": "pool",
    "avgpool": "pool",
    "global_avgpool": "pool",
    "global_maxpool": "pool",
    "upsample": "pool",
    "flatten": "pool",
    "reshape": "pool",
    "transpose": "pool",
}


def diagram(program: Program, is_whole: bool = False) -> Diagram:
    """Return the diagram of a program, with boxes in the order of its text.

    With `is_whole`, every layer of every block has a box, however long the drawing becomes.
    """
    if is_whole:
        return _Maker(program, is_open=True).made()
    made = repeated(_Maker(program, is_open=True).made())
    return (
        made if len(made.boxes) <= MOST_BOXES else repeated(_Maker(program, is_open=False).made())
    )


class _Maker:
    def __init__(self, program: Program, is_open: bool) -> None:
        self.program, self.is_open = program, is_open
        self.owner: dict[Node, Box] = {}
        self.boxes: list[Box] = []
        self.frames: list[BlockFrame] = []
        self.elements = {each.path: each.type.elements for each in program.parameters}
        self.seen: set[str] = set()  # paths of layers that already have a box
        self.everything = self._everything()
        sequences = {p.name: p.sequence for p in program.ports if p.sequence}
        self.axes = step_axes(self.everything, sequences)
        self.lengths: set[Node] = set()  # nodes that compute the length of an example

    def made(self) -> Diagram:
        program = self.program
        self._ports()
        self._layers()
        for term in program.losses:
            self._term(term)
        everything = self.everything
        self._last_states(everything)
        self.sequences = _sequences(program, everything)
        self._formulas(everything)
        arrows = self._arrows(everything)
        for term in program.outputs:
            if term.node in self.owner:
                shape = term.node.type.shape[1:] if term.sequence else term.node.type.shape
                text = over(shape, term.sequence)
                box = Box("output", term.name, text, "output", sequence=term.sequence or "")
                self.boxes.append(box)
                arrows.append(Arrow(self.owner[term.node], box, text))
        used = {box for arrow in arrows for box in (arrow.start, arrow.end)}
        boxes = self.boxes = [box for box in self.boxes if box in used or box.kind == "loss"]
        for frame in self.frames:
            frame.boxes = [box for box in frame.boxes if box in boxes]
        self._complete_frames(arrows)
        total = sum(self.elements.values())
        told = [port for port in _told(program) if port.role == "input"]
        inputs = [f"{port.name} {port_shape(port)}" for port in told]
        summary = f"{_number(total)} parameters" + (f", from {', '.join(inputs)}" if inputs else "")
        frames = sorted(
            (f for f in self.frames if len(f.boxes) > 1), key=lambda frame: -frame.level
        )
        returns = [each for each in self._returns(everything) if {each.start, each.end} <= used]
        return Diagram(program.name, boxes, arrows, frames, summary, returns)

    def _everything(self) -> tuple[Node, ...]:
        """Return all nodes that outputs and losses depend on, also through states."""
        roots = [term.node for term in (*self.program.outputs, *self.program.losses)]
        after, found = dict(self.program.carries), topological(roots)
        while True:
            read = {node.op.label for node in found if isinstance(node.op, Carry)}
            more = topological([*roots, *(after[name] for name in after if name in read)])
            if len(more) == len(found):
                return more
            found = more

    def _complete_frames(self, arrows: list[Arrow]) -> None:
        """Put the formulas of each block into its frame, and set the nesting levels of frames."""
        for frame in self.frames:
            is_done = False
            while not is_done:
                before = {box: {a for a, b, *_ in arrows if b is box} for box in self.boxes}
                after = {box: {b for a, b, *_ in arrows if a is box} for box in self.boxes}
                inside = set(frame.boxes)
                found = [
                    box for box in self.boxes
                    if box.kind == "formula" and box not in inside
                    and inside & (before[box] | after[box])
                    and (_is_within(box.word, frame.path)
                         or (before[box] and before[box] | after[box] <= inside))
                ]  # fmt: skip
                frame.boxes += found
                is_done = not found
        for frame in self.frames:  # inner frames come before outer ones
            inner = [
                f.level
                for f in self.frames
                if f is not frame and set(f.boxes) <= set(frame.boxes) and len(f.boxes) > 1
            ]
            frame.level = 1 + max(inner) if inner else 0

    def _ports(self) -> None:
        everything = self.everything
        found = {
            node.op.label: node
            for node in everything
            if isinstance(node.op, Input) and node.op.role in PORTS
        }
        for port in _told(self.program):
            if port.name in found:
                text = port_shape(port) if port.shape or port.kind != "float" else "float"
                own = {found[port.name]}  # and nodes that depend only on its length
                for node in everything:
                    is_of_port = node.origin.span == port.span and not node.origin.word
                    if is_of_port and all(n in own or not n.type.batched for n in node.inputs):
                        own.add(node)
                values = {found[port.name]}
                for node in everything:
                    if node in own and values.intersection(node.inputs):
                        values.add(node)
                self.lengths |= own - values
                box = Box(port.role, port.name, text, port.role, sequence=port.sequence or "")
                self._add(box, own)

    def _layers(self) -> None:
        layers = self.program.layers
        is_inside = [False] * len(layers)
        frames: dict[int, list[int]] = {}
        for number, layer in enumerate(layers):
            at = number - 1
            while at >= 0 and layers[at].path.startswith(f"{layer.path}."):
                if not is_inside[at]:
                    frames.setdefault(number, []).append(at)
                    is_inside[at] = True
                at -= 1
        is_open = self.is_open
        made: dict[int, Box] = {}
        done: set[Node] = set()
        for number, layer in enumerate(layers):
            if is_inside[number] and not is_open:
                continue
            if number in frames and is_open:
                inner = self._inner(number, frames)
                box_of = {made[each] for each in inner if each in made}
                boxes = [box for box in self.boxes if box in box_of]
                self.frames.append(BlockFrame(_short(layer.text, 40), layer.path, boxes))
                continue
            nodes = [node for node in nodes_of(layer, self.owner) if node not in done]
            if not nodes:
                continue
            done.update(nodes)
            made[number] = box = self._add(self._box(layer), nodes)
            box.has_skip = box.kind == "block" and _has_skip(nodes)
            box.looks_around = any(sum(map(bool, self.axes.get(n, ()))) > 1 for n in nodes)

    def _last_states(self, everything: Iterable[Node]) -> None:
        """Add to a cell's box what it computes besides its values at each time step."""
        boxes: dict[str, list[Box]] = {}
        for node, box in self.owner.items():
            if box.kind == "cell" and box not in boxes.setdefault(node.origin.word, []):
                boxes[node.origin.word].append(box)
        alone = {word: found[0] for word, found in boxes.items() if len(found) == 1}
        for name, after in self.program.carries:
            word = name.rpartition(".")[0]
            if word in alone:
                for node in topological([after]):
                    if node.origin.word == word:
                        self.owner.setdefault(node, alone[word])
        for node in everything:
            own = alone.get(node.origin.word)
            if own is None or node in self.owner or not node.inputs:
                continue
            before = {self.owner.get(each) for each in node.inputs if each.type.batched}
            if all(each is own or (each is not None and each.kind in PORTS) for each in before):
                self.owner[node] = own

    def _inner(self, number: int, frames: dict[int, list[int]]) -> list[int]:
        found = list(frames[number])
        for each in found:
            found += frames.get(each, ())
        return found

    def _box(self, layer: Layer) -> Box:
        word = layer.path.rsplit(".", 1)[-1].rstrip("0123456789")
        count = sum(self.elements[path] for path in layer.parameters)
        if not layer.parameters and layer.path not in self.seen:
            count = sum(n for path, n in self.elements.items() if path.startswith(f"{layer.path}."))
        is_shared = layer.path in self.seen
        self.seen.add(layer.path)
        has_own = any(path.startswith(f"{layer.path}.") for path in self.elements)
        if is_shared and has_own:
            detail = f"{layer.path}, {SHARED}"
        elif count:
            detail = f"{layer.path}, {_number(count)} parameters"
        else:
            detail = ""
        called = layer.text.split("(")[0].strip()
        kind = KINDS.get(word) or KINDS.get(called, "block" if has_own else "formula")
        shape = over(layer.output.shape, layer.sequence)
        return Box(kind, _short(layer.text, 38), shape, detail, sequence=layer.sequence or "")

    def _term(self, term: Term) -> None:
        """Add the box of a loss, with all nodes of its statement."""
        nodes: list[Node] = []
        of_ports = {port.span for port in self.program.ports}  # for means over time steps
        waiting = [term.node]
        while waiting:
            node = waiting.pop()
            if node in self.owner or node in nodes or isinstance(node.op, Input):
                continue
            span = node.origin.span
            is_here = (
                term.span is None
                or span is None
                or span in of_ports
                or (
                    span.source is term.span.source
                    and term.span.start <= span.start <= term.span.end
                )
            )
            if node is term.node or is_here:
                nodes.append(node)
                waiting += node.inputs
        text = term.span.text.removeprefix("loss").strip() if term.span else term.name
        self._add(Box("loss", _short(text, 40), "", "loss"), nodes)

    def _formulas(self, everything: Iterable[Node]) -> None:
        """Add boxes for formulas between layers: each value with the nodes that only it uses."""
        loose = [
            n
            for n in everything
            if n not in self.owner and n.inputs and not isinstance(n.op, Carry)
        ]
        users: dict[Node, set[Node]] = {}
        after = dict(self.program.carries)
        for node in everything:
            for each in node.inputs:
                users.setdefault(each, set()).add(node)
            if isinstance(node.op, Carry) and node.op.label in after:
                users.setdefault(after[node.op.label], set()).add(node)
        outputs = {term.node for term in self.program.outputs}
        for node in reversed(loose):
            if node in self.owner:
                continue
            mine = [node]
            for each in mine:
                mine += [
                    below for below in each.inputs
                    if below in loose and below not in self.owner and below not in mine
                    and below not in outputs and users[below] <= set(mine)
                    and self._apart(below) == self._apart(node)
                ]  # fmt: skip
            if node.type.batched or any(n.type.batched for n in mine):
                self._formula(node, mine)

    def _apart(self, node: Node) -> tuple[str, str]:
        """Return the cell and the `reverse` that a node belongs to; each needs its own box."""
        word = node.origin.word
        cells = (name.rpartition(".")[0] for name, _ in self.program.carries)
        cell = next((path for path in cells if _is_within(word, path)), "")
        return cell, word if word.rpartition(".")[2].rstrip("0123456789") == "reverse" else ""

    def _formula(self, node: Node, nodes: list[Node]) -> Box:
        span, name = node.origin.span, node.origin.name
        text = _short(" ".join(span.text.split()), 34) if span else node.op.name
        text = text.split(" = ", 1)[-1] if text.startswith("let ") else text
        parameters = {
            each.op.label
            for n in nodes
            for each in n.inputs
            if isinstance(each.op, Input) and each.op.role == "param"
        }
        count = sum(self.elements.get(path, 0) for path in parameters)
        parts = [name] if name and name != text else []
        parts += [f"{_number(count)} parameters"] if count else []
        sequence = self.sequences.get(node) or ""
        detail, word = ", ".join(parts), node.origin.word
        return self._add(Box("formula", text, self._text(node), detail, word, sequence), nodes)

    def _text(self, node: Node) -> str:
        """Return the shape of a value as text."""
        sequence = self.sequences.get(node)
        shape = over(node.type.shape[1:] if sequence else node.type.shape, sequence)
        if node.type.kind == "int":
            return f"class({node.type.classes}){shape.removeprefix('[]')}"
        return shape

    def _add(self, box: Box, nodes: Iterable[Node]) -> Box:
        self.boxes.append(box)
        for node in nodes:
            self.owner.setdefault(node, box)
        return box

    def _arrows(self, everything: Iterable[Node]) -> list[Arrow]:
        found: dict[tuple[Box, Box], Arrow] = {}
        users = self._users(everything)
        ends = [(node, box) for node in everything for box in self._ends(node, users)]
        for node, box in ends:
            for each in node.inputs:
                before = self.owner.get(each) if each.type.batched else None
                if before is None or before is box or each in self.lengths:
                    continue
                text = before.shape if before.kind in PORTS else self._text(each)
                is_first = before.sequence == "" or each not in self.sequences
                is_initial = is_first and (
                    isinstance(node.op, Carry)
                    or (bool(box.sequence) and node not in self.sequences)
                )
                is_last = bool(before.sequence) and each not in self.sequences
                found.setdefault((before, box), Arrow(before, box, text, is_initial, is_last))
        return list(found.values())

    def _users(self, everything: Iterable[Node]) -> dict[Node, list[Box]]:
        """Return the boxes that read each node."""
        users: dict[Node, list[Box]] = {}
        for node in everything:
            for each in node.inputs:
                if node in self.owner:
                    users.setdefault(each, []).append(self.owner[node])
        return users

    def _ends(self, node: Node, users: dict[Node, list[Box]]) -> list[Box]:
        """Return the box of a node; for a state that has none, those of the values that read it."""
        if node in self.owner:
            return [self.owner[node]]
        return [*dict.fromkeys(users.get(node, ()))] if isinstance(node.op, Carry) else []

    def _returns(self, everything: Iterable[Node]) -> list[Arrow]:
        """Return the arrows that carry states to the next time step, with the states' names."""
        users = self._users(everything)
        after = dict(self.program.carries)
        names: dict[tuple[Box, Box, bool], list[str]] = {}
        for node in everything:
            if not isinstance(node.op, Carry) or node.op.label not in after:
                continue
            start = self.owner.get(after[node.op.label])
            for end in self._ends(node, users):
                if start is not None:
                    name = node.op.label.rpartition(".")[2].partition("#")[0]
                    names.setdefault((start, end, node.op.backward), []).append(name)
        return [
            Arrow(start, end, ", ".join(found), is_backward=backward)
            for (start, end, backward), found in names.items()
        ]


def _has_skip(nodes: list[Node]) -> bool:
    """Return whether the nodes contain a sum of two values that both depend on their input."""
    inside = set(nodes)
    reads: dict[Node, bool] = {}  # whether a node depends on a value from outside
    for node in topological(nodes[:1]):
        if node not in inside:
            reads[node] = node.type.batched
        else:
            reads[node] = any(reads[each] for each in node.inputs)
        is_sum = node in inside and isinstance(node.op, Add)
        if is_sum and all(reads[each] and each.type.batched for each in node.inputs):
            return True
    return False


def _is_within(word: str, path: str) -> bool:
    return word == path or word.startswith(f"{path}.")


def _told(program: Program) -> list[Port]:
    """Return the ports that the file declares, without those that come with a stream."""
    return [port for port in program.ports if "." not in port.name]


def _sequences(program: Program, everything: Iterable[Node]) -> dict[Node, str]:
    """Return the sequence of each node whose first axis runs over time steps.

    A node inherits the sequence of its inputs, unless it reduces that axis.
    """
    sizes_of = {port.sequence: port.shape[0] for port in program.ports if port.sequence}
    ports = {port.name: port.sequence for port in program.ports}
    of_steps: dict[Node, str] = {}  # nodes whose first axis is all or some of the time steps
    found: dict[Node, str] = {}
    for node in everything:
        if isinstance(node.op, Input):
            name = ports.get(node.op.label) if node.op.role in ("input", "target") else None
        elif isinstance(node.op, (Sum, Max)) and 0 in node.op.axes:
            name = None
        else:
            from_ = found if isinstance(node.op, Reshape) else of_steps
            name = next((from_[each] for each in node.inputs if each in from_), None)
        if name is not None:
            of_steps[node] = name
            if node.type.shape[:1] == (sizes_of[name],):
                found[node] = name
    return found


def _short(text: str, most: int) -> str:
    """Shorten a text to at most `most` characters, if possible after a comma of its settings."""
    text = " ".join(text.split())
    if len(text) <= most:
        return text
    comma = text.rfind(",", 0, most - 3)
    if (
        comma > most // 2
        and text.endswith(")")
        and text.count("(", 0, comma) - text.count(")", 0, comma) == 1
    ):
        return text[:comma] + ", …)"
    return text[: most - 1] + "…"


def _number(value: Size) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)
