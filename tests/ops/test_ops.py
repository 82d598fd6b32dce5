"""Every op of the registry: shape rule, gradient and emitted code against the NumPy reference."""

from __future__ import annotations

import numpy as np
import pytest
from pairs import pairwise

import specc.ops  # noqa: F401 - fills the registry
from specc.backend.machine import this_machine
from specc.backend.reference import evaluate
from specc.backend.run.program import CompiledProgram
from specc.ir.graph import Graph, Node, apply
from specc.ir.op import REGISTRY, ShapeError
from specc.ir.types import Type
from specc.ir.verify import verify
from specc.ops import elementwise as e
from specc.ops import functions, rounding
from specc.ops.after import After
from specc.ops.along import Order, RunningSum
from specc.ops.broadcast import Broadcast, Sum, sum_batch
from specc.ops.contract import Affine, Contract, index
from specc.ops.gather import Put, Take, TakeSum
from specc.ops.leaf import Const, Input, Iota, Random, Role, constant, leaf
from specc.ops.read import ReadAt
from specc.ops.reduce import AllReduce, ArgMax, BatchMean, Max
from specc.ops.rows import SetRow
from specc.ops.shape import Concat, Frame, Pad, Reshape, Slice, Transpose
from specc.ops.window import WindowArgMax, WindowMax, WindowMaxGradient, WindowTake
from specc.passes.autodiff import gradients
from specc.passes.prepare import prepare
from specc.passes.simplify import simplify
from specc.pipeline import Batch, planned
from specc.recipe import Column

F = Type("float", (3, 5), batched=True)
UNBATCHED = Type("float", (3, 5))
MAP = Type("float", (2, 7, 6), batched=True)
VECTOR = Type("float", (5,), batched=True)
LABEL = Type("int", (), True, 5)
VECTOR3 = Type("float", (3,), batched=True)
BOOL = Type("bool", (3, 5), batched=True)
MATRIX = Type("float", (4, 5))


def dense(out, n):
    return Contract((out, n), (index(0),), (index(0), index(1)), (index(1),), (out,))


def conv(filters, channels, window, rows, columns, stride=1):
    def at(position, tap):
        return Affine(((position, stride), (tap, 1)))

    return Contract(
        (filters, rows, columns, channels, window, window),
        (index(0), index(1), index(2)),
        (index(0), index(3), index(4), index(5)),
        (index(3), at(1, 4), at(2, 5)),
        (filters, rows, columns),
    )


def transposed(filters, channels, window, rows, columns, stride=1):
    """A transposed convolution: each element puts a copy of the kernel into a larger image."""

    def at(position, tap):
        return Affine(((position, stride), (tap, 1)))

    return Contract(
        (filters, rows, columns, channels, window, window),
        (index(0), at(1, 4), at(2, 5)),
        (index(3), index(0), index(4), index(5)),
        (index(3), index(1), index(2)),
        (filters, (rows - 1) * stride + window, (columns - 1) * stride + window),
    )


def window_sum(channels, window, rows, columns, stride):
    at = tuple(Affine(((1 + k, stride[k]), (3 + k, 1))) for k in range(2))
    return Contract(
        (channels, rows, columns, *window),
        (index(0), index(1), index(2)),
        (),
        (index(0), *at),
        (channels, rows, columns),
    )


