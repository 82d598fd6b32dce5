"""Copies of operands that all shards would make alike, made once by all of them together.

    shards = with_shared_copies(shards, barrier=2048)      # the calls of each shard

A product may want its weights packed, a value transposed or its operands rounded first. Where the
shards of a step read the same operand, which is a weight or a value that they share, each copies a
part of it into memory that all read, in a phase of its own just before that of the product.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from specc.backend.contraction.tiling import Cut
from specc.backend.emit.calls import Address, ConstantArray, KernelCall, Value
from specc.backend.llvm.kernel import Kernel
from specc.ir.graph import Node
from specc.ir.plan import ALIGNMENT
from specc.ir.sharing import share

SPACE = "copies"
_LINE = 4  # cycles to copy 64 bytes

Key = tuple[int, Kernel, tuple[object, ...]]
"""The phase of a copy, its kernel, and what the kernel reads."""


def with_shared_copies(
    shards: Sequence[Sequence[KernelCall]], barrier: int
) -> list[list[KernelCall]]:
    """Return the calls of all shards, with copies shared where that saves more than a `barrier`
    costs, in cycles."""
    given = [list(calls) for calls in shards]
    if len(given) < 2 or any(c.loop is not None and c.loop.phases for cs in given for c in cs):
        return given
    everywhere = set.intersection(*(set(filter(None, map(_key, calls))) for calls in given))
    sizes = {
        key: call.copied
        for call in given[0]
        if (key := _key(call)) in everywhere and key is not None
    }
    saved: dict[int, float] = {}
    for key, size in sizes.items():
        cycles = _LINE * size / 64 * (1 - 1 / len(given))
        saved[key[0]] = saved.get(key[0], 0.0) + cycles
    phases = sorted(phase for phase, cycles in saved.items() if cycles > 2 * barrier)
    places: dict[Key, Address] = {}
    end = 0
    for key, size in sizes.items():
        if key[0] in phases:
            places[key] = Address(SPACE, end)
            end += -(-size // ALIGNMENT) * ALIGNMENT
    inserted = np.array(phases, np.int64)
    return [_rewritten(calls, n, len(given), places, inserted) for n, calls in enumerate(given)]


def shared_bytes(shards: Sequence[Sequence[KernelCall]]) -> int:
    """Return the bytes that the shared copies of some shards' calls take at most."""
    ends = [
        value.offset + call.copied
        for calls in shards
        for call in calls
        for _, value in call.arguments
        if call.copied and isinstance(value, Address) and value.space == SPACE
    ]
    return max(ends, default=0)


def _rewritten(
    calls: Sequence[KernelCall],
    number: int,
    shards: int,
    places: dict[Key, Address],
    phases: np.ndarray,
) -> list[KernelCall]:
    """One shard's calls: its part of each copy once, and products that read the shared copies."""
    found: list[KernelCall] = []
    made: set[Key] = set()
    moved: dict[Address, Address] = {}  # from the shard's own memory
    nodes: tuple[Node, ...] = ()
    for call in calls:
        # another product has the scratch memory; what needs none may stand between its pieces
        if call.scratch and call.nodes != nodes:
            nodes = call.nodes
            moved = {own: all_ for own, all_ in moved.items() if own.space == "lasting"}
        phase = call.phase + int(np.searchsorted(phases, call.phase, side="right"))
        key = _key(call)
        place = places.get(key) if key is not None else None
        if key is not None and place is not None:
            moved[_out(call)] = place
            if key not in made:
                made.add(key)
                found += _part(replace(call, phase=phase - 1), place, number, shards)
            continue
        arguments = tuple(
            (name, moved.get(value, value) if isinstance(value, Address) else value)
            for name, value in call.arguments
        )
        found.append(replace(call, phase=phase, arguments=arguments))
    return found


def _key(call: KernelCall) -> Key | None:
    """What a copy is made of, and when; None for other calls, and for what a shard has alone."""
    is_whole = call.cut is None and "table" not in dict(call.arguments)
    if not call.copied or call.once or call.loop is not None or is_whole:
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
    """Whether an address is one place for all shards, which no product writes to."""
    return address.space.startswith("param.") or (
        address.space == "arena" and address.shard is not None
    )


def _out(call: KernelCall) -> Address:
    value = dict(call.arguments)["out"]
    assert isinstance(value, Address), "a copy has an address"
    return value


def _part(call: KernelCall, place: Address, number: int, shards: int) -> list[KernelCall]:
    """The call that makes a shard's part of a copy: some of the runs, or a part of the only one."""
    if call.cut is not None:
        return _cut(call, call.cut, place, number, shards)
    numbers = dict(call.arguments)
    table, rows, run = numbers["table"], numbers["rows"], numbers["run"]
    assert isinstance(table, ConstantArray) and isinstance(rows, int) and isinstance(run, int)
    row = numbers.get("out_row", run)
    assert isinstance(row, int)
    start, count = share(rows, number, shards)
    changed: dict[str, Value] = {
        "table": ConstantArray(table.array[start : start + count]),
        "rows": count,
        "out": place.moved(4 * start * row),
    }
    if rows == 1 and "out_row" in numbers and run == 2 * row:
        first, count = share(-(-run // 64), number, shards)
        first, last = first * 64, min((first + count) * 64, run)
        count = last - first
        changed = {
            "table": ConstantArray(table.array + first),
            "run": count,
            "out_row": count // 2,
            "out": place.moved(2 * first),
        }
    if count <= 0:
        return []
    arguments = tuple((name, changed.get(name, value)) for name, value in call.arguments)
    return [replace(call, arguments=arguments, lasting=0)]


def _cut(call: KernelCall, cut: Cut, place: Address, number: int, shards: int) -> list[KernelCall]:
    """The call that makes a shard's part of a copy whose entries are divided in whole blocks."""
    numbers = dict(call.arguments)
    size, source = numbers[cut.count], numbers[cut.source]
    assert isinstance(size, int) and isinstance(source, Address)
    blocks = max(size // cut.block, 1)
    first, count = share(blocks, number, shards)
    if count <= 0:
        return []
    start = first * cut.block
    end = size if first + count == blocks else start + count * cut.block
    changed: dict[str, Value] = {
        cut.count: end - start,
        cut.source: source.moved(start * cut.source_bytes),
        "out": place.moved(start * cut.out_bytes),
    }
    arguments = tuple((name, changed.get(name, value)) for name, value in call.arguments)
    return [replace(call, arguments=arguments, lasting=0)]
