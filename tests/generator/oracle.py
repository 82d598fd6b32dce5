"""The interpreter as an oracle, with a bound on the error that rounding explains.

    oracle = Oracle(graph, leaves, seed=0, step=0, dtype="float32")
    oracle.disagreement("loss", found)      # None, or where and how far `found` is from the value

Most values agree with the float64 interpreter within a fixed tolerance. For others the graph is
evaluated
again and again with a random rounding error of `dtype` in every operation (stochastic arithmetic;
Vignes, A
stochastic arithmetic for reliable scientific computation, 1993): a value is accepted if it lies
within the
range of these samples, widened. Where the samples differ between finite, infinite and NaN, any is
accepted.
"""

from __future__ import annotations

from functools import cached_property

import numpy as np

from specc.backend.reference import evaluate
from specc.ir.graph import Node
from specc.ops import broadcast, elementwise, functions, gather, peers, reduce, shape, window
from specc.ops.after import After
from specc.ops.carry import Carry
from specc.ops.contract import Contract
from specc.ops.leaf import Const, Input
from specc.ops.rounding import Bfloat16

TOLERANCE = {"float32": 2e-5, "float64": 1e-11}
SAMPLES = 16
NOISE = 4
"""The rounding error of an operation, in units of the last place of the largest term."""
MARGIN = 3
"""How far outside of the samples' range a value may be, in widths of this range."""
EXACT = (
    Const,
    Input,
    After,
    shape.Reshape,
    shape.Slice,
    shape.Transpose,
    broadcast.Broadcast,
    shape.Concat,
    elementwise.Neg,
    functions.Abs,
    elementwise.Select,
    elementwise.Maximum,
    elementwise.Minimum,
    functions.Sign,
    functions.Floor,
    elementwise.ToFloat,
    elementwise.Detach,
    elementwise.Copy,
    reduce.Max,
    gather.Take,
    gather.Put,
    peers.Peers,
    peers.Own,
    shape.Pad,
    Carry,
    window.WindowMax,
    window.WindowTake,
    Bfloat16,
)
SUMS = (
    elementwise.Add,
    elementwise.Sub,
    broadcast.Sum,
    Contract,
    gather.TakeSum,
    window.WindowMaxGradient,
)


class Oracle:
    """The values of a graph, and whether others may be called equal to them."""

    def __init__(self, graph, leaves, seed: int, step: int, dtype: str):
        self.graph, self.leaves, self.seed, self.step, self.dtype = graph, leaves, seed, step, dtype
        tiny = np.finfo(dtype).tiny
        self.leaves = {key: _flushed(np.asarray(value), tiny) for key, value in leaves.items()}
        self.judged = 0  # arrays that the fixed tolerance did not decide

    @cached_property
    def values(self) -> dict[str, np.ndarray]:
        with np.errstate(all="ignore"):
            return evaluate(self.graph, self.leaves, self.seed, self.step, step_by_step=True)

    @cached_property
    def samples(self) -> list[dict[str, np.ndarray]]:
        """Values under random rounding, the first in float64 but for the range of `dtype`."""
        found = []
        for number in range(SAMPLES):
            rounding = Rounding(self.dtype, number, NOISE if number else 0)
            with np.errstate(all="ignore"):
                found.append(
                    evaluate(
                        self.graph,
                        self.leaves,
                        self.seed,
                        self.step,
                        step_by_step=True,
                        watch=rounding,
                    )
                )
        return found

    def value(self, name: str, values: dict[str, np.ndarray], rows: int | None) -> np.ndarray:
        """An output, of the first rows.

        One without a batch is repeated for each row, and so is one of a graph that reads no
        example.
        """
        node, found = self.graph.outputs[name], np.asarray(values[name])
        if rows is not None and node.type.batched and len(found) == 1:
            return np.broadcast_to(found, (rows, *node.type.shape))
        if rows is None or node.type.batched:
            return found[:rows] if node.type.batched else np.broadcast_to(found, node.type.shape)
        return np.broadcast_to(found, (rows, *node.type.shape))

    def disagreement(self, name: str, found, rows: int | None = None) -> str | None:
        """Where `found` is not the value of an output (of its first rows); None if it agrees."""
        found = np.asarray(found)
        wanted = self.value(name, self.values, rows)
        if found.shape != wanted.shape:
            return f"{name}: shape {found.shape} instead of {wanted.shape}"
        if found.dtype.kind != "f":
            close = found == wanted
        else:
            close = _close(found.astype(float), wanted.astype(float), TOLERANCE[self.dtype])
        if close.all():
            return None
        self.judged += 1
        close |= self._explained(name, found.astype(float), rows)
        if close.all():
            return None
        at = tuple(int(each) for each in np.argwhere(~close)[0])
        return (
            f"{name}{list(at)}: {found[at]!r} instead of {wanted[at]!r}; {(~close).sum()} of"
            f" {close.size} are wrong"
        )

    def _explained(self, name: str, found: np.ndarray, rows: int | None) -> np.ndarray:
        all_ = [self.values, *self.samples]
        sampled = np.stack([self.value(name, each, rows) for each in all_]).astype(float)
        finite = np.isfinite(sampled)
        with np.errstate(all="ignore"):
            low = np.where(finite, sampled, np.inf).min(0)
            high = np.where(finite, sampled, -np.inf).max(0)
            scale = np.maximum(abs(low), abs(high))
            margin = (
                MARGIN * (high - low) + TOLERANCE[self.dtype] * scale + np.finfo(self.dtype).tiny
            )
            within = (low - margin <= found) & (found <= high + margin)
        mixed = finite.any(0) & ~finite.all(0)
        lost = np.isnan(found) & np.isnan(sampled).any(0)
        infinite = np.isinf(found) & (sampled == found).any(0)
        # infinite in one order of operations, not a number in another
        unsure = ~finite.all(0) & np.isnan(sampled).any(0) & ~np.isnan(sampled).all(0)
        return within | mixed | lost | infinite | unsure