# (op, types of the inputs); one or more cases for each class of the registry
CASES = [
    *[
        (op(), (F, F))
        for op in (e.Add, e.Sub, e.Mul, e.Div, e.Maximum, e.Minimum, e.FloorDiv, e.Mod)
    ],
    *[(op(), (F, UNBATCHED)) for op in (e.Add, e.Mul, e.Div)],
    *[(op(), (UNBATCHED, UNBATCHED)) for op in (e.Sub, e.Mul)],
    (functions.Pow(), (F, F)),
    *[
        (op(), (F,))
        for op in (
            e.Neg,
            functions.Exp,
            functions.Expm1,
            functions.Log,
            functions.Log1p,
            functions.Sqrt,
            functions.Tanh,
            functions.Sigmoid,
            functions.Erf,
            functions.Erfc,
            functions.Abs,
            functions.Sign,
            functions.Floor,
            functions.Sin,
            functions.Cos,
            functions.Sinh,
            functions.Atan,
            e.Detach,
            e.Copy,
            rounding.Bfloat16,
        )
    ],
    *[(op(), (F, F)) for op in (e.Less, e.LessEqual, e.Equal)],
    *[(op(), (BOOL, BOOL)) for op in (e.And, e.Or)],
    (e.Equal(), (LABEL, LABEL)),
    (e.Not(), (BOOL,)),
    (e.Select(), (BOOL, F, F)),
    (e.Select(), (BOOL, F, UNBATCHED)),
    (e.ToFloat(), (BOOL,)),
    (e.ToFloat(), (LABEL,)),
    (e.ToInt(9), (VECTOR,)),
    (Broadcast((4, 3, 5), (1, 2)), (F,)),
    (Broadcast((3, 2, 5), (0, 2)), (UNBATCHED,)),
    (Reshape((15,)), (F,)),
    (Reshape((5, 3)), (UNBATCHED,)),
    (Reshape((2, 1, 42)), (MAP,)),
    (After(), (F, VECTOR)),
    (After(), (UNBATCHED, F)),
    (Transpose((1, 0)), (F,)),
    (Transpose((2, 0, 1)), (MAP,)),
    (ReadAt((2, 3), (index(0), Affine(((1, 2),)))), (F,)),
    (ReadAt((2, 3, 2), (index(0), Affine(((1, 1), (2, 2))))), (F,)),
    (ReadAt((3, 2), (Affine((), 1), index(1), Affine(((0, 1), (1, 1)), 1))), (MAP,)),
    (ReadAt((3,), (index(0), index(0))), (UNBATCHED,)),
    (Slice(1, 1, 2, 2), (F,)),
    (Slice(0, 1, 1), (MAP,)),
    (Pad(1, 2, 9), (F,)),
    (Pad(1, 0, 13, 2), (MAP,)),
    (Pad(0, 1, 6), (UNBATCHED,)),
    (Pad(1, 2, 9, fill=1.5), (F,)),
    (Pad(2, 1, 13, 2, fill=0.5), (MAP,)),
    (Pad(0, 1, 6, fill=-2.0), (UNBATCHED,)),
    (Frame((0, 1, 2), (2, 8, 9)), (MAP,)),
    (Frame((1, 0), (5, 5)), (UNBATCHED,)),
    (Concat(0), (F, F)),
    (Concat(1), (F, UNBATCHED, F)),
    (Concat(0), (UNBATCHED, UNBATCHED)),
    (Sum((1,)), (F,)),
    (Sum((0,)), (F,)),
    (Sum((0, 1)), (UNBATCHED,)),
    (Sum((1, 2)), (MAP,)),
    (Sum((0, 2)), (MAP,)),
    (Sum((), batch=True), (F,)),
    (Sum((1, 2), batch=True), (MAP,)),
    (Sum((0, 2), batch=True), (MAP,)),
    (Max((0,)), (VECTOR,)),
    (Max((1,)), (F,)),
    (Max((0, 2)), (MAP,)),
    (Max((0, 1)), (UNBATCHED,)),
    (AllReduce(), (UNBATCHED,)),
    (ArgMax(), (VECTOR,)),
    (RunningSum(0), (VECTOR,)),
    (RunningSum(1), (MAP,)),
    (RunningSum(2), (MAP,)),
    (RunningSum(0), (UNBATCHED,)),
    (Order(), (VECTOR,)),
    (Order(), (MAP,)),
    (Order(), (Type("float", (1,), True),)),
    (Order(), (Type("float", (2, 33)),)),
    (dense(4, 5), (MATRIX, VECTOR)),
    (
        Contract(
            (3, 4, 5), (index(0), index(1)), (index(0), index(2)), (index(2), index(1)), (3, 4)
        ),
        (F, Type("float", (5, 4), batched=True)),
    ),
    (
        Contract(
            (3, 4, 5), (index(0), index(1)), (index(0), index(2)), (index(1), index(2)), (3, 4)
        ),
        (UNBATCHED, MATRIX),
    ),
    (
        Contract((4, 5), (index(0), index(1)), (index(0),), (index(1),), (4, 5), sum_batch=True),
        (Type("float", (4,), batched=True), VECTOR),
    ),
    (conv(3, 2, 3, 5, 4), (Type("float", (3, 2, 3, 3)), MAP)),
    (conv(5, 2, 2, 3, 3, stride=2), (Type("float", (5, 2, 2, 2)), MAP)),
    (transposed(3, 2, 3, 7, 6, stride=2), (Type("float", (2, 3, 3, 3)), MAP)),
    (window_sum(2, (3, 2), 5, 3, stride=(1, 2)), (Type("float"), MAP)),
    (window_sum(2, (2, 2), 3, 3, stride=(2, 2)), (Type("float"), MAP)),
    (WindowMax((2, 2), (2, 2)), (Type("float", (4, 2, 7, 6), True),)),
    (WindowMax((2, 2), (2, 2)), (MAP,)),
    (WindowMax((3, 2), (1, 2)), (MAP,)),
    (WindowArgMax((2, 2), (2, 2)), (MAP, Type("float", (2, 3, 3), True))),
    (WindowArgMax((3, 2), (1, 2)), (MAP, Type("float", (2, 5, 3), True))),
    (
        WindowMaxGradient((2, 2), (2, 2), (7, 6)),
        (Type("byte", (2, 3, 3), True, 4), Type("float", (2, 3, 3), True)),
    ),
    (
        WindowMaxGradient((3, 2), (1, 2), (7, 6)),
        (Type("byte", (2, 5, 3), True, 6), Type("float", (2, 5, 3), True)),
    ),
    (WindowTake((2, 2), (2, 2)), (Type("byte", (2, 3, 3), True, 4), MAP)),
    (WindowTake((3, 2), (1, 2)), (Type("byte", (2, 5, 3), True, 6), MAP)),
    (WindowTake((1, 1), (2, 3)), (Type("byte", (2, 4, 2), True, 1), MAP)),
    (Take(), (VECTOR, LABEL)),
    (Take(), (MATRIX, Type("int", (), True, 4))),
    (Take(), (MATRIX, Type("int", (3,), True, 4))),
    (Take(), (Type("float", (4, 21)), Type("int", (3,), True, 4))),
    (Take(), (Type("float", (4, 2, 8)), Type("int", (), True, 4))),
    (TakeSum(), (MATRIX, Type("int", (3,), True, 4))),
    (TakeSum(), (Type("float", (4, 37)), Type("int", (3, 2), True, 4))),
    (TakeSum(), (Type("float", (4, 16), True), Type("int", (3,), True, 4))),
    (Put(5), (Type("float", (), True), LABEL)),
    (Put(5, sum_batch=True), (Type("float", (3,), True), LABEL)),
    (Take(1), (Type("float", (3, 4), True), Type("int", (3,), True, 4))),
    (Take(1), (Type("float", (3, 4, 2)), Type("int", (3, 5), True, 4))),
    (Take(2), (Type("float", (2, 3, 4), True), Type("int", (2, 3), True, 4))),
    (Put(5, lead=1), (Type("float", (3, 2), True), Type("int", (3,), True, 5))),
    (Put(5, sum_batch=True, lead=1), (Type("float", (3, 2), True), Type("int", (3,), True, 5))),
    (
        Put(5, sum_batch=True, same=True),
        (Type("float", (3,), True), Type("int", (4,), True, 5)),
    ),
    (
        Put(5, sum_batch=True, same=True),
        (Type("float", (37, 2), True), Type("int", (2, 3), True, 5)),
    ),
    (SetRow(), (Type("float", (4, 3), True), VECTOR3, Type("int", (), True, 4))),
    (SetRow(), (Type("float", (4,), True), Type("float"), Type("int", (), True, 4))),
    (SetRow(), (MATRIX, Type("float", (5,), True), Type("int", (), True, 4))),
    (SetRow(), (Type("float", (4, 2, 2)), Type("float", (2, 2)), Type("int", (), True, 4))),
    (Const(0.5), ()),
    (Iota(4), ()),
]
# Leaves are given, not computed; others stand for what is made before or after compilation. Random
# numbers have tests of their own (test_random).
ELSEWHERE = {
    "Carry",
    "Derivative",
    "Peers",
    "Own",
    "Input",
    "Random",
    "BatchMean",
    "Iota",
    "Const",
    "Alike",
    "Uniform",
}
SMOOTH_FROM = {"Log", "Log1p", "Sqrt", "Pow", "Div"}  # tested on positive numbers


