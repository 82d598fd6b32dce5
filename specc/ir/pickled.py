"""Programs in pickles: nodes are written as a list, each after its inputs.

    pickled = packed(fields)         # fields: any values over nodes
    fields = unpacked(pickled)

A graph may be deeper than Python's pickles, which go from a node to its inputs by recursion.
"""

from __future__ import annotations

import io
import pickle
from collections.abc import Mapping
from typing import Any

from specc.ir.graph import Node, topological


class _Pickler(pickle.Pickler):
    def __init__(self, file: io.BytesIO) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL)
        self.numbers: dict[Node, int] = {}

    def persistent_id(self, value: object) -> int | None:
        if not isinstance(value, Node):
            return None
        if value not in self.numbers:
            for node in topological([value]):
                self.numbers.setdefault(node, len(self.numbers))
        return self.numbers[value]


class _Unpickler(pickle.Unpickler):
    def __init__(self, file: io.BytesIO, nodes: list[Node]) -> None:
        super().__init__(file)
        self._nodes = nodes

    def persistent_load(self, number: int) -> Node:
        return self._nodes[number]


def packed(fields: Mapping[str, Any]) -> bytes:
    """Return a pickle of the nodes, and of the fields, which refer to nodes by number."""
    search = _Pickler(io.BytesIO())
    search.dump(dict(fields))
    file = io.BytesIO()
    pickler = _Pickler(file)
    numbers = pickler.numbers = search.numbers
    # one pickler for both, so that nodes and fields keep sharing one `Source`
    pickler.dump(
        [
            (node.op, [numbers[each] for each in node.inputs], node.type, node.origin)
            for node in numbers
        ]
    )
    pickler.dump(dict(fields))
    return file.getvalue()


def unpacked(pickled: bytes) -> dict[str, Any]:
    """Return the fields that `packed` was given."""
    nodes: list[Node] = []
    unpickler = _Unpickler(io.BytesIO(pickled), nodes)
    for op, inputs, type_, origin in unpickler.load():
        nodes.append(Node(op, tuple(nodes[each] for each in inputs), type_, origin))
    return unpickler.load()
