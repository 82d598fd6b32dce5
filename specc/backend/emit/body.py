"""The body of a loop nest: its reads, formulas and stores, collected node by node.

body = Body(shard, domain, batched=True)
body.write(node, allocation, body.let(node.op.formula(body.read(x), body.read(y))))
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import reduce
from operator import add

from specc.backend.emit.access import Access, AccessMode, Read
from specc.backend.emit.shard import Shard
from specc.ir import sizes
from specc.ir.graph import Node
from specc.ir.plan import Allocation
from specc.ir.sizes import Size
from specc.ops.broadcast import Sum
from specc.ops.leaf import Const
from specc.ops.reduce import Max
from specc.ops.shape import Frame, Pad, c_strides
from specc.target.expressions import Boolean, Expression, Integer, Name, Real

_Key = tuple[str, int, int, int | None, tuple[int, ...]]


class Body:
    """The accesses and formulas of one nest."""

    def __init__(self, shard: Shard, domain: Iterable[Size], batched: bool) -> None:
        self.shard, self.batched = shard, batched
        self.lanes = (shard.plan.lanes,) if batched else ()
        self.extents = (*map(sizes.bound, domain), *self.lanes)
        self.accesses: list[Access] = []
        self.lines: list[tuple[str, Expression]] = []
        self._known: dict[_Key, str] = {}

    def let(self, value: Expression) -> Name:
        """Add a variable with the value of an expression; return its name."""
        name = f"v{len(self.lines)}"
        self.lines.append((name, value))
        return Name(name)

    def read(self, node: Node) -> Expression:
        """Return the expression that reads a value at the loops' position."""
        seen = self.shard.plan.views[node]
        if isinstance(seen.root.op, Const):
            value = seen.root.op.value
            assert isinstance(value, float | int), f"{value} is symbolic (a bug of specc)"
            return literal(value, seen.root.type.kind)
        return self.access(seen.root, seen.strides, seen.offset)

    def access(
        self, root: Node, strides: tuple[int, ...], offset: int, shard: int | None = None
    ) -> Read:
        step, item = self.shard.lane_step(root), self.shard.item(root)
        allocation = self.shard.plan.allocations[root]
        address = self.shard.address(root, allocation, shard).moved(offset * step * item)
        steps = tuple(stride * step for stride in strides)
        if self.batched:
            steps += (1 if root.type.batched else 0,)
        key = (address.space, address.offset, address.stride, shard, steps)
        if key not in self._known:
            name = _letters(len(self.accesses))
            self._known[key] = name
            self.accesses.append(Access(name, root.type.kind, address, steps, item=item))
        return Read(self._known[key])

    def all_shards(self, node: Node) -> Expression:
        """Return the sum of all shards' parts of a value."""
        seen, plan = self.shard.plan.views[node], self.shard.plan
        shards = plan.shards if seen.root.op.sums_own_rows else plan.arenas
        parts = [
            self.access(seen.root, seen.strides, seen.offset, shard) for shard in range(shards)
        ]
        return self.let(reduce(add, parts)) if len(parts) > 1 else parts[0]

    def write(self, node: Node, allocation: Allocation, value: Expression) -> None:
        op = node.op
        if isinstance(op, (Sum, Max)):
            inner = c_strides(node.type.bound_shape)
            left = iter(inner)
            rank = node.inputs[0].type.rank
            strides = tuple(0 if axis in op.axes else next(left) for axis in range(rank))
            mode = AccessMode.SUM if isinstance(op, Sum) else AccessMode.MAX
            self.store(node, allocation, value, strides, 0, mode)
        elif isinstance(op, Pad):
            strides = c_strides(node.type.bound_shape)
            offset = sizes.bound(op.start) * strides[op.axis]
            moved = strides[op.axis] * op.step
            strides = (*strides[: op.axis], moved, *strides[op.axis + 1 :])
            self.store(node, allocation, value, strides, offset)
            self.accesses[-1].fill = True
            self.accesses[-1].filling = literal(op.fill, "float")
        elif isinstance(op, Frame):
            strides = c_strides(node.type.bound_shape)
            offset = sum(a * b for a, b in zip(op.starts, strides, strict=True))
            self.store(node, allocation, value, strides, offset)
            # shared memory starts as zeros and is never reused
            self.accesses[-1].fill = allocation.space != "shared"
        else:
            self.store(node, allocation, value, c_strides(node.type.bound_shape), 0)

    def store(
        self,
        node: Node,
        allocation: Allocation,
        value: Expression,
        strides: tuple[int, ...],
        offset: int,
        mode: AccessMode = AccessMode.STORE,
    ) -> None:
        step, item = self.shard.lane_step(node), self.shard.item(node)
        address = self.shard.address(node, allocation)
        steps = tuple(stride * step for stride in strides)
        if self.batched:
            steps += (1 if node.type.batched else 0,)
        elements = node.type.bound_elements * step
        name = (
            "out"
            if not any(each.mode != AccessMode.READ for each in self.accesses)
            else (f"out_{_letters(len(self.accesses))}")
        )
        self.accesses.append(
            Access(
                name,
                node.type.kind,
                address,
                steps,
                mode,
                value,
                elements,
                item,
                start=offset * step,
            )
        )


def literal(value: float | int | bool, kind: str) -> Expression:
    """Return a constant of a kind of values as an expression."""
    if kind == "float":
        return Real(float(value))
    return Boolean(bool(value)) if kind == "bool" else Integer(int(value))


def _letters(number: int) -> str:
    """Return the name of an array by its number: a, b, ..., z, ba_, bb_, ....

    The letters i, n and v are left out, because they name indices, extents and values. With the
    underscore, longer names differ from keywords (`or`) and functions (`max`).
    """
    alphabet = "abcdefghjklmopqrstuwxyz"
    text = ""
    while True:
        text = alphabet[number % len(alphabet)] + text
        number //= len(alphabet)
        if not number:
            return text if len(text) == 1 else f"{text}_"


def title(nodes: Iterable[Node]) -> str:
    """Return a kernel's name, made of the ops that it computes: `each_add_maximum`."""
    names: list[str] = []
    for node in nodes:
        name = node.op.name.lower()
        if name not in names and name not in ("copy", "allreduce"):
            names.append(name)
    return "_".join(["each", *names[:4]]) + ("_more" if len(names) > 4 else "") if names else "copy"