def ids(case):
    op, types = case
    return f"{op.name}({op.attributes()})-" + ",".join(
        str(t.shape) + "b" * t.batched for t in types
    )


def values(op, types, examples, seed=0):
    """Random inputs: distinct, away from kinks, positive where the op asks for it."""
    rng = np.random.default_rng(seed)
    found = []
    for position, type_ in enumerate(types):
        shape = ((examples,) if type_.batched else ()) + type_.shape
        if type_.kind in ("int", "byte"):
            found.append(rng.integers(0, type_.classes, shape))
        elif type_.kind == "bool":
            found.append(rng.random(shape) < 0.5)
        else:
            size = int(np.prod(shape))
            spaced = (rng.permutation(size) - size / 2 + 0.3) / max(size, 1) * 4 + 0.05 * position
            array = spaced.reshape(shape)
            found.append(np.abs(array) + 0.3 if op.name in SMOOTH_FROM else array)
    if isinstance(op, WindowArgMax):
        found[1] = WindowMax(op.size, op.stride).reference(types[:1], found[0])
    return found


def nodes(types):
    return [
        leaf(Input(Role.INPUT if t.batched else Role.PARAM, f"x{i}", t))
        for i, t in enumerate(types)
    ]


def leaves(types, arrays):
    return {
        ("input" if t.batched else "param", f"x{i}"): a
        for i, (t, a) in enumerate(zip(types, arrays, strict=True))
    }


