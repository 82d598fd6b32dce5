"""A value that is read both directly and through a view of itself, and old weights that are read
while they are overwritten: against the NumPy interpreter in float64.
"""

from __future__ import annotations

import random

import numpy as np
import pytest
from ops.test_ops import compiled_value
from pairs import in_turn

import specc
from specc.backend.reference import evaluate
from specc.ir.graph import Graph, Node, apply
from specc.ir.kind import Kind
from specc.ir.types import Type
from specc.ops.broadcast import Broadcast, Sum
from specc.ops.elementwise import Add, Mul, Sub
from specc.ops.functions import Abs, Tanh
from specc.ops.leaf import Input, Role, leaf
from specc.ops.reduce import Max
from specc.ops.shape import Frame, Pad, Slice, Transpose
from specc.ops.views import awaited, root_of
from specc.passes.fuse import fuse
from specc.passes.prepare import prepare
from specc.pipeline import forward, training_step
from specc.source import Source

SIZE = 3
TYPES = (
    Type("float", (SIZE, SIZE), True),
    Type("float", (SIZE, SIZE), True),
    Type("float", (SIZE, SIZE)),
)


def viewed(node: Node, pick: random.Random) -> Node:
    """A square value in another order."""
    for _ in range(pick.randint(1, 2)):
        kind = pick.randrange(4)
        if kind == 0:
            node = apply(Transpose((1, 0)), node)
        elif kind < 3:
            node = apply(Slice(kind - 1, SIZE - 1, SIZE, -1), node)
        else:
            row = apply(Slice(0, pick.randrange(SIZE), 1), node)
            node = apply(Broadcast((SIZE, SIZE), (0, 1)), row) if SIZE == 1 else node
    return node


def some_graph(seed: int) -> Graph:
    """Formulas over squares, many of which read a value and views of it; some of weights alone."""
    pick = random.Random(seed)
    values = [
        leaf(Input(Role.INPUT if t.batched else Role.PARAM, f"x{i}", t))
        for i, t in enumerate(TYPES)
    ]
    for _ in range(pick.randint(4, 14)):
        a, b = pick.choice(values[-5:]), pick.choice(values)
        kind = pick.randrange(8)
        if kind < 4:
            own = viewed(pick.choice([a, a, b]), pick)
            values.append(apply(pick.choice([Add, Sub, Mul])(), a, own))
        elif kind < 6:
            values.append(apply(pick.choice([Abs, Tanh])(), a))
        elif kind < 7:
            values.append(apply(Add(), a, b))
        else:
            axis = pick.randrange(2)
            total = apply(pick.choice([Sum, Max])((axis,)), a)
            values.append(apply(Sub(), b, apply(Broadcast((SIZE, SIZE), (axis,)), total)))
    own = [node for node in values if node.type.batched]
    picked = {f"output.{i}": node for i, node in enumerate(pick.sample(own, min(len(own), 3)))}
    return Graph({**picked, "output.y": own[-1]})


def check_groups(graph: Graph) -> None:
    """Whether each group of a prepared graph comes after all that it reads, and its loop reads of
    what it makes only the element that it has just made.
    """
    overwritten = {
        tuple(name.split(".", 1)): node
        for name, node in graph.outputs.items()
        if name.startswith(("param.", "state."))
    }
    done: set[Node] = set()
    for group in fuse(graph):
        made: set[Node] = set()
        for node in group.nodes:
            assert not any(root in made for root in awaited(node))
            for each in node.inputs:
                root = root_of(each)
                if root in group.nodes:
                    assert each is root and root in made
                    assert not isinstance(root.op, (Sum, Max, Pad, Frame))
                else:
                    assert root in done or not root.inputs
                key = (root.op.role, root.op.label) if isinstance(root.op, Input) else None
                assert each is root or overwritten.get(key) not in group.nodes
            made.add(node)
        done |= made
    assert {root_of(node) for node in graph.outputs.values()} <= done | set(
        node for node in graph.nodes if not node.inputs
    )


def test_groups_read_of_their_own_values_only_the_element_just_made():
    for seed in range(400):
        check_groups(prepare(some_graph(seed)))


BOUNDS = {"float64": 1e-12, "float32": 1e-5}


@pytest.mark.parametrize(("seed", "dtype"), in_turn(range(4), BOUNDS))
def test_formulas_over_views_agree_with_the_interpreter(seed, dtype):
    graph = some_graph(1000 + seed)
    rng = np.random.default_rng(seed)
    for examples, shards in ((1, 1), (2, 1), (3, 2), (37, 2)):
        arrays = [rng.uniform(-1, 1, ((examples,) if t.batched else ()) + t.shape) for t in TYPES]
        given = {
            ("input" if t.batched else "param", f"x{i}"): a
            for i, (t, a) in enumerate(zip(TYPES, arrays, strict=True))
        }
        wanted = evaluate(graph, given)
        found = compiled_value(graph, arrays, TYPES, examples, dtype, shards)
        for name, value in wanted.items():
            assert np.abs(found[name] - value).max() < BOUNDS[dtype] * (1 + np.abs(value).max())


