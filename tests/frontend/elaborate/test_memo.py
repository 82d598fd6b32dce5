"""A use that is made from an earlier one is what its body gives when it is walked."""

from __future__ import annotations

from pathlib import Path

import pytest

from specc import driver
from specc.frontend.elaborate import calls, memo
from specc.frontend.syntax.reading import read_source
from specc.ir.graph import Graph
from specc.ir.show import show_graph, show_program
from specc.source import Source

ROOT = Path(__file__).parents[3]
FOLDERS = ("models/*.dl", "tests/good/*.dl", "examples/**/*.dl")
FILES = sorted(path for folder in FOLDERS for path in ROOT.glob(folder))


def everything(program) -> str:
    """All that a program says: its graphs, initial values, layers, states and places."""
    text = [show_program(program)]
    for each in (*program.parameters, *program.states):
        graph = Graph({"initial": each.initial})
        if getattr(each, "next", None) is not None:
            graph = Graph({"initial": each.initial, "next": each.next})
        text.append(f"{each.path} {each.type} {each.span}\n{show_graph(graph)}")
    for each in program.layers:
        text.append(
            f"{each.path} {each.text} {each.input} {each.output} {each.parameters}"
            f" {each.span} {each.sequence} {each.node.origin}"
        )
    for label, node in program.carries:
        text.append(f"carry {label}\n{show_graph(Graph({'next': node}))}")
    return "\n".join([*text, str(program.streams), str(program.frozen), str(program.open_sizes)])


def checked(source: Source) -> tuple[str, str]:
    program, found = driver.check(source)
    return "" if program is None else everything(program), "\n".join(map(str, found))


@pytest.fixture
def walked(monkeypatch):
    """What a file becomes where every use of a word walks its body."""

    def check(source: Source) -> tuple[str, str]:
        with monkeypatch.context() as patch:
            patch.setattr(memo, "key_of", lambda *arguments: None)
            return checked(source)

    return check


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_is_the_same_with_and_without_the_memo(path, walked):
    source = read_source(path)
    assert checked(source) == walked(source)


BODIES = {
    "layers": """
  let a = x -> dense(8) -> relu -> dense(8) -> relu -> dense(8, init=xavier) -> dense(8, init=0.1)
  let b = a -> dense(8, init=normal(std=0.1)) -> tanh -> dense(8, init=normal(std=0.1)) -> tanh
  let c = b -> dense(8, bias=false) -> gelu -> dense(8, bias=false) -> gelu
  let s = c -> maxout(8) -> maxout(8) -> batchnorm -> layernorm -> batchnorm -> layernorm""",
    "repeated stages": """
  let s = x -> 3 * (dense(8) -> relu -> batchnorm) -> 2 * (softplus)""",
    "shared layers": """
  layer one = dense(8)
  layer two = dense(8) -> relu -> dense(8)
  let s = x -> one -> 2 * (two) -> 3 * (one) -> two -> dense(8) -> one""",
    "one value twice": """
  let s = concat(x, x) + concat(x, x + 1) + concat(x + 1, x) + concat(max(x, x), max(x, x + 1))""",
    "numbers": """
  let s = max(x, 0) + max(x, 0.0) + max(x, -0.0) + max(x, 1) + max(x, 1.0) + max(0, x)""",
    "random numbers": """
  let s = x -> dropout(0.5) -> dropout(0.5) -> dense(8) -> dropout(0.5)""",
    "words of the file": """
  let s = x -> wide(2) -> wide(2) -> wide(3) -> wide(2)""",
    "weights": """
  let s = x -> dense(4) -> dense(4)
  loss penalty = l2(weights) + 0.1 * l2(weights)""",
    "parameters by name": """
  let s = x -> dense(8) -> dense(8)
  let t = softplus(dense1.weight) @ softplus(s) + softplus(dense2.weight) @ softplus(dense1.bias)
  loss mean(t)""",
}
DEFINITIONS = """
block wide(v: float[k]; times: int) {
  param scale: float[k] = ones
  let a = v * scale -> dense(times * k) -> relu
  return a -> dense(k) -> relu
}
"""
TERMS = "\n  let q = s -> dense(3)\n  output q\n  loss cross_entropy(q, y)"