def test_every_op_of_the_registry_has_a_case():
    assert {op.name for op, _ in CASES} | ELSEWHERE == set(REGISTRY)


@pytest.mark.parametrize("examples", [1, 3])
@pytest.mark.parametrize("case", CASES, ids=ids)
def test_the_shape_rule_tells_the_shape_of_the_reference(case, examples):
    op, types = case
    arrays = values(op, types, examples)
    result = op.reference(types, *arrays)
    type_ = op.infer(*types)
    # before AllReduce a batch sum is unbatched for the interpreter, which has one shard
    lead = (examples,) if type_.batched else ()
    assert np.shape(result) == lead + type_.shape


def total(node: Node, weights: np.ndarray) -> Node:
    """A scalar that weighs every element of a value: its gradient tests a random projection."""
    spread = leaf(Input(Role.PARAM, "projection", Type("float", node.type.shape)))
    product = e.mul(node, spread)
    summed = apply(Sum(tuple(range(product.type.rank))), product)
    if not summed.type.batched:
        return summed
    return sum_batch(
        e.mul(summed, leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), True))))
    )


@pytest.mark.parametrize(
    "case",
    [
        c
        for c in CASES
        if c[1]
        and not isinstance(
            c[0],
            (
                ArgMax,
                Order,
                WindowArgMax,
                AllReduce,
                e.Detach,
                rounding.Bfloat16,
            ),
        )
    ],
    ids=ids,
)
def test_the_gradient_agrees_with_finite_differences(case):
    op, types = case
    result = op.infer(*types)
    if result.kind != "float":
        pytest.skip("no gradient flows through a boolean or an index")
    arrays = values(op, types, 3)
    inputs = nodes(types)
    loss = total(apply(op, *inputs), None)
    projection = np.random.default_rng(1).standard_normal(result.shape)
    wanted = [n for n, t in zip(inputs, types, strict=True) if t.kind == "float"]
    found, _ = gradients(loss, wanted)
    graph = verify(
        Graph({"loss": loss, **{n.op.label: d for n, d in zip(wanted, found, strict=True)}}),
        "autodiff",
    )
    given = {
        **leaves(types, arrays),
        ("param", "projection"): projection,
        ("weight_of_example", ""): np.array([0.5, 0.3, 0.2]),
    }
    exact = evaluate(graph, given)
    for node in wanted:
        key = (node.op.role, node.op.label)
        array = given[key]
        direction = np.random.default_rng(2).standard_normal(array.shape)
        h = 1e-6
        above = evaluate(graph, {**given, key: array + h * direction})["loss"]
        below = evaluate(graph, {**given, key: array - h * direction})["loss"]
        slope = np.sum(np.broadcast_to(exact[node.op.label], array.shape) * direction)
        assert slope == pytest.approx((above - below) / (2 * h), rel=1e-6, abs=1e-7)


