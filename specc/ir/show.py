"""A graph as text, one node a line: its specification in tests and in `specc show`.

%3 = Add(%1, %2)                          float[10] per example    scores lenet.dl:14
"""

from __future__ import annotations

from specc.ir.graph import Graph, Node
from specc.ir.program import Program
from specc.recipe import DataCall


def show_graph(graph: Graph) -> str:
    """Return a graph as text: every node in order, then the named outputs."""
    number = {node: f"%{i}" for i, node in enumerate(graph.nodes)}
    rows = [
        (f"{number[node]} = {show_node(node, number)}", str(node.type), str(node.origin))
        for node in graph.nodes
    ]
    left = max((len(row[0]) for row in rows), default=0)
    middle = max((len(row[1]) for row in rows), default=0)
    left, middle = min(left, 70), min(middle, 36)
    lines = [f"{a:<{left}}  {b:<{middle}}  {c}".rstrip() for a, b, c in rows]
    lines += [f"output {name} = {number[node]}" for name, node in graph.outputs.items()]
    return "\n".join(lines) + "\n"


def show_node(node: Node, number: dict[Node, str] | None = None) -> str:
    """Return one node as text: `Sum(%4; axes=(0,))`."""
    inputs = ", ".join(number[each] if number else str(each.type) for each in node.inputs)
    attributes = node.op.attributes()
    return f"{node.op.name}({inputs}{'; ' if inputs and attributes else ''}{attributes})"


def show_program(program: Program) -> str:
    """Return a program as text: its declarations and recipe, then the graph of its terms."""
    lines = [f"model {program.name}"]
    for port in program.ports:
        classes = f" of {port.classes} classes" if port.classes is not None else ""
        lines.append(f"{port.role} {port.name}: {port.kind}{list(port.shape)}{classes}")
    for each in program.parameters:
        frozen = " frozen" if each.path in program.frozen else ""
        weight = " weight" if each.is_weight else ""
        lines.append(f"param {each.path}: {each.type}{weight}{frozen}")
    states = [*program.states, *(state for update in program.updates for state in update.states)]
    lines += [f"state {each.path}: {each.type}" for each in states]
    outputs = {}
    for kind, terms in (
        ("output", program.outputs),
        ("loss", program.losses),
        ("metric", program.metrics),
    ):
        outputs.update({f"{kind}.{term.name}": term.node for term in terms})
    recipe = program.recipe
    for role, source in (
        ("data", recipe.data),
        ("validate", recipe.validate),
        ("test", recipe.test),
    ):
        if source is not None:
            lines.append(f"{role} {_show_source(source)}")
    lines.append(f"epochs {recipe.epochs}, batch {recipe.batch}, seed {recipe.seed}")
    text = "\n".join(lines) + "\n\n" + show_graph(Graph(outputs))
    for update in program.updates:
        nexts = {f"param.{update.path}": update.next}
        nexts.update(
            {f"state.{state.path}": state.next for state in update.states if state.next is not None}
        )
        if update.again is not None:
            nexts[f"again.{update.path}"] = update.again
        text += f"\nupdate of {update.path}\n" + show_graph(Graph(nexts))
    return text


def _show_source(source: DataCall | float) -> str:
    if isinstance(source, float):
        return f"split = {source}"
    settings = "".join(f"; {name} = {value}" for name, value in source.settings.items())
    return f"{source.word}({', '.join(map(repr, source.arguments))}{settings})"
