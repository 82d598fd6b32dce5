"""Gradients of any number that a model computes, by an input or a parameter.

finder = GradientsOf(programs)
finder(of="scores[3]", by="image", data={"image": Column(x)})     # [n, *shape of image]
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

from specc.backend.run.program import CompiledProgram
from specc.diagnostics import closest
from specc.ir.graph import Graph, Node, apply
from specc.ir.names import OutputKind, kind_of
from specc.ir.types import Type
from specc.net.programs import Programs
from specc.ops.broadcast import sum_batch
from specc.ops.carry import closed, following
from specc.ops.elementwise import mul
from specc.ops.leaf import Input, Role, leaf
from specc.ops.peers import sees_peers
from specc.ops.shape import Reshape, Slice
from specc.passes.autodiff import gradients
from specc.pipeline import forward
from specc.recipe import Column
from specc.system.locks import COMPILER, Mutex

OF = re.compile(r"(?P<name>[A-Za-z_][\w.]*)\s*(?:\[(?P<places>[\d\s,]*)\])?")
FOUND = "output.gradient"


class GradientsOf:
    """The gradients of a model in inference mode; a program is compiled for each `of` and `by`."""

    def __init__(self, programs: Programs) -> None:
        self.programs, self._program = programs, programs.program
        self._made: dict[tuple[str, str, int], CompiledProgram] = {}
        self._alone = Mutex()

    def __call__(self, of: str, by: str, data: Mapping[str, Column], rows: int) -> np.ndarray:
        """Return the gradient by an input, `[n, *shape]`, or by a parameter.

        The gradient by an input is each example's own; that by a parameter is of the mean over the
        examples.

        Raises ValueError for names that the model does not have, and places beyond an output.
        """
        programs = self.programs
        batch = rows if self._sees_peers(of) else min(rows, programs.batch)
        program = self._compiled(of, by, batch)
        with COMPILER, programs.clock.running():
            program.link(data)
        with programs.weights.lock.reading, self._alone:
            if self._is_parameter(by):
                array = programs.weights.arrays[f"gradient.{by}"]
                total = np.zeros_like(array)
                for start in range(0, rows, batch):
                    order = np.arange(start, min(start + batch, rows))
                    programs.run(program, data, order, len(order))
                    total = total + array * (len(order) / rows)
                return np.asarray(total, programs.dtype)
            _, outputs = programs.run(program, data, np.arange(rows), batch)
            found = outputs[FOUND]
            # the result of each batch is a mean, so it is weighted with the number of its examples
            counts = np.full(rows, batch)
            counts[rows - rows % batch :] = rows % batch
            return found * counts.reshape(-1, *(1,) * (found.ndim - 1)).astype(programs.dtype)

    def needed(self, of: str, by: str) -> tuple[str, ...]:
        """Return the names of the ports that must be given."""
        return self._compiled(of, by, self.programs.batch).ports

    def _sees_peers(self, of: str) -> bool:
        graph = forward(self._program, training=False)
        return sees_peers(Graph({"number": self._number(graph, of)}))

    def _is_parameter(self, by: str) -> bool:
        return any(each.path == by for each in self._program.parameters)

    def _compiled(self, of: str, by: str, batch: int) -> CompiledProgram:
        key = of, by, batch
        if key not in self._made:
            with COMPILER, self.programs.clock.running():
                if self._is_parameter(by):
                    self.programs.weights.add_gradients()
                self._made[key] = self.programs.of_graph(self._graph(of, by), batch)
        return self._made[key]

    def _graph(self, of: str, by: str) -> Graph:
        graph = forward(self._program, training=False)
        number = self._number(graph, of)
        if number.type.batched:
            weight = leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), batched=True)))
            number = sum_batch(mul(weight, number))
        wanted = self._leaf(graph, by)
        (found,), through_time = gradients(number, [wanted], following(graph))
        name = f"gradient.{by}" if self._is_parameter(by) else FOUND
        if name == FOUND and not found.type.batched:
            raise ValueError(f"`{of}` of {self._program.name} does not depend on `{by}`")
        return closed({name: found}, {**following(graph), **through_time})

    def _number(self, graph: Graph, of: str) -> Node:
        """Return the node of `scores[3]`; raises ValueError if it does not exist."""
        match = OF.fullmatch(of.strip())
        names = [term.name for term in self._program.outputs]
        losses = [name for name in graph.outputs if kind_of(name) == OutputKind.LOSS]
        if match is None or match["name"] not in (*names, *losses):
            near = closest(match["name"] if match else of, [*names, *losses])
            hint = f"did you mean `{near}`?" if near else f"it has {', '.join([*names, *losses])}"
            raise ValueError(f"{self._program.name} has no output or loss `{of}`; {hint}")
        name = match["name"]
        node = graph.outputs[name if name in losses else f"output.{name}"]
        places = [int(each) for each in (match["places"] or "").split(",") if each.strip()]
        shape = node.type.bound_shape
        if node.type.kind != "float":
            raise ValueError(f"`{name}` has no gradient: it is no real number")
        if len(places) != len(shape) or any(a >= b for a, b in zip(places, shape, strict=True)):
            wanted = ", ".join(f"0..{size - 1}" for size in shape)
            raise ValueError(
                f"`of` must be one number: `{name}` has the shape {list(shape)}"
                + (f", so write `{name}[{wanted}]`" if shape else "")
            )
        for axis, place in enumerate(places):
            node = apply(Slice(axis, place, 1), node)
        return apply(Reshape(()), node) if shape else node

    def _leaf(self, graph: Graph, by: str) -> Node:
        known = {
            node.op.label: node
            for node in graph.nodes
            if isinstance(node.op, Input)
            and node.op.role in ("input", "target", "param")
            and node.type.kind == "float"
        }
        if by in known:
            return known[by]
        near = closest(by, known)
        hint = f"did you mean `{near}`?" if near else f"there are {', '.join(known)}"
        raise ValueError(
            f"{self._program.name} has no input or parameter of real numbers `{by}`; {hint}"
        )