def compiled_value(graph: Graph, arrays, types, examples, dtype, shards, vector=None):
    """The compiled value of output "output.y" or "gradient.y" of a graph.

    `vector`: lanes of a vector, by default those of this machine.
    """
    ready = verify(prepare(verify(simplify(graph), "simplify")), "prepare")
    item = 8 if dtype == "float64" else 4
    vector = vector or this_machine().vector_bits // (8 * item)
    made = planned(ready, Batch(examples, vector, item, shards))
    store = {
        f"param.x{i}": np.ascontiguousarray(a, dtype if t.kind == "float" else None)
        for i, (t, a) in enumerate(zip(types, arrays, strict=True))
        if not t.batched
    }
    for name, node in graph.outputs.items():
        if name.startswith("gradient."):
            store[name] = np.full(node.type.shape, np.nan, dtype)
    program = CompiledProgram(made, dtype, store)
    data = {
        f"x{i}": Column(np.asarray(a))
        for i, (t, a) in enumerate(zip(types, arrays, strict=True))
        if t.batched
    }
    order = np.arange(examples)
    _, outputs = program.run(data, order, examples)
    return {**store, **outputs}


def named(value) -> str:
    """A case's name, or a dtype or the numbers of examples and shards."""
    return value if isinstance(value, str) else ids(value) if value in CASES else str(value)


@pytest.mark.parametrize(
    ("case", "size", "dtype"),
    pairwise(
        [c for c in CASES if c[1] and not isinstance(c[0], (WindowMaxGradient, WindowTake))],
        [(1, 1), (19, 2), (37, 3)],
        ["float64", "float32"],
        name=named,
    ),
)
def test_the_emitted_code_agrees_with_the_reference(case, size, dtype):
    (op, types), (examples, shards) = case, size
    result = op.infer(*types)
    if getattr(op, "batch", False) or getattr(op, "sum_batch", False):
        # padding lanes count unless an example's weight says no
        weight = leaf(Input(Role.WEIGHT_OF_EXAMPLE, "", Type("float", (), True)))
        inputs = nodes(types)
        scaled = [e.mul(inputs[0], Broadcast_(weight, types[0].shape)), *inputs[1:]]
        node = apply(op, *scaled)
        factor = 1.0 / examples
    else:
        node, factor = apply(op, *nodes(types)), 1.0
    arrays = values(op, types, examples)
    if isinstance(op, AllReduce):
        pytest.skip("its input is a sum over a shard, which Sum and Contract test")
    if not result.batched and result.kind != "float":
        pytest.skip("outputs that are one for the batch are gradients, and these are float")
    name = "output.y" if result.batched else "gradient.y"
    found = compiled_value(Graph({name: node}), arrays, types, examples, dtype, shards)[name]
    wanted = (
        op.reference(types, *arrays) * factor if factor != 1.0 else op.reference(types, *arrays)
    )
    tolerance = 1e-12 if dtype == "float64" else 2e-5
    np.testing.assert_allclose(
        found.astype(float), np.asarray(wanted, float), rtol=tolerance, atol=tolerance
    )


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("examples", "shards"), [(1, 1), (19, 2), (37, 3)])
@pytest.mark.parametrize(
    "op", [WindowMax((2, 2), (2, 2)), WindowMax((3, 2), (1, 2)), WindowMax((1, 4), (3, 1))]
)
def test_the_gradient_of_a_window_s_maximum_is_emitted_right(op, examples, shards, dtype):
    types = (MAP, op.infer(MAP), MAP, Type("float", MAP.shape))
    arrays = values(op, types, examples)
    arrays[0] = np.round(arrays[0])  # equal elements in a window: the first one counts
    x, dy, z, same = nodes(types)
    y = apply(op, x)
    (dx,) = op.vjp(y, dy)
    graph = Graph(
        {
            "output.y": dx,
            "output.second": dx.op.vjp(dx, z)[1],
            "output.third": dx.op.vjp(dx, same)[1],
        }
    )
    found = compiled_value(graph, arrays, types, examples, dtype, shards)
    wanted = evaluate(graph, leaves(types, arrays))
    np.testing.assert_allclose(found["output.y"], wanted["output.y"], rtol=1e-5, atol=1e-5)
    for name, each in (("output.second", z), ("output.third", same)):
        array = arrays[2 + (each is same)]
        windows = np.lib.stride_tricks.sliding_window_view(
            np.stack([arrays[0], np.broadcast_to(array, arrays[0].shape)]), op.size, (-2, -1)
        )
        windows = windows[..., :: op.stride[0], :: op.stride[1], :, :]
        flat = windows.reshape(*windows.shape[:-2], -1)
        at = flat[0].argmax(-1)[..., None]
        np.testing.assert_array_equal(
            found[name], np.take_along_axis(flat[1], at, -1)[..., 0].astype(dtype)
        )
        np.testing.assert_array_equal(found[name], wanted[name].astype(dtype))


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(
    "op", [WindowMax((2, 2), (2, 2)), WindowMax((3, 2), (1, 2)), WindowMax((2, 2), (1, 1))]
)
def test_a_window_s_maximum_of_a_value_without_batch(op, dtype):
    x = leaf(Input(Role.PARAM, "x0", Type("float", (2, 7, 6))))
    around = [leaf(Input(Role.PARAM, f"x{i}", op.infer(x.type))) for i in (1, 2)]
    y = apply(op, x)
    (dx,) = op.vjp(y, around[0])
    types = (x.type, y.type, y.type)
    rng = np.random.default_rng(0)
    arrays = [np.round(rng.standard_normal(t.shape) * 2) for t in types]
    graph = Graph({"gradient.y": y, "gradient.dx": dx, "gradient.beside": e.mul(*around)})
    found = compiled_value(graph, arrays, types, 5, dtype, 1)
    wanted = evaluate(graph, leaves(types, arrays))
    for name, value in wanted.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-6)


