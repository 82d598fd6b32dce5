"""Find the large values that can be computed some rows at a time.

    s[t, u] = sum(i: q[t, i] * k[u, i])     a[t, u] = softmax(u: s[t, u])     y = a @ v
    # region: s, a and all between them, cut along t; its stages: the forward and the backward pass

A region is a set of connected large values, all cut along one axis (their rows), and the smaller
values between them. What reads a large value is in the region too, or adds up its rows. A value of
the region that depends on another one through values outside is of a later stage.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import field

from specc.ir.graph import Graph, Node
from specc.ir.op import Cut, Form
from specc.ir.sizes import bound
from specc.ops.carry import loops
from specc.ops.leaf import Const
from specc.ops.views import root_of
from specc.system.records import dataclass


@dataclass(frozen=True)
class CutLimits:
    """When values are cut into rows.

    The largest value has so many `elements`, `ratio` times as many as each value that the region
    reads or gives, and as many rows as two chunks of `rows`.
    """

    elements: int = 1 << 20
    ratio: int = 4
    rows: int = 64


LIMITS = CutLimits()
# A value is cut with a larger one that it is connected to if it has such a share of its elements:
# the first share with which the region is worth it. One for all examples takes less memory and
# little work, and is cut from another share on.
SHARES, SHARED_SHARE = (1 / 4, 1 / 16, 1 / 64), 1 / 64


@dataclass(eq=False)
class Region:
    """Values that are cut along an axis each, and sums over these rows.

    `axes` has all values of the region; those that are one for all examples may be in several.
    """

    rows: int
    largest: int
    share: float
    axes: dict[Node, int]
    sums: dict[Node, tuple[int, int]] = field(default_factory=dict)  # input, and axis of it

    @staticmethod
    def is_shared(node: Node) -> bool:
        """Return whether a formula is one for all examples: what needs it computes it itself."""
        return not node.type.batched and node.op.form in (Form.ELEMENT, Form.VIEW)

    def is_large(self, node: Node) -> bool:
        """Return whether a value is cut because it is large, and not because it is between."""
        if node.op.form is Form.LEAF or not isinstance(node.type.elements, int):
            return False
        share = self.share if node.type.batched else SHARED_SHARE
        return (node.type.batched or self.is_shared(node)) and (
            node.type.elements > share * self.largest
        )

    @property
    def own(self) -> list[Node]:
        """The values and sums that are in no other region."""
        return [node for node in (*self.axes, *self.sums) if not self.is_shared(node)]

    def cut(self, node: Node, start: int, count: int) -> Cut:
        """Return what computes some rows of a value, or their share of a sum."""
        if node in self.axes:
            cut = node.op.cut(node, self.axes[node], start, count)
        else:
            cut = node.op.summand(node, *self.sums[node], count)
        assert cut is not None, f"{node!r} has no rows (a bug of specc)"
        return cut

    def reads(self, node: Node) -> Iterator[tuple[Node, int | None, bool]]:
        """Yield each input, its axis that is cut, and whether its rows are computed beside it."""
        for each, axis in zip(node.inputs, self.cut(node, 0, 1).axes, strict=True):
            yield each, axis, axis is not None and self.axes.get(each) == axis


@dataclass(eq=False)
class Stage:
    """The values of a region that are computed chunk by chunk, together.

    `inside` are the values whose rows are computed, in order. Some are `kept`: others read them.
    `sums` are sums over the rows. `outside` are the values that the stage reads.
    """

    region: Region
    inside: tuple[Node, ...] = ()
    kept: tuple[Node, ...] = ()
    sums: tuple[Node, ...] = ()
    outside: tuple[Node, ...] = ()


def stages(graph: Graph, limits: CutLimits) -> list[Stage]:
    """Return the stages of all regions of a graph that are worth cutting."""
    found = list(_regions(graph, limits))
    return _stages(graph, found) if found else []


# Regions.


def _regions(graph: Graph, limits: CutLimits) -> Iterator[Region]:
    """Yield the regions that are worth cutting, from the largest values on."""
    seeds = [node for node in graph.nodes if _is_seed(node, limits)]
    if not seeds:
        return
    looped = {node for loop in loops(graph) for node in loop.nodes}
    done: set[Node] = set(looped)
    for seed in sorted(seeds, key=lambda node: -bound(node.type.elements)):
        region = None if seed in done else _region(seed, graph, limits, looped)
        if region is not None and done.isdisjoint(region.own):
            done.update(region.own)
            yield region


def _is_seed(node: Node, limits: CutLimits) -> bool:
    """Return whether a large value is made of several small ones, or twice of the same one."""
    if (
        not node.type.batched
        or node.op.form not in (Form.ELEMENT, Form.CONTRACTION)
        or not isinstance(node.type.elements, int)
        or node.type.elements < limits.elements
    ):
        return False
    roots = [root_of(each) for each in node.inputs if each.type.batched]
    return len(roots) > 1 and all(
        limits.ratio * bound(each.type.elements) <= node.type.elements for each in roots
    )


def _region(seed: Node, graph: Graph, limits: CutLimits, looped: set[Node]) -> Region | None:
    """Return the region of a large value that is worth cutting.

    At best no value as large as a matrix over all rows is left.
    """
    sizes = [size for size in seed.type.bound_shape if size >= 2 * limits.rows]
    for square in (True, False):
        for share in SHARES if sizes else ():
            for axis, rows in enumerate(seed.type.bound_shape):
                region = Region(rows, seed.type.bound_elements, share, {seed: axis})
                if rows < 2 * limits.rows or not _grow(region, graph, looped):
                    continue
                before = dict(region.axes)
                for fill in (True, False):
                    region.axes = dict(before)
                    if fill:
                        _fill(region, graph, looped)
                    found = _stages(graph, [region])
                    most = rows * rows if square else region.largest
                    if all(_is_worth_it(each, limits, most) for each in found):
                        return region
    return None


def result_axis(user: Node, position: int, axis: int) -> int | None:
    """Return the axis of a node that has the entries of an axis of one of its inputs."""
    for own in range(user.type.rank):
        cut = user.op.cut(user, own, 0, 1)
        if cut is not None and cut.axes[position] == axis:
            return own
    return None


def _grow(region: Region, graph: Graph, looped: set[Node]) -> bool:
    """Add all large values that are connected to a region's first; return False if some cannot."""
    axes, outputs = region.axes, set(graph.outputs.values())
    stack = list(axes)

    def add(node: Node, axis: int) -> bool:
        if node not in axes:
            axes[node] = axis
            stack.append(node)
        return axes[node] == axis

    while stack:
        node = stack.pop()
        cut = node.op.cut(node, axes[node], 0, 1)
        if cut is None or node in looped:
            return False
        for each, axis in zip(node.inputs, cut.axes, strict=True):
            if axis is None or not region.is_large(each):
                continue
            can_be_cut = each.op.cut(each, axis, 0, 1) is not None
            if (can_be_cut or not region.is_shared(each)) and not add(each, axis):
                return False
        if region.is_shared(node) or not region.is_large(node):
            continue
        if node in outputs:
            return False
        for user in graph.users[node]:
            for position, each in enumerate(user.inputs):
                if each is node and not _add_user(region, user, position, axes[node], add):
                    return False
    return True


