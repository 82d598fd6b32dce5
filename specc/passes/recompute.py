"""Gradient checkpointing: recompute values of the forward pass for the backward pass.

    a -> b -> c -> d -> loss      # the gradients read a, b, c, d
    b is kept; a is recomputed before its gradients; c and d are used at once

The forward pass is cut into segments. Values that cross a cut are kept. The inner values of a
segment are recomputed just before the segment's part of the backward pass, after all later parts
(Chen, Xu, Zhang and Guestrin, Training deep nets with sublinear memory cost, 2016). Their cuts are
sqrt(n) layers apart; here the cuts are those that need the least memory, by the sizes of the values
that the backward pass reads.

In and out: the simplified graph of a training step. Values that all examples share (weights, and
the statistics of a batchnorm) are not recomputed. Neither are the states of a loop over steps: they
are kept, so values that follow from them are recomputed for all steps at once. A recomputed value
is the same node over `After` inputs, so that no pass joins it to the first one or computes it
early.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Sequence

from specc.ir.graph import Graph, Node, apply
from specc.ir.names import RECORDED, kind_of
from specc.ir.op import Form
from specc.ir.types import element_bytes
from specc.ops.after import After
from specc.ops.carry import carries, closed, following, loops, ordered
from specc.ops.flops import flops
from specc.ops.leaf import Input
from specc.ops.random import Uniform
from specc.ops.views import is_view, root_of
from specc.system.records import dataclass

MOST_CUTS = 160  # most places for cuts that are compared
WORTH = 0.9  # recompute only if the kept values shrink to at most this fraction


def recompute(graph: Graph) -> Graph:
    """Return the graph with the forward pass cut so that the least memory is kept.

    If no cuts save 10%, return the graph itself.
    """
    if "loss" not in graph.outputs:
        return graph
    again = _Segments(graph)
    return again.rebuilt() if again.cut() else graph


@dataclass(frozen=True)
class _Way:
    """The best cuts up to a cut: the bytes kept, the work done twice, and the cut before."""

    kept: int
    work: int
    cut: int


class _Segments:
    """The forward pass in order, and which of its values the backward pass reads."""

    def __init__(self, graph: Graph) -> None:
        self.graph = graph
        self.loop_of = {node: loop for loop in loops(graph) for node in loop.nodes}
        self.carried = set(carries(graph).values())
        self.order = [
            node for first in ordered(graph, self.loop_of) for node in self._together(first)
        ]
        known = following(graph)
        self.forward = set(closed({"loss": graph.outputs["loss"]}, known).nodes)
        aside = {
            name: node
            for name, node in graph.outputs.items()
            if kind_of(name) in RECORDED and name != "loss"
        }
        computed = self.forward | set(closed(aside, known).nodes)
        self.backward = [node for node in self.order if node not in computed]
        # the values that are recomputed if they come before the last cut
        self.values = [
            node for node in _deepest_first(self.order, self.forward) if self._may_be_repeated(node)
        ]
        self.position = {node: i for i, node in enumerate(self.values)}
        self.last_use = dict(self.position)  # value -> the position of its last reader
        for node in self.values:
            for root in map(root_of, node.inputs):
                if root in self.position:
                    self.last_use[root] = self.position[node]
        # the segment of each value, the last segment, and what is kept
        self.segment: dict[Node, int] = {}
        self.last = 0
        self.kept: set[Node] = set()

    def _together(self, node: Node) -> tuple[Node, ...]:
        """Return the nodes of the loop that a node is in, or only the node."""
        return self.loop_of[node].nodes if node in self.loop_of else (node,)

    def _may_be_repeated(self, node: Node) -> bool:
        # pairs of examples grow with the number of examples in a batch, which is not known yet
        return (
            node.type.batched
            and node not in self.carried
            and isinstance(node.type.elements, int)
            and node.op.repeatable
            and node.op.form not in (Form.LEAF, Form.VIEW, Form.CARRY, Form.LOWERED)
        )

    # Choosing the cuts.

    def cut(self) -> bool:
        """Choose the cuts; return False if they would not save enough."""
        if not self.values:  # no loss depends on the examples
            return False
        held = self._held()
        total = sum(held)
        crossing = self._crossing()
        ends = self._places(crossing)
        pairs = self._pairs(ends, crossing, held)
        low, high = 0, total
        best = None
        while high - low > max(total // 256, 1):
            middle = (low + high) // 2
            found = _cuts(pairs, len(ends), middle)
            if found is None:
                low = middle
            else:
                high, best = middle, found
        if best is None or high > WORTH * total:
            return False
        cuts = [ends[at] for at in best]
        for node, i in self.position.items():
            self.segment[node] = bisect_left(cuts, i + 1)
        self.kept = {self.values[i] for cut in cuts for i in crossing[cut]}
        self.last = len(cuts)
        return True

    def _held(self) -> list[int]:
        """Return the bytes of one example that each value takes if nothing is recomputed."""
        held = [0] * len(self.values)
        small: dict[int, int] = {}
        for node in self.backward:
            for root in {root_of(each): None for each in node.inputs}:
                i = self.position.get(root)
                if i is None:
                    continue
                if self._is_mark(node):
                    small[i] = small.get(i, 0) + _bytes(node)
                else:
                    held[i] = _bytes(root)
        return [each or min(small.get(i, 0), _bytes(self.values[i])) for i, each in enumerate(held)]

    def _is_mark(self, node: Node) -> bool:
        """Return whether a backward value is small and known in the forward pass.

        Such a mark is a boolean, or the place of a maximum.
        """
        return (
            node.type.kind != "float"
            and isinstance(node.type.elements, int)
            and all(
                root_of(each) in self.forward or root_of(each).op.form is Form.LEAF
                for each in node.inputs
            )
        )

    def _crossing(self) -> list[list[int]]:
        """Return the values that are read after each cut; cut n is before value n."""
        crossing: list[list[int]] = [[]]
        for i in range(len(self.values)):
            passed = [j for j in (*crossing[-1], i) if self.last_use[self.values[j]] > i]
            crossing.append(passed)
        return crossing

    def _places(self, crossing: list[list[int]]) -> list[int]:
        """Return the cuts to compare: the start, the cheapest of each stretch, and the end."""
        count = len(self.values)
        stretch = -(-count // MOST_CUTS)
        # of equally cheap cuts prefer one after a product, which is then not recomputed
        price = [
            (
                sum(_bytes(self.values[j]) for j in crossing[i]),
                -sum(_work(self.values[j]) for j in crossing[i]),
            )
            for i in range(count + 1)
        ]
        inner = [
            min(range(start, min(start + stretch, count)), key=price.__getitem__)
            for start in range(1, count, stretch)
        ]
        return [0, *inner, count]

    def _pairs(
        self, ends: Sequence[int], crossing: Sequence[Sequence[int]], held: Sequence[int]
    ) -> list[list[Pair]]:
        """Return the costs of a segment between each pair of cuts.

        They are the bytes that it keeps in addition, the bytes of its inner values while its
        gradients are computed, and its work.
        """
        before, work = [0], [0]
        for node, each in zip(self.values, held, strict=True):
            before.append(before[-1] + each)
            work.append(work[-1] + _work(node))
        pairs = []
        for end in ends:
            found = []
            passed = crossing[end]
            sums = [(0, 0, 0)]
            for j in reversed(passed):
                kept, own, done = sums[-1]
                node = self.values[j]
                sums.append((kept + _bytes(node), own + held[j], done + _work(node)))
            for start in ends:
                if start >= end:
                    break
                kept, own, done = sums[len(passed) - bisect_left(passed, start)]
                found.append(
                    (kept, before[end] - before[start] - own, work[end] - work[start] - done)
                )
            pairs.append(found)
        return pairs

    # The new graph.

    def _inner(self, node: Node) -> int | None:
        """Return the segment that recomputes a value; None if the value is kept."""
        segment = self.segment.get(node, self.last)
        return None if segment == self.last or node in self.kept else segment

    def _marks(self) -> set[Node]:
        """Return the backward nodes that need only values of the forward pass.

        An example is the mask of a relu. They would be computed in the forward pass, and kept.
        """
        marks: set[Node] = set()
        sums: set[Node] = set()  # over the batch, and what follows from them: a moved weight
        outputs, backward = set(self.graph.outputs.values()), set(self.backward)
        for node in self.backward:
            if not node.type.batched and any(
                each.type.batched or each in sums for each in node.inputs
            ):
                sums.add(node)
            if not node.type.batched or node in outputs or node in self.loop_of:
                continue
            roots = [
                root
                for root in map(root_of, node.inputs)
                if root.type.batched and not isinstance(root.op, Input)
            ]
            moves = node.op.form in (Form.ELEMENT, Form.VIEW)
            small = moves or node.type.kind != "float"
            # a view may have to wait for values that are not known yet
            views = [each for each in node.inputs if is_view(each) and each in backward]
            waits = not marks.issuperset(views)
            known = all(root in marks or root in self.kept for root in roots)
            if small and roots and known and not waits and sums.isdisjoint(node.inputs):
                marks.add(node)
        return marks

    def _parts(self, marks: set[Node]) -> dict[Node, int]:
        """Map each backward node to the first segment whose recomputed values it needs.

        A mark is mapped to the last segment that uses it.
        """
        part: dict[Node, int] = {}
        done: set[Node] = set()
        for node in self.backward:
            if node in done or node in marks:
                continue
            together = self._together(node)
            found = [self.last]
            for each in {each for one in together for each in one.inputs}:
                inner = self._inner(root_of(each))
                found.append(part.get(each, self.last) if inner is None else inner)
            part.update(dict.fromkeys(together, min(found)))
            done.update(together)
        for node in reversed(self.backward):
            if node in marks:
                users = [part[user] for user in self.graph.users[node] if user in part]
                part[node] = max(users, default=self.last)
        return part

    def _ends(self, part: dict[Node, int], marks: set[Node], segment: int) -> list[Node]:
        """Return the last batched nodes of the backward pass before a segment's part."""
        works = {
            node
            for node in self.backward
            if part[node] > segment
            and node not in marks
            and not is_view(node)
            and any(each.type.batched for each in node.inputs)
        }
        before = min((part[node] for node in works), default=self.last)
        works = {node for node in works if part[node] == before}
        read = {root_of(each) for node in works for each in node.inputs}
        return [node for node in self.backward if node in works and node not in read]

    def rebuilt(self) -> Graph:
        """Return the graph with the inner values of all segments but the last recomputed."""
        marks = self._marks()
        part = self._parts(marks)
        new: dict[Node, Node] = {node: node for node in self.order if node not in part}
        again: dict[tuple[Node, int], Node] = {}
        awaited: dict[int, tuple[Node, ...]] = {self.last: ()}
        outputs = set(self.graph.outputs.values())
        example = next(
            node for node in self.order if isinstance(node.op, Input) and node.type.batched
        )

        def late(node: Node, segment: int) -> Node:
            return apply(After(), node, *awaited[segment]) if awaited[segment] else node

        def repeated(node: Node, segment: int) -> bool:
            own = node in marks or self._inner(node) == segment
            return own or is_view(node)

        def read(node: Node, segment: int) -> Node:
            """Return a value as the backward part of a segment reads it: recomputed, or kept."""
            stack = [(node, False)]
            while stack:
                each, ready = stack.pop()
                if (each, segment) in again:
                    continue
                if not each.type.batched:
                    again[each, segment] = new[each]
                elif not repeated(each, segment):
                    again[each, segment] = late(new[each], segment)
                elif isinstance(each.op, Uniform):
                    again[each, segment] = Node(
                        each.op, (late(example, segment),), each.type, each.origin
                    )
                elif ready:
                    inputs = tuple(again[value, segment] for value in each.inputs)
                    again[each, segment] = Node(each.op, inputs, each.type, each.origin)
                else:
                    stack.append((each, True))
                    stack.extend((value, False) for value in each.inputs)
            return again[node, segment]

        def home(node: Node) -> int:
            """Return the segment whose backward part recomputes a value, or the last segment."""
            inner = self._inner(node)
            return inner if inner is not None else part[node] if node in marks else self.last

        for segment in range(self.last, -1, -1):
            if segment < self.last:
                awaited[segment] = tuple(new[each] for each in self._ends(part, marks, segment))
            for node in self.backward:
                own = home(root_of(node)) == self.last or node in outputs
                if part[node] == segment and own:
                    homes = [home(root_of(each)) for each in node.inputs]
                    inputs = tuple(
                        new[each] if own == self.last else read(each, own)
                        for each, own in zip(node.inputs, homes, strict=True)
                    )
                    new[node] = Node(node.op, inputs, node.type, node.origin)
        return Graph({name: new[node] for name, node in self.graph.outputs.items()})


