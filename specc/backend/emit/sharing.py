"""Copies of operands that several shards need, made once.

    shards = with_shared_transposes(shards, plan, least=1 << 19)      # the calls of each shard
    shards = with_shared_copies(shards, barrier=2048)
    shards = with_copies_of_a_thread(shards, threads=[0, 0, 1, 1])

Before a product, its weights may be packed, a value transposed, or its operands rounded. Several
shards often need the same copy, because they read the same weight or a shared value. The shards
that one thread runs pack and transpose only once: the first of them makes the copy and the others
read it, so no data moves between cores and no thread waits. Large values that are complete early
enough are transposed by all shards together, each a part, in the phase before that of the product.
Rounded copies cost as much as the products of a narrow shard. All shards make them together: each
copies a part into shared memory, in a phase of its own just before the phase of the product.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace
from functools import partial

from specc.backend.emit.calls import Address, ConstantArray, KernelCall, Value, element_bytes
from specc.backend.llvm.kernel import Kernel
from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT, Plan
from specc.ir.sharing import share

SPACE = "copies"
_LINE = 4  # cycles to copy a cache line of 64 bytes

Key = tuple[int, Kernel, tuple[object, ...]]
"""The phase of a copy, its kernel, and the kernel's arguments except the copy's address."""

Keys = Callable[[KernelCall], Key | None]
"""Return the key of a call that makes a copy which other shards may need; None for other calls."""

Makes = Callable[[KernelCall, Address], list[KernelCall]]
"""Return the calls by which a shard makes a copy, or its part of a copy, at an address."""


def with_shared_transposes(
    shards: Sequence[Sequence[KernelCall]], plan: Plan, least: int
) -> list[list[KernelCall]]:
    """Return the calls of all shards of a plan, with large values transposed together.

    A value is, if it is complete early enough that no shard has to wait for it, and if its copy
    has more than `least` bytes: a smaller one is read from a core's own cache faster than from
    another core's.
    """
    phases = {node: step.phase for step in plan.steps for node in step.computed}

    def made_in(call: KernelCall) -> int:
        """Return the phase in which what a call transposes is computed."""
        x = dict(call.arguments)["x"]
        assert isinstance(x, Address)
        roots = {plan.views[each].root for node in call.nodes for each in node.inputs}
        (root,) = (
            each
            for each in roots
            if plan.allocations[each].space == x.space
            and 0 <= x.offset - plan.allocations[each].offset < _bytes(each, plan, call)
        )
        return phases.get(root, 0)

    everywhere = set.intersection(*({*map(_transpose, calls)} for calls in shards)) - {None}
    addresses: dict[Key, Address] = {}
    end = shared_bytes(shards)
    for call in shards[0]:
        key = _transpose(call)
        if key is None or key in addresses or key not in everywhere or call.copied <= least:
            continue
        if made_in(call) < call.phase - 1:
            addresses[key] = Address(SPACE, end)
            end += -(-call.copied // ALIGNMENT) * ALIGNMENT
    if not addresses:
        return [[*calls] for calls in shards]
    return [
        _rewritten(calls, addresses, _transpose, partial(_columns, number, len(shards)), set())
        for number, calls in enumerate(shards)
    ]


def with_copies_of_a_thread(
    shards: Sequence[Sequence[KernelCall]], threads: Sequence[int]
) -> list[list[KernelCall]]:
    """Return the calls of all shards, with operands packed and transposed once per thread.

    `threads` holds the thread that runs each shard, in ascending order.
    """
    found: list[list[KernelCall]] = []
    end = shared_bytes(shards)
    for thread in sorted({*threads}):
        own = [calls for calls, runs in zip(shards, threads, strict=True) if runs == thread]
        wanted = [{key: call.copied for call in calls if (key := _plain(call))} for calls in own]
        addresses: dict[Key, Address] = {}
        for n, keys in enumerate(wanted):
            again = {key for others in wanted[n + 1 :] for key in others}
            for key, size in keys.items():
                if key in again and key not in addresses:
                    addresses[key] = Address(SPACE, end)
                    end += -(-size // ALIGNMENT) * ALIGNMENT
        made: set[Key] = set()
        found += [
            _rewritten(calls, addresses, _plain, _whole, made) if addresses else [*calls]
            for calls in own
        ]
    return found


def with_shared_copies(
    shards: Sequence[Sequence[KernelCall]], barrier: int
) -> list[list[KernelCall]]:
    """Return the calls of all shards, with rounded copies made together if this saves time.

    `barrier` is the cost of a barrier in cycles.
    """
    given = [list(calls) for calls in shards]
    if len(given) < 2 or any(c.loop is not None and c.loop.phases for cs in given for c in cs):
        return given
    everywhere = set.intersection(*(set(filter(None, map(_rounded, calls))) for calls in given))
    sizes = {
        key: call.copied
        for call in given[0]
        if (key := _rounded(call)) in everywhere and key is not None
    }
    saved: dict[int, float] = {}
    for key, size in sizes.items():
        cycles = _LINE * size / 64 * (1 - 1 / len(given))
        saved[key[0]] = saved.get(key[0], 0.0) + cycles
    phases = sorted(phase for phase, cycles in saved.items() if cycles > 2 * barrier)
    addresses: dict[Key, Address] = {}
    end = shared_bytes(given)
    for key, size in sizes.items():
        if key[0] in phases:
            addresses[key] = Address(SPACE, end)
            end += -(-size // ALIGNMENT) * ALIGNMENT
    if not addresses:
        return given

    def phase_of(phase: int) -> int:
        return phase + bisect_right(phases, phase)

    def part(number: int, call: KernelCall, address: Address) -> list[KernelCall]:
        return _part(replace(call, phase=phase_of(call.phase) - 1), address, number, len(given))

    return [
        _rewritten(calls, addresses, _rounded, partial(part, number), set(), phase_of)
        for number, calls in enumerate(given)
    ]


def shared_bytes(shards: Sequence[Sequence[KernelCall]]) -> int:
    """Return the size of the memory for the shared copies in the calls of some shards."""
    ends = [
        value.offset + call.copied
        for calls in shards
        for call in calls
        for _, value in call.arguments
        if call.copied and isinstance(value, Address) and value.space == SPACE
    ]
    return max(ends, default=0)


def _rewritten(
    calls: Iterable[KernelCall],
    addresses: dict[Key, Address],
    key_of: Keys,
    make: Makes,
    made: set[Key],
    phase_of: Callable[[int], int] = int,
) -> list[KernelCall]:
    """Return one shard's calls with the copies at `addresses`, and products that read them there.

    `make` gives the calls for a copy; a copy that is in `made` already needs no call.
    """
    found: list[KernelCall] = []
    moved: dict[Address, Address] = {}  # the shard's own memory -> the shared copy
    nodes: tuple[Node, ...] = ()
    for call in calls:
        # a call of another product that uses scratch memory ends the copies of the previous one
        if call.scratch and call.nodes != nodes:
            nodes = call.nodes
            moved = {own: all_ for own, all_ in moved.items() if own.space == "lasting"}
        key = key_of(call)
        address = addresses.get(key) if key is not None else None
        if key is not None and address is not None:
            moved[_out(call)] = address
            if key not in made:
                made.add(key)
                found += make(call, address)
            continue
        phase, arguments = phase_of(call.phase), call.arguments
        if moved:
            arguments = tuple(
                (name, moved.get(value, value) if isinstance(value, Address) else value)
                for name, value in arguments
            )
        if moved or phase != call.phase:
            call = replace(call, phase=phase, arguments=arguments)
        found.append(call)
    return found


def _whole(call: KernelCall, address: Address) -> list[KernelCall]:
    """Return the call that makes a whole copy at `address`."""
    arguments = tuple((name, address if name == "out" else value) for name, value in call.arguments)
    return [replace(call, arguments=arguments, lasting=0)]


def _plain(call: KernelCall) -> Key | None:
    """Return the key of a call that packs or transposes; None for other calls."""
    return None if "table" in dict(call.arguments) else _key(call)


def _rounded(call: KernelCall) -> Key | None:
    """Return the key of a call that rounds; None for other calls."""
    return _key(call) if "table" in dict(call.arguments) else None


def _transpose(call: KernelCall) -> Key | None:
    """Return the key of a call that transposes; None for other calls."""
    return _key(call) if "ends" in dict(call.arguments) else None


def _bytes(node: Node, plan: Plan, call: KernelCall) -> int:
    size = node.type.bound_elements * element_bytes(node.type.kind, call.kernel.dtype)
    return size * (plan.lanes if node.type.batched else 1)


def _columns(number: int, shards: int, call: KernelCall, address: Address) -> list[KernelCall]:
    """Return the call that transposes a shard's columns, a phase earlier: whole vectors of them."""
    values = dict(call.arguments)
    columns, row, x = values["columns"], values["x_row"], values["x"]
    assert isinstance(columns, int) and isinstance(row, int) and isinstance(x, Address)
    item = element_bytes("float", call.kernel.dtype)
    width = call.kernel.vector_bits // 8 // item
    start, count = share(max(columns // width, 1), number, shards)
    if count <= 0:
        return []
    is_last = (start + count + 1) * width > columns
    start, end = start * width, columns if is_last else (start + count) * width
    changed: dict[str, Value] = {
        "x": x.moved(item * start * row),
        "out": address.moved(item * start),
        "columns": end - start,
    }
    arguments = tuple((name, changed.get(name, value)) for name, value in call.arguments)
    return [replace(call, arguments=arguments, phase=call.phase - 1)]


def _key(call: KernelCall) -> Key | None:
    """Return the key of a call that copies a value which all shards read; None for other calls."""
    if not call.copied or call.once or call.loop is not None:
        return None
    values = []
    for name, value in call.arguments:
        if name == "out":
            continue
        if isinstance(value, Address) and not _is_for_all(value):
            return None
        values.append(value.array.tobytes() if isinstance(value, ConstantArray) else value)
    return call.phase, call.kernel, tuple(values)


def _is_for_all(address: Address) -> bool:
    """Return whether an address is the same memory for all shards, and no product writes to it."""
    if address.space == "arena":
        return address.shard is not None
    return address.space == "shared" or address.space.startswith("param.")


def _out(call: KernelCall) -> Address:
    value = dict(call.arguments)["out"]
    assert isinstance(value, Address), "a copy has an address"
    return value


def _part(call: KernelCall, address: Address, number: int, shards: int) -> list[KernelCall]:
    """Return the call that makes a shard's part of a copy: some runs, or a part of a single run."""
    numbers = dict(call.arguments)
    table, rows, run = numbers["table"], numbers["rows"], numbers["run"]
    assert isinstance(table, ConstantArray) and isinstance(rows, int) and isinstance(run, int)
    row = numbers.get("out_row", run)
    assert isinstance(row, int)
    start, count = share(rows, number, shards)
    changed: dict[str, Value] = {
        "table": ConstantArray(table.array[start : start + count]),
        "rows": count,
        "out": address.moved(4 * start * row),
    }
    if rows == 1 and "out_row" in numbers and run == 2 * row:
        first, count = share(-(-run // 64), number, shards)
        first, last = first * 64, min((first + count) * 64, run)
        count = last - first
        changed = {
            "table": ConstantArray(table.array + first),
            "run": count,
            "out_row": count // 2,
            "out": address.moved(2 * first),
        }
    if count <= 0:
        return []
    arguments = tuple((name, changed.get(name, value)) for name, value in call.arguments)
    return [replace(call, arguments=arguments, lasting=0)]