SPECIAL = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1.0, 2.0, 2.0, -3.0])


@pytest.mark.parametrize("dtype", ["float64", "float32"])
@pytest.mark.parametrize(("examples", "batched"), [(1, True), (37, True), (3, False)])
@pytest.mark.parametrize(
    "op", [WindowMax((2, 2), (2, 2)), WindowMax((3, 2), (1, 2)), WindowMax((1, 4), (3, 1))]
)
def test_a_window_with_a_nan_gives_nan_and_infinity_is_a_number(op, examples, batched, dtype):
    kind = Type("float", (2, 7, 6), batched)
    types = (kind, op.infer(kind))
    rng = np.random.default_rng(examples)
    lead = (examples,) if batched else ()
    x, dy = (rng.choice(SPECIAL, lead + t.shape, p=[0.06, *[0.94 / 8] * 8]) for t in types)
    inputs = nodes(types)
    y = apply(op, inputs[0])
    (dx,) = op.vjp(y, inputs[1])
    role = "output" if batched else "gradient"
    graph = Graph({f"{role}.y": y, f"{role}.dx": dx})
    with np.errstate(invalid="ignore"):  # inf - inf where windows overlap
        wanted = evaluate(graph, leaves(types, (x, dy)))
    assert np.isnan(wanted[f"{role}.y"]).any() and np.isfinite(wanted[f"{role}.y"]).any()
    found = compiled_value(graph, (x, dy), types, examples, dtype, 1)
    for name, value in wanted.items():
        np.testing.assert_array_equal(found[name], value)


@pytest.mark.parametrize("examples", [1, 37])
@pytest.mark.parametrize("shape", [(9,), (2, 5), (3, 1)])
def test_argmax_is_the_first_of_equal_scores_and_the_first_nan(shape, examples):
    kind = Type("float", shape, True)
    rng = np.random.default_rng(0)
    graph = Graph({"output.y": apply(ArgMax(), *nodes((kind,)))})
    for values_ in (
        SPECIAL,
        SPECIAL[1:],
        np.array([1.0, 2.0]),
        np.array([-np.inf]),
        np.array([np.nan, 1.0]),
    ):
        x = rng.choice(values_, (examples, *shape))
        found = compiled_value(graph, (x,), (kind,), examples, "float32", 1)["output.y"]
        np.testing.assert_array_equal(found, x.argmax(-1))