def _deepest_first(order: list[Node], among: set[Node]) -> list[Node]:
    """Return the nodes in topological order, deepest first.

    So a cheap node such as the mask of a dropout comes just before its use.
    """
    depth: dict[Node, int] = {}
    for node in order:
        depth[node] = 1 + max((depth[each] for each in node.inputs), default=0)
    done: dict[Node, None] = {}
    roots = (node for node in order if node in among)
    for root in sorted(roots, key=depth.__getitem__, reverse=True):
        stack = [(root, False)]
        while stack:
            node, ready = stack.pop()
            if node in done:
                continue
            if ready:
                done[node] = None
                continue
            stack.append((node, True))
            stack.extend(
                (each, False)
                for each in sorted(node.inputs, key=depth.__getitem__)
                if each not in done
            )
    return list(done)


Pair = tuple[int, int, int]


def _cuts(pairs: Sequence[Sequence[Pair]], count: int, most: int) -> list[int] | None:
    """Return the cuts, by number, that repeat the least work and keep at most `most` bytes.

    None if no cuts keep so little.
    """
    ways: list[_Way | None] = [_Way(0, 0, 0)]
    for at in range(1, count):
        is_end = at == count - 1
        best = None
        for start, (kept, own, work) in enumerate(pairs[at]):
            way = ways[start]
            if way is None or way.kept + kept + own > most:
                continue
            found = way.kept + kept, way.work + (0 if is_end else work), start
            if best is None or found < best:
                best = found
        ways.append(_Way(*best) if best else None)
    way, cuts = ways[-1], []
    if way is None:
        return None
    while way is not None and way.cut:
        cuts.append(way.cut)
        way = ways[way.cut]
    return cuts[::-1]


def _work(node: Node) -> int:
    return work if isinstance(work := flops([node]), int) else 0


def _bytes(node: Node) -> int:
    return element_bytes(node.type.kind) * node.type.bound_elements
