"""The table that `specc show` prints: one line per layer, and the totals.

    layer   call                      shape            parameters    FLOPs   memory
    image   input                     [1, 28, 28]
    conv1   conv(6, kernel=5, pad=2)  [6, 28, 28]             156  239,904  18.8 kB
    lstm1   lstm(256)                 [256] over time     ...

FLOPs and memory are for the forward pass of one example, over all time steps: the layer's
operations, and its output in float32. Symbolic dimensions are printed as expressions.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from specc.drawing.shapes import nodes_of, over, port_shape

if TYPE_CHECKING:
    from specc.ir.graph import Node
    from specc.ir.program import Layer, Program
    from specc.ir.sizes import Size

HEADER = ("layer", "call", "shape", "parameters", "FLOPs", "memory")
LEFT = 3  # number of left-aligned columns; columns of numbers are right-aligned
FLOAT = 4  # bytes per float32
LONGEST_CALL = 48


def layer_table(program: Program) -> str:
    """Return the table of a program's layers as text."""
    from specc.ir.graph import topological
    from specc.ops.flops import flops

    elements = {each.path: each.type.elements for each in program.parameters}
    rows = [
        (port.name, "input", port_shape(port), "", "", "")
        for port in program.ports
        if port.role == "input" and "." not in port.name
    ]
    done: set[Node] = set()
    counted: dict[str, Size] = {}  # layers and parameters so far; a layer's number of parameters
    for layer in program.layers:
        parameters = sum(elements[path] for path in layer.parameters if path not in counted)
        is_shared = bool(counted.get(layer.path))
        counted.update(dict.fromkeys(layer.parameters, 1))
        counted.setdefault(layer.path, parameters)
        nodes = nodes_of(layer, done)
        done.update(nodes)
        rows.append(
            (
                layer.path,
                _shortened(layer.text),
                over(layer.output.shape, layer.sequence),
                "shared" if is_shared else _number(parameters),
                _number(flops(nodes)),
                _bytes(_kept(layer) * FLOAT),
            )
        )
    outputs = [term.node for term in program.outputs]
    everything = topological([*outputs, *(layer.node for layer in program.layers)])
    loose = sum(elements[path] for path in elements if path not in counted)
    rest = flops(node for node in everything if node not in done)
    if loose or rest:
        rows.append(("", "formulas outside of layers", "", _number(loose), _number(rest), ""))
    total = sum(elements.values())
    frozen = sum(elements[path] for path in program.frozen)
    total_row = (
        "total",
        "",
        "",
        _number(total),
        _number(flops(everything)),
        _bytes(total * FLOAT) + " of parameters",
    )
    lines = _aligned([HEADER, *rows], total_row)
    if program.updates:
        lines.append(_training(program))
    if frozen:
        lines.append(f"{_number(frozen)} of the parameters are frozen")
    if program.open_sizes:
        lines.append(
            f"symbolic: {', '.join(program.open_sizes)} (set them with {program.open_sizes[0]}=10)"
        )
    return "\n".join([program.name, "", *lines]) + "\n"


def _kept(layer: Layer) -> Size:
    """Return the number of elements of a layer's output, over all time steps."""
    return layer.node.type.elements if layer.sequence else layer.output.elements


def _training(program: Program) -> str:
    """Return the line on the memory of a training step: activations and optimizer state."""
    batch = program.recipe.batch
    values = sum(map(_kept, program.layers)) * batch
    states = [state.type.elements for update in program.updates for state in update.states]
    text = f"training in batches of {batch} keeps up to {_bytes(values * FLOAT)} of activations"
    return text + (f" and {_bytes(sum(states) * FLOAT)} of optimizer state" if states else "")


def _aligned(rows: list[tuple[str, ...]], total: tuple[str, ...]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(HEADER))]
    widths[3:5] = [max(width, len(total[i])) for i, width in enumerate(widths[3:5], start=3)]

    def line(row: tuple[str, ...]) -> str:
        cells = [
            cell.ljust(width) if i < LEFT else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        return "  ".join(cells).rstrip()

    return [*map(line, rows), "", line(total)]


def _shortened(text: str) -> str:
    text = " ".join(text.split())
    return text if len(text) <= LONGEST_CALL else text[: LONGEST_CALL - 2] + ".."


def _number(value: Size) -> str:
    return f"{value:,}" if isinstance(value, int) else str(value)


def _bytes(value: Size) -> str:
    if not isinstance(value, int):
        return f"{value} B"
    for unit, size in (("GB", 10**9), ("MB", 10**6), ("kB", 10**3)):
        if value >= size:
            return f"{value / size:.1f} {unit}"
    return f"{value} B"
