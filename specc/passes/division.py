"""How the threads divide the work on a batch: shards of its examples, or a team on all of them.

divided(graph, batch=64, threads=2, vector=16)     # Division(shards=2, examples=32, lanes=32, ...)
"""

from __future__ import annotations

from dataclasses import dataclass

from specc.ir.graph import Graph, Node
from specc.ops.leaf import Input, Role
from specc.ops.reduce import AllReduce
from specc.passes import team as teams


@dataclass(frozen=True)
class Division:
    """`shards` shards of `examples` examples each, on `lanes` lanes.

    In a `team` all shards share the work on the same examples. A vector register has `vector`
    lanes; 1 if one example is predicted.
    """

    shards: int
    examples: int
    lanes: int
    vector: int
    team: bool


def divided(graph: Graph, batch: int, threads: int, vector: int, wanted: bool = False) -> Division:
    """The division of a prepared graph's batch among at most `threads` threads.

    Training uses a team whenever that is faster. Prediction uses one only if `wanted`, because on a
    busy machine a team is slower than one thread.
    """
    shards, examples, lanes = shares(batch, threads, vector)
    if vector == 1:
        team = batch == 1 and threads > 1 and not any(map(_keeps_alone, graph.nodes))
        return Division(threads if team else shards, examples, lanes, vector, team)
    trains = any(name.startswith(("param.", "gradient.")) for name in graph.outputs)
    if threads > 1 and (trains or wanted) and teams.suits(graph, batch, threads, vector):
        return Division(threads, batch, teams.whole_lanes(batch, vector), vector, True)
    return Division(shards, examples, lanes, vector, False)


def _keeps_alone(node: Node) -> bool:
    """Whether a node of a graph for one example keeps a team from working on it."""
    return isinstance(node.op, AllReduce) or (
        isinstance(node.op, Input) and node.op.role == Role.LANE
    )


def shares(batch: int, threads: int, vector: int) -> tuple[int, int, int]:
    """The shards of a batch, the examples of each, and the lanes that hold them.

    Half-empty vectors cost as much as full ones, so there are no more shards than the batch fills.
    """
    shards = min(threads, -(-batch // vector))
    examples = -(-batch // shards)
    return shards, examples, -(-examples // vector) * vector
