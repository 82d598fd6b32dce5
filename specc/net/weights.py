"""The arrays of a model: parameters, states, and states that streams carry between batches.

    weights = Weights(program, batch=64, dtype="float32", seed=0)
    weights.params["dense1.weight"], weights.states["adam.dense1.weight.m"]

All programs of a model read and write these arrays. `lock` lets many calls read them, or one call
change them.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping

import numpy as np

from specc.backend.reference import evaluate
from specc.backend.run.storage import aligned
from specc.ir.graph import Graph, Node
from specc.ir.names import OutputKind, kind_of
from specc.ir.program import Parameter, Program, State
from specc.net.arrays import Arrays
from specc.system.locks import ReadWriteLock


class Weights:
    """The live arrays of a model, in C order.

    `arrays` has those that compiled programs know by name: "param.PATH", "state.PATH" and, once
    gradients are wanted, "gradient.PATH". `slots` maps labels of states to the values that each
    slot of a stream's batch carries to the next batch.
    """

    def __init__(
        self,
        program: Program,
        batch: int,
        dtype: str,
        seed: int,
        values: Mapping[str, np.ndarray] | None = None,
    ) -> None:
        self.program, self.dtype, self.seed = program, dtype, seed
        self.lock = ReadWriteLock()
        self._allocate: Callable[[int], np.ndarray] = aligned  # memory of all that train together
        self.common: list[np.ndarray] = []  # what is in such memory
        self.arrays: dict[str, np.ndarray] = {}
        states = [
            *program.states,
            *(state for update in program.updates for state in update.states),
        ]
        wanted: dict[str, Parameter | State] = {
            **{f"param.{each.path}": each for each in program.parameters},
            **{f"state.{each.path}": each for each in states},
        }
        self._initial = Graph({name: each.initial for name, each in wanted.items()})
        if values is None:
            values = evaluate(self._initial, {}, seed)
        for name, each in wanted.items():
            self.arrays[name] = self._array(each.type.bound_shape)
            self.arrays[name][...] = values[name]
        self.params = Arrays(
            {each.path: self.arrays[f"param.{each.path}"] for each in program.parameters},
            f"{program.name} has no parameter",
            self.lock.writing,
        )
        self.slots = {
            label: np.zeros((batch, *self._slot_shape(label)), dtype)
            for label, _ in program.streams
        }
        lasting = {each.path: self.arrays[f"state.{each.path}"] for each in states}
        self.states = Arrays(
            {**lasting, **{f"stream.{label}": array for label, array in self.slots.items()}},
            f"{program.name} has no state",
            self.lock.writing,
        )
        self.params.settle()

    def are_initial(self) -> bool:
        """Return whether nothing has changed the parameters and states."""
        values = evaluate(self._initial, {}, self.seed)
        return all(
            (self.arrays[name] == np.asarray(value, self.dtype)).all()
            for name, value in values.items()
        )

    def move(self, allocate: Callable[[int], np.ndarray], is_writer: bool) -> None:
        """Move the parameters and states to other memory; only a writer fills it.

        No program may have been compiled yet, as programs know the addresses.
        """
        self._allocate = allocate
        sizes = {name: -(-array.nbytes // 64) * 64 for name, array in self.arrays.items()}
        memory, at = allocate(sum(sizes.values())), 0
        self.common.append(memory)
        for name, old in self.arrays.items():
            new = memory[at : at + old.nbytes].view(old.dtype).reshape(old.shape)
            if is_writer:
                new[...] = old
            self.arrays[name], at = new, at + sizes[name]
            role, _, path = name.partition(".")
            if role in (OutputKind.PARAM, OutputKind.STATE):
                (self.params if role == OutputKind.PARAM else self.states).replace(path, new)
        self.params.settle()

    def leave(self) -> None:
        """Move to no common memory any more; what is in it is this process's alone by now."""
        self._allocate, self.common = aligned, []

    def _array(
        self, shape: tuple[int, ...], allocate: Callable[[int], np.ndarray] = aligned
    ) -> np.ndarray:
        item = np.dtype(self.dtype).itemsize
        size = int(np.prod(shape, dtype=np.int64))
        memory = allocate(item * size)
        if allocate is not aligned:
            self.common.append(memory)
        return memory[: item * size].view(self.dtype).reshape(shape)

    def _slot_shape(self, label: str) -> tuple[int, ...]:
        (then,) = (node for name, node in self.program.carries if name == label)
        return then.type.bound_shape[1:]

    def new_slots(self, batch: int) -> dict[str, np.ndarray]:
        """Return slots of streams that begin anew."""
        return {
            label: np.zeros((batch, *array.shape[1:]), self.dtype)
            for label, array in self.slots.items()
        }

    def add_gradients(
        self, paths: Collection[str] | None = None, kind: OutputKind = OutputKind.GRADIENT
    ) -> None:
        """Make the arrays that a program for gradients writes to, of all parameters or of some.

        Those of some are for a step of several batches, which processes may train together.
        """
        allocate = aligned if paths is None else self._allocate
        for each in self.program.parameters:
            name = f"{kind}.{each.path}"
            if name not in self.arrays and (paths is None or each.path in paths):
                self.arrays[name] = self._array(each.type.bound_shape, allocate)
        if paths is None:
            self._copies = {
                each.path: self.arrays[f"gradient.{each.path}"].copy
                for each in self.program.parameters
            }

    def gradients(self) -> dict[str, np.ndarray]:
        """Return copies of the gradients by path."""
        return {path: copy() for path, copy in self._copies.items()}

    def lasting(self) -> dict[str, np.ndarray]:
        """Return the parameters, states and slots, which a training changes, by name."""
        kept = {
            name: array
            for name, array in self.arrays.items()
            if kind_of(name) in (OutputKind.PARAM, OutputKind.STATE)
        }
        return {**kept, **{f"slot.{label}": array for label, array in self.slots.items()}}

    def leaves(self) -> dict[tuple[str, str], np.ndarray]:
        """Return the parameters and states, as the interpreter reads them."""
        found = {("param", path): array for path, array in self.params.items()}
        found.update({("state", path): array for path, array in self.states.items()})
        return found

    def value(self, node: Node) -> np.ndarray:
        """Return the value of a node that depends on no input, in inference mode."""
        from specc.passes.lower import set_mode

        graph = set_mode(Graph({"value": node}), training=False)
        found = evaluate(graph, self.leaves(), self.seed)["value"]
        return found.astype(self.dtype) if node.type.kind == "float" else found
