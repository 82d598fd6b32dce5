"""Cells and sequences: compiled code against the NumPy interpreter and finite differences."""

from __future__ import annotations

import ast
import random
import re

import numpy as np
import pytest
from pairs import in_turn
from random_cells import random_program
from sequences import (
    agrees_with_finite_differences,
    agrees_with_the_interpreter,
    examples,
    interpreted,
    load,
    model,
    randomized,
)

import specc
from specc import driver, pipeline

SCORES = "output w loss mse(w, y)"
OWN = """seq time = 5
    cell leaky(x: float[n]; units: int > 0, keep: float = 0.5) {
      state h: float[units] = 0
      let h2 = keep * h + (1 - keep) * tanh(concat(x, h) -> dense(units))
      next h = h2
      return h2
    }"""
NETWORKS = {
    # the library's cells
    "rnn": model(f"let w = x -> rnn(4) -> dense(2) {SCORES}"),
    "irnn": model(f"let w = x -> irnn(4) -> dense(2) {SCORES}"),
    "lstm": model(f"let w = x -> lstm(4) -> dense(2) {SCORES}"),
    "peephole": model(f"let w = x -> peephole_lstm(4) -> dense(2) {SCORES}"),
    "gru": model(f"let w = x -> gru(4) -> dense(2) {SCORES}"),
    "own": model(f"let w = x -> leaky(4, keep=0.3) -> dense(2) {SCORES}", OWN),
    # how they are put together
    "stacked": model(f"let w = x -> lstm(5) -> gru(4) -> rnn(3) -> dense(2) {SCORES}"),
    "repeated": model(f"let w = x -> 2 * (lstm(4)) -> dense(2) {SCORES}"),
    "bidirectional": model(f"""
        let there = x -> lstm(4) let back = reverse(reverse(x) -> lstm(3))
        let w = concat(there, back) -> dense(2) {SCORES}"""),
    "shared": """seq time = 4
        model m { input a: float[time, 3] input b: float[time, 3] target d: float[]
        layer tower = gru(4) -> last -> dense(2)
        let e = sum((tower(a) - tower(b)) ^ 2) output e loss mse(e, d) }""",
    "shared cell": """seq time = 4
        model m { input a: float[time, 3] input b: float[time, 3] target d: float[4]
        layer cell1 = lstm(4)
        let w = last(cell1(a)) - first(cell1(b)) output w loss mse(w, d) }""",
    "constant input": """seq time = 4
        cell driven(x: float[n], z: float[m]; units: int > 0) {
          state h: float[units] = 0
          let h2 = tanh(concat(x, h, z) -> dense(units))
          next h = h2
          return h2
        }
        model m { input x: float[time, 3] input z: float[2] target y: float[time, 2]
        let w = x -> driven(z; 4) -> dense(2) output w loss mse(w, y) }""",
    "along": """seq time = 4
        model m { input z: float[3] target y: float[time, 2]
        let w = z -> dense(3) -> tanh -> along(time) -> rnn(4) -> dense(2) output w
        loss mse(w, y) }""",
    "encoder and decoder": """seq source = 5
        seq result = 3
        model m { input x: float[source, 3] input z: float[result, 2] target y: float[result, 2]
        let ys, h, c = x -> lstm(4)
        let w = z -> lstm(h=h, c=c; 4) -> dense(2) output w loss mse(w, y) }""",
    "start from the example": """seq time = 4
        model m { input x: float[time, 3] input z: float[5] target y: float[time, 2]
        let w = x -> gru(h=dense(z; 4) -> tanh; 4) -> dense(2) output w loss mse(w, y) }""",
    "start from a parameter": model(f"""param h0: float[4] = normal
        let w = x -> rnn(h=h0; 4) -> dense(2) {SCORES}"""),
    "start from a number": model(f"let w = x -> lstm(h=0.5, c=-0.25; 4) -> dense(2) {SCORES}"),
    "final states in the loss": """seq time = 5
        model m { input x: float[time, 3] target y: float[2]
        let hs, h, c = x -> lstm(4) let w = concat(h, c) -> dense(2)
        output w loss mse(w, y) loss energy = 0.01 * sum(c * c) }""",
    "two losses": """seq time = 5
        model m { input x: float[time, 3] target y: float[time, 2] target z: class(3)
        let hs, h = x -> gru(4) let w = hs -> dense(2) let scores = h -> dense(3)
        output w output scores loss mse(w, y) loss kind = 0.5 * cross_entropy(scores, z)
        loss penalty = 0.01 * l2(weights) }""",
    # states of all kinds
    "a state that is never read": model(
        """let w, h = x -> counted(2) output w
        loss mse(w, y) loss sum(h)""",
        """seq time = 5
        cell counted(x: float[n]; units: int > 0) {
          state h: float[units] = 1
          let y = x -> dense(units)
          next h = tanh(y)
          return y
        }""",
    ),
    "a state that is never read, nor its last value": model(
        f"let w = x -> counted(2) {SCORES}",
        """
        seq time = 5
        cell counted(x: float[n]; units: int > 0) {
          state h: float[units] = 1
          let y = x -> dense(units)
          next h = tanh(y) + h
          return y
        }""",
    ),
    "no recurrence": model(
        f"let w = x -> delayed -> dense(2) {SCORES}",
        """seq time = 5
        cell delayed(x: float[n]) {
          state h: float[n] = 0.5
          next h = x
          return concat(x, h)
        }""",
    ),
    "the step before the last": model(
        f"let w = x -> delayed -> dense(2) {SCORES}",
        """seq time = 5
        cell delayed(x: float[n]) {
          state h: float[n] = 0.5
          state k: float[n] = 0.25
          next h = x
          next k = h
          return concat(x, h, k)
        }""",
    ),
    "an output from the old state": model(
        f"let w = x -> moore(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell moore(x: float[n]; units: int > 0) {
          state h: float[units] = 0.1
          next h = tanh(concat(x, h) -> dense(units))
          return sigmoid(h)
        }""",
    ),
    "a state as it was": model(
        f"let w = x -> summed -> dense(2) {SCORES}",
        """seq time = 5
        cell summed(x: float[n]) {
          param gain: float[n] = normal
          state total: float[n] = 0
          next total = total + gain * x
          return total
        }""",
    ),
    "a scalar state": model(
        f"let w = x -> paced -> dense(2) {SCORES}",
        """seq time = 5
        cell paced(x: float[n]) {
          param rate: float[] = 0.3
          state level: float[] = 1
          let now = rate * level + mean(x)
          next level = now
          return now * x
        }""",
    ),
    "a matrix as state": model(
        f"let w = x -> memory(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell memory(x: float[n]; units: int > 0) {
          state m: float[units, n] = 0
          let key = x -> dense(units) -> tanh
          let m2 = 0.9 * m + spread(key, m) * rows(x, m)
          next m = m2
          return m2 @ x
        }""",
    ),
    "two values": model(
        f"""let a, b = x -> pair(4) let w = concat(a, b) -> dense(2) {SCORES}""",
        """
        seq time = 5
        cell pair(x: float[n]; units: int > 0) {
          state h: float[units] = 0
          let h2 = tanh(concat(x, h) -> dense(units))
          next h = h2
          return h2, h * h2
        }""",
    ),
    "a cell in a block": model(
        f"let w = x -> tower(4) {SCORES}",
        """seq time = 5
        block tower(x: float[n]; units: int > 0) {
          return x -> lstm(units) -> layernorm -> dense(2)
        }""",
    ),
    "a cell in a cell": model(
        f"let w = x -> outer(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell outer(x: float[n]; units: int > 0) {
          param start: float[units] = normal
          state s: float[units] = 0.1
          let b, h, c = concat(x, s) -> dense(units) -> tanh -> lstm(h=0.1 * start; units)
          let s2 = 0.5 * s + c * (b -> gru(units)) + h
          next s = s2
          return s2
        }""",
    ),
    "cells in a cell without a state": model(
        f"let w = x -> stacked(3) -> dense(2) {SCORES}",
        """seq time = 5
        cell stacked(x: float[n]; units: int > 0) {
          let a = x -> 2 * (rnn(units)) -> gru(units)
          return a * (x -> gru(units))
        }""",
    ),
    "a cell in a block in a cell in a cell": model(
        f"let w = x -> outer(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell summed(x: float[n]) {
          state total: float[n] = 0.5
          let now = 0.7 * total + x
          next total = now
          return now, total
        }
        block tower(x: float[n]; units: int > 0) {
          let now, before = x -> gru(units) -> dense(3) -> summed
          return concat(now, before) -> dense(units)
        }
        cell inner(x: float[n]; units: int > 0) {
          state h: float[units] = 0
          let h2 = tanh(concat(x, h) -> tower(units))
          next h = h2
          return h2 + h
        }
        cell outer(x: float[n]; units: int > 0) {
          state h: float[units] = 0.2
          let h2 = h - (concat(x, h) -> inner(units))
          next h = h2
          return h2
        }""",
    ),
    "a shared cell used twice in a cell": model(
        f"let w = x -> outer(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell outer(x: float[n]; units: int > 0) {
          layer one = gru(units)
          state s: float[n] = 0
          let a = one(x)
          let b = one(x + s)
          next s = x - s
          return a - 0.5 * b
        }""",
    ),
    "layers within a cell": model(
        f"let w = x -> deep(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell deep(x: float[n]; units: int > 0) {
          state h: float[units] = 0
          layer twice = dense(units) -> tanh
          let a = concat(x, h) -> dense(units) -> relu -> layernorm
          let h2 = twice(a) + 0.5 * twice(h)
          next h = h2
          return h2
        }""",
    ),
    "shared layers within a shared layer within a cell": model(
        f"let w = x -> c(4) -> dense(2) {SCORES}",
        """
        seq time = 5
        block two(x: float[n]; k: int > 0) {
          layer d = dense(k)
          return d(x) + tanh(d(-x))
        }
        cell c(x: float[n]; units: int > 0) {
          layer t = two(units)
          state h: float[units] = 0
          let h2 = tanh(t(concat(x, h)) + t(concat(x, -h)))
          next h = h2
          return h2
        }""",
    ),
    "a constant within a cell": model(
        f"let w = x -> scaled(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell scaled(x: float[n]; units: int > 0) {
          param u: float[units, units] = normal
          param b: float[units] = normal
          state h: float[units] = 0
          let w = 0.5 * u + 0.1 * u @ u
          let h2 = tanh(w @ h + (x -> dense(units)) + exp(b))
          next h = h2
          return h2
        }""",
    ),
    "classes in a cell": """seq time = 5
        cell speaker(k: class(v); units: int > 0) {
          state h: float[units] = 0
          let h2 = tanh(concat(embed(k; 3), h) -> dense(units))
          next h = h2
          return h2
        }
        model m { input k: class(7)[time] target y: class(7)[time]
        let w = k -> speaker(4) -> dense(7) output w loss cross_entropy(w, y)
        metric accuracy(w, y) }""",
    "a choice within a cell": model(
        f"let w = x -> gated(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell gated(x: float[n]; units: int > 0) {
          state h: float[units] = 0
          let open = sum(x) > 0
          let h2 = if open then tanh(concat(x, h) -> dense(units)) else h
          next h = h2
          return max(h2, -0.5)
        }""",
    ),
    "attention over the state": model(
        f"let w = x -> looking(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell looking(x: float[n]; units: int > 0) {
          state h: float[units] = 0.1
          let p = softmax(concat(x, h) -> dense(units))
          let h2 = p * h * 2 + tanh(x -> dense(units)) * max(p)
          next h = h2
          return h2
        }""",
    ),
    "what is the same at every step": model(
        f"let w = x -> squared -> normed(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell squared(x: float[n]) {
          state h: float[n] = 0.1
          let c = concat(x, h)
          let h2 = tanh(x * (c @ c))
          next h = h2
          return h2
        }
        cell normed(x: float[n]; units: int > 0) {
          param v: float[units, units] = normal
          state h: float[units] = 0.1
          let w = v / (1 + sum(v * v))
          let h2 = tanh((x -> dense(units)) + w @ h)
          next h = h2
          return h2
        }""",
    ),
    "a choice of a row within a cell": model(
        f"let w = x -> c(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell c(x: float[n]; units: int > 0) {
          state h: float[units] = 0.1
          let k = argmax(concat(x, h) -> dense(units))
          let h2 = tanh(one_hot(k) + 0.5 * h + (x -> dense(units)) + embed(k; units))
          next h = h2
          return h2 * h2[k]
        }""",
    ),
    "parts of states": model(
        f"let w = x -> c(6) -> dense(2) {SCORES}",
        """seq time = 5
        cell c(x: float[n]; units: int > 0) {
          state h: float[units] = 0.1
          let z = concat(x, h) -> dense(units)
          let h2 = concat(tanh(z[0:2]), sigmoid(h[1:3]) * z[::3], z[3:5])
          next h = h2
          return h2[0:3]
        }""",
    ),
    "convolution and windows over a state": """seq time = 4
        cell c(x: float[k, a, b]) {
          state h: float[k, a, b] = 0
          let h2 = tanh(x + (h -> maxpool(3, stride=1, pad=1) -> conv(k, kernel=3, pad=1))
            + (h -> avgpool(2) -> upsample(2)))
          next h = h2
          return h2
        }
        model m { input x: float[time, 2, 6, 4] target y: float[time, 2]
        let w = x -> c -> flatten -> dense(2) output w loss mse(w, y) }""",
    "windows over the input of a cell": """seq time = 4
        cell c(x: float[k, a, b]; units: int > 0) {
          state h: float[units] = 0
          let h2 = tanh(concat(x -> conv(2, kernel=3, pad=1) -> maxpool(2) -> flatten, h)
          -> dense(units))
          next h = h2
          return h2
        }
        model m { input x: float[time, 1, 6, 4] target y: float[time, 2]
        let w = x -> c(3) -> dense(2) output w loss mse(w, y) }""",
    "weights over the steps": """seq time = 4
        model m { input x: float[time, 3] target y: float[2]
        let s = x -> gru(4) let a = exp(s -> dense(1)) let n = sum(a; over=time)
        let w = sum(s * spread((a / along(n; time))[0], s); over=time) -> dense(2)
        output w loss mse(w, y) }""",
    # words at each step
    "sums over the steps": """seq time = 5
        model m { input x: float[time, 3] target y: float[2]
        let s = x -> rnn(4) let w = concat(sum(s; over=time), mean(s * s; over=time)) -> dense(2)
        output w loss mse(w, y) }""",
    "first and last": """seq time = 5
        model m { input x: float[time, 3] target y: float[2]
        let s = x -> gru(4) let w = concat(first(s), last(s), last(reverse(s))) -> dense(2)
        output w loss mse(w, y) }""",
    "images": """seq time = 4
        model m { input x: float[time, 1, 6, 6] target y: class(3)[time]
        let w = x -> conv(3, kernel=3, pad=1) -> relu -> maxpool(2) -> conv(2, kernel=2) -> flatten
          -> gru(4) -> dense(3)
        output w loss cross_entropy(w, y) }""",
    "no cell at all": model(f"let w = x -> dense(4) -> tanh -> dense(2) {SCORES}"),
    "layernorm": model(
        f"let w = x -> dense(4) -> layernorm -> lstm(4) -> layernorm -> dense(2) {SCORES}"
    ),
    "batchnorm": model(f"let w = x -> dense(4) -> batchnorm -> rnn(4) -> dense(2) {SCORES}"),
    "images with batchnorm": """seq time = 3
        model m { input x: float[time, 2, 4, 4] target y: float[2]
        let w = x -> conv(3, kernel=3, pad=1) -> batchnorm -> relu -> global_avgpool -> rnn(4)
        -> last
          -> dense(2)
        output w loss mse(w, y) }""",
    "words": """seq time = 5
        model m { input k: class(7)[time] target y: class(7)[time]
        let w = k -> embed(3) -> lstm(4) -> dense(7) output w loss cross_entropy(w, y) }""",
    "one-hot": """seq time = 5
        model m { input k: class(7)[time] target y: class(7)[time]
        let w = k -> one_hot -> rnn(4) -> dense(7) output w loss cross_entropy(w, y) }""",
    "one step": model(f"let w = x -> lstm(4) -> gru(3) -> dense(2) {SCORES}", "seq time = 1"),
    "two steps": model(f"let w = reverse(x -> lstm(4)) -> dense(2) {SCORES}", "seq time = 2"),
    "prime sizes": """seq time = 13
        model m { input x: float[time, 11] target y: float[time, 3]
        let w = x -> lstm(17) -> peephole_lstm(19) -> gru(7) -> dense(3) output w
        loss mse(w, y) }""",
}
# the numbers of examples and threads
SETTINGS = [(1, 1), (21, 3), (16, 1), (7, 2)]


@pytest.mark.parametrize(("name", "setting"), in_turn(NETWORKS, SETTINGS))
def test_compiled_gradients_agree_with_the_interpreter_to_1e_10(name, setting):
    agrees_with_the_interpreter(NETWORKS[name], *setting)


@pytest.mark.parametrize("name", NETWORKS)
def test_compiled_gradients_agree_with_finite_differences_to_1e_6(name):
    agrees_with_finite_differences(NETWORKS[name])


FEW = [
    pytest.param(name, marks=pytest.mark.long if number % 4 else ())
    for number, name in enumerate(NETWORKS)
]


@pytest.mark.parametrize("name", FEW)
def test_float32_agrees_with_the_interpreter_to_1e_4(name):
    agrees_with_the_interpreter(NETWORKS[name], 19, 2, "float32", 1e-4)


RANDOM = {
    "dropout between layers": model(f"""let w = x -> dense(4) -> dropout(0.3) -> rnn(4)
        -> dropout(0.5)
        -> dense(2) {SCORES}"""),
    "dropout within a cell": model(
        f"let w = x -> noisy(4) -> dense(2) {SCORES}",
        """seq time = 5
        cell noisy(x: float[n]; units: int > 0) {
          state h: float[units] = 0
          let h2 = tanh(concat(x, h) -> dense(units)) -> dropout(0.3)
          next h = h2 + 0.1 * normal(h)
          return h2
        }""",
    ),
}


@pytest.mark.parametrize("threads", [1, 3])
@pytest.mark.parametrize("name", RANDOM)
def test_random_numbers_are_drawn_anew_at_each_step_and_are_those_of_the_interpreter(name, threads):
    program = load(RANDOM[name])
    net = specc.compile(program, batch=21, dtype="float64", threads=threads, shards=threads)
    randomized(net)
    data = examples(program, 21)
    loss, gradients = net.loss_and_gradients(**data)
    wanted = interpreted(program, net, data, pipeline.with_gradients(program))
    assert loss == pytest.approx(wanted["loss"], rel=1e-10)
    for path, gradient in gradients.items():
        np.testing.assert_allclose(gradient, wanted[f"gradient.{path}"], rtol=1e-10, atol=1e-10)


def test_dropout_leaves_out_other_elements_at_each_step():
    net = specc.compile(
        load("""seq time = 2
        model m { input x: float[time, 50] param p: float[50] = 1
        let w = dropout(x) * p output w loss sum(sum(w; over=time)) }"""),
        batch=1,
        threads=1,
    )
    _, gradients = net.loss_and_gradients(x=np.ones((1, 2, 50)))
    assert set(gradients["p"]) == {0, 2, 4}  # 2 + 2, 0 + 0, and 2 at one of the two steps


def test_a_state_starts_as_the_use_says():
    net = specc.compile(
        load("""seq time = 3
        cell kept(x: float[n]) {
          state h: float[n] = 2
          next h = h
          return h + x
        }
        model m { input x: float[time, 4] input z: float[4] param p: float[4] = 7
        output a = x -> kept output b = x -> kept(h=0.5;) output c = x -> kept(h=z;)
        output d = x -> kept(h=p;) }"""),
        batch=2,
        dtype="float64",
        threads=1,
    )
    z = np.arange(8.0).reshape(2, 4)
    found = net.forward(x=np.zeros((2, 3, 4)), z=z)
    assert (found["a"] == 2).all() and (found["b"] == 0.5).all() and (found["d"] == 7).all()
    np.testing.assert_array_equal(found["c"], np.repeat(z[:, None], 3, 1))


# beside them, random programs have cells of their own
CHANCE = [pytest.param(seed, marks=pytest.mark.long if seed >= 8 else ()) for seed in range(60)]


@pytest.mark.parametrize("seed", CHANCE)
def test_a_cell_made_up_by_chance_agrees_with_the_interpreter(seed):
    rng = random.Random(seed)
    text = random_program(rng)
    agrees_with_the_interpreter(text, rng.choice((1, 3, 8, 17)), rng.choice((1, 2, 3)))


def test_an_output_may_depend_on_no_input():
    net = specc.compile(
        load("""seq time = 3
        cell clock(x: float[n]) {
          state t: float[] = 1
          next t = 2 * t
          return t
        }
        model m { input x: float[time, 2] output t = x -> clock }"""),
        batch=2,
        threads=1,
    )
    np.testing.assert_array_equal(net.forward(x=np.zeros((3, 3, 2)))["t"], [[1, 2, 4]] * 3)


# The code that is made of a cell


def turns(text):
    """For each loop of the compiled training: the ops of one turn."""
    net = specc.compile(load(text), batch=16, threads=1)
    plan = net.compiled("gradients").plan
    return [
        [node.op for each in step.steps for node in each.group.nodes]
        for step in plan.steps
        if step.steps
    ]


@pytest.mark.parametrize(
    "layers", ["lstm(8)", "2 * (lstm(8))", "gru(8) -> rnn(8)", "reverse -> lstm(8)"]
)
def test_only_the_product_with_the_state_is_in_the_loop(layers):
    loops = turns(model(f"let w = x -> dense(8) -> {layers} -> dense(2) {SCORES}"))
    cells = layers.count("8") if "2 *" not in layers else 2
    assert len(loops) == 2 * cells  # there and back
    for position, ops in enumerate(loops):
        products = [op for op in ops if op.name == "Contract"]
        assert products
        assert position >= cells or not any(op.name == "Concat" for op in ops)
        assert all(op.extents[1] == 8 or op.extents[0] == 8 for op in products)
        assert not any(
            op.sum_batch for op in products
        )  # gradients of weights are one product behind it


def test_the_listing_of_a_cell_is_a_loop_over_its_steps():
    text = driver.build(
        load(
            model(f"let w = x -> 2 * (lstm(8)) -> dense(2) {SCORES} ")
            + """
        train { data npz("x.npz") optimizer sgd(lr=0.1) }"""
        ),
        shards=1,
    )
    ast.parse(text)
    forward, backward = text.split("def forward(m)")[1].split("def backward(m)")
    for part in (forward, backward):
        assert part.count("for iteration in range(5):") == 2
    assert re.search(r"out=m\.\w+ \+ \d+ \* iteration", forward) and re.search(
        r"- \d+ \* iteration", backward
    )