FORMULAS = {
    "a formula and its transpose": "input x: float[5, 5] let y = exp(x) output y + transpose(y)",
    "a formula and its input's transpose": "input x: float[5, 5] let y = x + 1 output y +"
    " transpose(x)",
    "a product and its transpose": """input x: float[5, 5] param W: float[5, 5] = normal
        param B: float[5, 5] = normal let y = W @ x + B output y * 2 + transpose(y)""",
    "a formula of a formula": "input x: float[5, 5] let y = x + 1 let z = exp(y) output y +"
    " transpose(z)",
    "a later reader": """input x: float[5, 5] param W: float[5, 5] = normal
        let v = W @ x let y = x + 1 let z = exp(y) output v * y output v * transpose(z) + z""",
    "transposes that do not commute": """input x: float[2, 3, 4]
        output transpose(transpose(x; 1, 2, 0); 1, 0, 2) * 2""",
    "backwards": """input x: float[t, 5]
        output reverse(x) output x[::2] + reverse(x)[::2] output reverse(x)[0]
        output transpose(reverse(x))""",
    "backwards into a layer": "input x: float[t, 5] output reverse(x) -> dense(3) output x +"
    " reverse(exp(x))",
    "backwards and forwards": "input x: float[t, 5] output x -> lstm(1) output reverse(reverse(x)"
    " -> lstm(1))",
    "images backwards": """input x: float[t, 5] let y = exp(reverse(x)) -> reshape(1, 1, 5)
        output y -> upsample(2) output y -> conv(2, kernel=1)""",
}


@pytest.mark.parametrize(("name", "dtype"), in_turn(FORMULAS, BOUNDS))
def test_predictions_agree_with_the_interpreter(name, dtype):
    before = "seq t = 5" if "[t," in FORMULAS[name] else ""
    program = specc.load(Source("m.dl", f"{before} model m {{ {FORMULAS[name]} }}"))
    rng = np.random.default_rng(0)
    data = {port.name: rng.standard_normal((40, *port.shape)) for port in program.ports}
    for threads in (1, 2):
        net = specc.compile(program, batch=37, dtype=dtype, threads=threads, shards=threads, seed=1)
        leaves = {("input", name): array.astype(dtype) for name, array in data.items()}
        leaves |= {("param", path): array for path, array in net.params.items()}
        wanted = evaluate(forward(program, training=False), leaves)
        for rows in (1, 2, 3, 37, 40):
            given = {name: array[:rows] for name, array in data.items()}
            for key, found in net.forward(**given).items():
                value = wanted[f"output.{key}"]
                assert found.shape == value[:rows].shape
                assert np.abs(found - value[:rows]).max() < BOUNDS[dtype] * (
                    1 + np.abs(value).max()
                )


UPDATES = {
    "a weight and its transpose": """param W: float[3, 3] = normal
        loss sum(W @ x) loss more = sum(W * transpose(W) * W)""",
    "weights that read each other": """param W: float[3, 3] = normal param V: float[3, 3] = normal
        loss sum(W @ x) + sum(V @ x) loss more = sum(W * transpose(V))""",
    "weights of other shapes that read each other": """param W: float[3, 4] = normal
        param V: float[4, 3] = normal
        loss sum(V @ x) loss more = sum(W * transpose(V))""",
    "slices that overlap": """param W: float[5] = normal
        loss sum(W) * sum(x) loss more = sum(W[1:] * W[:4])""",
    "a slice in steps beside another one": """param W: float[5] = normal
        loss sum(x) * (sum(W[0:5:2]) + 10 * sum(W[3:]))""",
    "a shift register": "let y = shift(x) param g: float[3] = normal loss sum(y * g * g)",
    "a product over its operand": "let y = turned(x) param g: float[3] = normal loss sum(y * g *"
    " g)",
}
BLOCKS = """
block shift(x: float[n]) {
  state m: float[3] = 2
  let old = m[0:2]
  next m = concat(stop_gradient(batch_mean(x))[1:2], old)
  return x + m
}
block turned(x: float[n]) {
  state m: float[3] = 2
  param A: float[3, 3] = normal
  next m = stop_gradient(A) @ m + stop_gradient(batch_mean(x))
  return x + m
}
"""


@pytest.mark.filterwarnings("ignore:.*no loss depends on the parameter")
@pytest.mark.parametrize("name", UPDATES)
def test_updates_read_the_old_values(name):
    text = (
        f"{BLOCKS} model m {{ input x: float[3] {UPDATES[name]} }} train"
        f" {{ optimizer sgd(lr=0.1) batch = 9 }}"
    )
    program = specc.load(Source("m.dl", text))
    x = np.random.default_rng(0).standard_normal((9, 3))
    for threads in (1, 2):
        net = specc.compile(program, dtype="float64", threads=threads, shards=threads, seed=1)
        check_groups(prepare(net.graph(Kind.TRAIN)))
        leaves = {("input", "x"): x, ("weight_of_example", ""): np.full(9, 1 / 9)}
        leaves |= {("setting", "0"): np.array(0.1)}
        for _ in range(2):
            leaves |= {("param", path): array.copy() for path, array in net.params.items()}
            leaves |= {("state", path): array.copy() for path, array in net.states.items()}
            wanted = evaluate(training_step(program).graph, leaves)
            assert net.step(x=x) == pytest.approx(wanted["loss"], rel=1e-12)
            for role, arrays in (("param", net.params), ("state", net.states)):
                for path, array in arrays.items():
                    np.testing.assert_allclose(
                        array, wanted[f"{role}.{path}"], rtol=1e-12, atol=1e-14
                    )