def _add_user(
    region: Region, user: Node, position: int, axis: int, add: Callable[[Node, int], bool]
) -> bool:
    """Add what reads a large value: its rows, or a sum over them."""
    own = result_axis(user, position, axis)
    if own is not None:
        return add(user, own)
    cut = user.op.summand(user, position, axis, 1)
    if cut is None:
        return False
    if user in region.sums:
        return cut == user.op.summand(user, *region.sums[user], 1)
    region.sums[user] = position, axis
    return True


def _fill(region: Region, graph: Graph, looped: set[Node]) -> None:
    """Add the small values between those of a region, if they are computed row by row too."""
    between: dict[Node, int] = {}
    for node in graph.nodes:
        if (
            node in region.axes
            or node in region.sums
            or node in looped
            or not node.type.batched
            or node.op.form not in (Form.ELEMENT, Form.VIEW, Form.END)
        ):
            continue
        for position, each in enumerate(node.inputs):
            axis = region.axes.get(each, between.get(each)) if each.type.batched else None
            own = None if axis is None else result_axis(node, position, axis)
            if own is not None:
                between[node] = own
                break
    for node in reversed(graph.nodes):
        if node in between and any(
            user in region.axes and (node, between[node]) in _cuts(region, user)
            for user in graph.users[node]
        ):
            region.axes[node] = between[node]