class Rounding:
    """Rounds what an operation gives to the range of a dtype, with a random error."""

    def __init__(self, dtype: str, number: int, units: float):
        self.rng = np.random.default_rng(number)
        self.dtype = np.dtype(dtype)
        limits = np.finfo(dtype)
        self.error, self.tiny, self.largest = (
            units * float(limits.eps),
            limits.tiny,
            float(limits.max),
        )

    def __call__(self, node: Node, inputs, value):
        if node.type.kind != "float" or isinstance(node.op, EXACT):
            return value
        value = np.asarray(value, float)
        if self.error:
            size = abs(value)
            if isinstance(node.op, SUMS):
                size = self._terms(node, inputs, size)
            noise = self.error * self.rng.uniform(-1, 1, value.shape) * size
            value = np.where(np.isfinite(noise), value + noise, value)
        value = np.where(abs(value) > self.largest, np.copysign(np.inf, value), value)
        return np.where(abs(value) < self.tiny, 0.0, value)

    @staticmethod
    def _terms(node: Node, inputs, size: np.ndarray) -> np.ndarray:
        """The sum of the absolute values of all terms. Within a loop the operation is that over
        all steps, and
        its inputs are those of one: there it is a bound, the product of the largest inputs."""
        types = tuple(each.type for each in node.inputs)
        op = elementwise.Add() if isinstance(node.op, elementwise.Sub) else node.op
        if size.ndim == node.type.rank + node.type.batched:
            return np.asarray(op.reference(types, *(abs(each) for each in inputs)), float)
        largest = [float(abs(each)[np.isfinite(each)].max(initial=1.0)) for each in inputs]
        return size + float(np.prod(largest)) * max(np.size(each) for each in inputs) ** 0.5


def _flushed(values: np.ndarray, tiny: float) -> np.ndarray:
    if values.dtype.kind != "f":
        return values
    return np.where(abs(values) < tiny, 0.0, values)


def _close(found: np.ndarray, wanted: np.ndarray, tolerance: float) -> np.ndarray:
    finite = np.isfinite(wanted)
    scale = abs(wanted[finite]).max(initial=0.0)
    with np.errstate(all="ignore"):
        near = abs(found - wanted) <= tolerance * (abs(wanted) + min(scale, 1.0))
    same = (np.isnan(found) & np.isnan(wanted)) | (found == wanted)
    return np.where(finite & np.isfinite(found), near, same)