@pytest.mark.parametrize("op", [ArgMax(), Take()], ids=lambda op: op.name)
def test_an_own_kernel_of_values_without_batch_takes_one_lane(op):
    types = (Type("float", (4, 5)),) + (
        (Type("int", (3,), False, 4),) if isinstance(op, Take) else ()
    )
    x = nodes(types[:1])[0]
    index_ = apply(e.ToInt(4), leaf(Input(Role.PARAM, "x1", Type("float", (3,)))))
    y = apply(op, x) if isinstance(op, ArgMax) else apply(op, x, index_)
    y = apply(e.ToFloat(), y) if isinstance(op, ArgMax) else y
    batched = leaf(Input(Role.INPUT, "x2", VECTOR))
    arrays = [
        np.random.default_rng(0).standard_normal((4, 5)),
        np.array([3.0, 0.0, 2.0]),
        np.ones((19, 5)),
    ]
    kinds = (x.type, Type("float", (3,)), VECTOR)
    graph = Graph({"gradient.y": y, "output.z": e.mul(batched, 2.0)})
    found = compiled_value(graph, arrays, kinds, 19, "float64", 2)["gradient.y"]
    np.testing.assert_array_equal(found, evaluate(graph, leaves(kinds, arrays))["gradient.y"])


def Broadcast_(node, shape):
    return apply(Broadcast(shape), node) if shape else node


@pytest.mark.parametrize(
    ("op", "types", "message"),
    [
        (e.Add(), (F, VECTOR), "needs equal shapes"),
        (e.Add(), (F, Type("float", (3, 4))), "axis 1 is 5 on the left and 4 on the right"),
        (functions.Exp(), (BOOL,), "`exp` works on float"),
        (e.Add(), (F, BOOL), r"`\+` works on float"),
        (Reshape((4,)), (F,), "15 elements"),
        (dense(4, 6), (MATRIX, VECTOR), "read up to 6"),
        (Take(), (VECTOR, Type("int", (), True, 7)), "7 classes"),
        (WindowMax((9, 9), (1, 1)), (MAP,), "does not fit"),
    ],
)
def test_a_misfit_is_a_shape_error_that_says_why(op, types, message):
    with pytest.raises(ShapeError, match=message):
        op.infer(*types)


OTHER = Type("float", (3, 4), batched=True)


@pytest.mark.parametrize(
    ("op", "types", "position"),
    [
        (e.Select(), (F, F, F), 0),
        (e.Select(), (Type("bool", (5, 3), True), F, F), 0),
        (e.Select(), (BOOL, F, BOOL), 2),
        (e.Select(), (BOOL, F, OTHER), 2),
        (e.Add(), (F, OTHER), 1),
        (e.Add(), (F, BOOL), 1),
        (e.Add(), (BOOL, F), 0),
        (Take(), (VECTOR, Type("int", (), True, 7)), 1),
    ],
)
def test_a_shape_error_names_the_operand_that_does_not_fit(op, types, position):
    with pytest.raises(ShapeError) as caught:
        op.infer(*types)
    assert caught.value.argument == position


def test_random_draws_depend_on_seed_and_label_alone():
    one, same, other = (
        Random("normal", (50,), "a"),
        Random("normal", (50,), "a"),
        Random("normal", (50,), "b"),
    )
    np.testing.assert_array_equal(one.draw(1), same.draw(1))
    assert not np.array_equal(one.draw(1), other.draw(1))
    assert not np.array_equal(one.draw(1), one.draw(2))
    np.testing.assert_allclose(one.draw(1)[:2], [2.1832735884058856, -1.1967233296158108])
    assert constant(1.0).type == Type("float")
    assert BatchMean().infer(F) == Type("float", (3, 5))


def test_which_rows_of_an_operand_are_summed_over():
    assert [dense(4, 5).summed_row(is_left) for is_left in (True, False)] == [None, 1]
    assert [conv(3, 2, 3, 5, 4).summed_row(is_left) for is_left in (True, False)] == [None, 3]
    assert [transposed(3, 2, 3, 7, 6).summed_row(is_left) for is_left in (True, False)] == [3, 3]
    for rows in (Affine(((1, 2),)), Affine(((1, 1), (2, 1))), Affine(((1, 1),), 1)):
        op = Contract((4, 5, 3), (index(0),), (index(0), index(1)), (rows,), (4,))
        assert op.summed_row(False) is None, (
            "every second row, two indices, rows from the second on"
        )
    no_rows = Contract((4, 5), (index(0),), (), (index(0), index(1)), (4,))
    assert no_rows.summed_row(True) is None and no_rows.summed_row(False) is None