def model(body: str) -> Source:
    ports = "\n  input x: float[8]\n  target y: class(3)"
    return Source(
        "a.dl",
        f"{DEFINITIONS}model m {{{ports}{body}{TERMS}\n}}\n"
        'train {\n  data csv("a.csv")\n  optimizer adam(lr=0.01)\n}\n',
    )


@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_a_use_is_the_same_walked_and_repeated(body, walked):
    source = model(body)
    text, found = checked(source)
    assert text, found
    assert (text, found) == walked(source)


SEQUENCES = """
seq time = 5
model m {{
  input x: float[{axis}, 6]
  target y: class(3)
  let a = x -> dense(6) -> relu -> dense(6) -> relu
  let b = a -> lstm(6) -> dropout(0.1) -> lstm(6) -> dense(6) -> tanh -> softmax -> softmax
  let d, h, c = b -> lstm(6) -> lstm(6)
  let f = lstm(d, h=h; 6) -> gru(6) -> gru(6) -> peephole_lstm(6) -> peephole_lstm(6)
  let e = f -> rnn(6) -> rnn(6)
  layer both = lstm(6) -> lstm(6)
  let g = lstm(e, c=c; 6) -> both -> both -> lstm(6) -> own(6) -> own(6){reverse}
  let q = mean(b; over=time) + last(b) + mean(a; over=time) + last(a) + mean(b; over=time) + last(g)
  let s = q -> dense(6) -> dense(3)
  output s
  loss cross_entropy(s, y)
}}
cell own(v: float[n]; units: int) {{
  state h: float[units] = 0
  let z = concat(v, h) -> dense(units) -> tanh -> dense(units) -> tanh
  next h = z
  return z
}}
"""


PORTS = [("input", "time"), ("input", "<= time"), ("stream", "time")]


@pytest.mark.parametrize("port, axis", PORTS)
def test_a_use_on_a_sequence_is_the_same(port, axis, walked):
    reverse = " -> reverse -> reverse" if port == "input" else ""
    source = Source("a.dl", SEQUENCES.format(axis=axis, reverse=reverse).replace("input", port))
    assert checked(source)[0]
    assert checked(source) == walked(source)


MISTAKES = """model m {{
  input x: float[1, 12, 12]
  target y: class(3)
  let a = x -> conv(4, kernel=3) -> relu -> conv(4, kernel=3) -> relu
  let b = x -> conv(4, kernel=3) -> relu -> conv(4, kernel=3) -> relu -> maxpool(2)
  {line}
  let s = flatten(b) -> dense(3)
  output s
  loss cross_entropy(s, y)
}}
"""


@pytest.mark.parametrize(
    "line",
    [
        "let c = a + b",
        "let c = a -> dense(3)",
        "let c = b -> conv(4, kernel=9)",
        "let c = a @ b",
        "let c = a -> conv(4, kernel=3, stride=2) -> maxpool(3)",
        "let c = a -> conv(0, kernel=3)",
        "let c = concat(a, b) -> relu",
        "let c = a -> 2 * (conv(4, kernel=3) -> maxpool(3))",
    ],
)
def test_messages_tell_the_same_story(line, walked):
    source = Source("a.dl", MISTAKES.format(line=line))
    program, found = checked(source)
    assert not program
    assert (program, found) == walked(source)


def test_a_use_walks_its_body_once(monkeypatch):
    entered = []
    walk = calls.body

    def body(use):
        entered.append((use.word.name, use.frame.depth))
        return walk(use)

    monkeypatch.setattr(calls, "body", body)
    checked(model("\n  let s = x -> dense(8) -> relu -> dense(8) -> relu -> dense(8) -> relu"))
    assert entered.count(("dense", 1)) == 2  # of 8 and of 3 units
    assert entered.count(("relu", 1)) == 1


def test_the_updates_of_parameters_alike_count_their_states():
    program, _ = driver.check(model("\n  let s = x -> dense(8) -> dense(8) -> dense(8)"))
    for each in program.updates:
        assert each.elements == sum(state.type.elements for state in each.states) > 0
        assert each.states[0].path.startswith(each.path)