def _cuts(region: Region, node: Node) -> list[tuple[Node, int | None]]:
    return [(each, axis) for each, axis, _ in region.reads(node)]


# Stages.


def _stages(graph: Graph, regions: Sequence[Region]) -> list[Stage]:
    """Return the stages of some regions: what each computes, reads and gives."""
    region_of = {node: region for region in regions for node in region.own}
    level = _levels(graph, region_of)
    kept: dict[Node, None] = {node: None for node in graph.outputs.values()}
    for node in graph.nodes:
        if node not in region_of:
            kept.update(dict.fromkeys(node.inputs))
    made: list[Stage] = []
    order = {node: i for i, node in enumerate(graph.nodes)}
    found = {(level[node], id(region)): region for node, region in region_of.items()}
    for number, key in sorted(found, reverse=True):
        region = found[number, key]
        own = [node for node, each in region_of.items() if each is region]
        stage = _stage(region, [node for node in own if level[node] == number], kept, level)
        if stage.kept or stage.sums:
            stage.inside = tuple(sorted(stage.inside, key=order.__getitem__))
            made.append(stage)
    return made


def _levels(graph: Graph, region_of: Mapping[Node, Region]) -> dict[Node, int]:
    """Return how often the way to each node leaves a region."""
    level: dict[Node, int] = {}
    for node in graph.nodes:
        region = region_of.get(node)
        # an input that is read as a whole too, as z in z @ z.T, is not computed beside the node
        reads = list(region.reads(node)) if region else []
        whole = {each for each, _, is_beside in reads if not is_beside}
        beside = {each for each, _, _ in reads} - whole
        level[node] = max(
            (level[each] + (each in region_of and each not in beside) for each in node.inputs),
            default=0,
        )
    return level


def _stage(
    region: Region, own: Sequence[Node], kept: dict[Node, None], level: Mapping[Node, int]
) -> Stage:
    """Return the stage of a region that computes its values `own`.

    Large values of an earlier stage are computed again; small ones become `kept`.
    """
    sums = tuple(node for node in own if node in region.sums)
    targets = tuple(node for node in own if node in region.axes and node in kept)
    number = level[own[0]]
    inside: dict[Node, None] = {}
    outside: dict[Node, None] = {}
    stack = [*sums, *targets]
    while stack:
        node = stack.pop()
        if node in inside:
            continue
        inside[node] = None
        for each, _, is_beside in region.reads(node):
            again = level[each] == number or region.is_large(each) or region.is_shared(each)
            if is_beside and again:
                stack.append(each)
            else:
                outside[each] = None
                kept[each] = None
    return Stage(region, tuple(inside), targets, sums, tuple(outside))


def _is_worth_it(stage: Stage, limits: CutLimits, most: int) -> bool:
    """Return whether a stage reads and gives little, and compares each row with a whole value.

    Little is less than `most` elements, by the factor that is the limit.
    """
    region = stage.region
    read = [each for each in stage.outside if not isinstance(root_of(each).op, Const)]
    given = [*stage.kept, *stage.sums]
    if any(
        limits.ratio * bound(root_of(each).type.elements) * _weight(each)
        > min(most, region.largest)
        for each in (*read, *given)
    ):
        return False
    cut: set[Node] = set()
    whole: set[Node] = set()
    for node in stage.inside:
        for each, axis, is_beside in region.reads(node):
            if not is_beside and each.type.batched:
                (whole if axis is None else cut).add(each)
    return bool(cut) and any(
        each.type.bound_elements * region.rows >= region.largest for each in whole
    )


def _weight(node: Node) -> float:
    """Return the memory of an element in that of an element of a value of each example."""
    return 1 if node.type.batched else 1 / 8
