"""Shapes: what fits what, and how a shape came about."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_check import mistakes, program

from specc import driver
from specc.diagnostics import SpecError
from specc.source import Source


def shape(expression, **inputs):
    """The shape of an expression over inputs of given types."""
    lines = "\n".join(f"input {name}: {type_}" for name, type_ in inputs.items())
    return program(f"model m {{ {lines}\n output {expression} }}").outputs[0].node.type.shape


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ("v + 1", (4,)),
        ("2 * w", (3, 4)),
        ("w @ v", (3,)),
        ("v @ v", ()),
        ("w @ transpose(w)", (3, 3)),
        ("transpose(w) @ w", (4, 4)),
        ("sum(w)", ()),
        ("sum(w; axis=0)", (4,)),
        ("sum(w; axis=-1)", (3,)),
        ("mean(image; keep=1)", (2,)),
        ("max(image; axis=1)", (2, 5)),
        ("max(v, 0)", (4,)),
        ("min(v, sum(w))", (4,)),
        ("w[0]", (4,)),
        ("w[-1, 2]", ()),
        ("w[1:3]", (2, 4)),
        ("w[:, 1:4:2]", (3, 2)),
        ("v[c]", ()),
        ("transpose(w)[c]", (3,)),
        ("concat(v, v, sum(v) + v)", (12,)),
        ("concat(w, w; axis=1)", (3, 8)),
        ("flatten(image)", (50,)),
        ("reshape(image; 5, 10)", (5, 10)),
        ("reshape(image; 50)", (50,)),
        ("transpose(image; 1, 2, 0)", (5, 5, 2)),
        ("spread(v[0:2], image)", (2, 5, 5)),
        ("split(v; 2)[1]", (2,)),
        ("if v > 0 then v else -v", (4,)),
        ("if flag then v else 0", (4,)),
        ("flag * v", (4,)),
        ("v * size(w; axis=1) / 2", (4,)),
        ("v // 2 + v % 2", (4,)),
        ("softmax(v)", (4,)),
        ("convolve(image, reshape(image; 1, 2, 5, 5); pad=1)", (1, 3, 3)),
        ("image -> conv(3, kernel=3, stride=2)", (3, 2, 2)),
        ("image -> conv(4, kernel=3, dilation=2, groups=2)", (4, 1, 1)),
        ("image -> maxpool(2, round=floor)", (2, 2, 2)),
        ("image -> maxpool(3, stride=1)", (2, 3, 3)),
        ("repeat(repeat(image; 4, axis=1); 4, axis=2) -> maxpool(16, round=floor)", (2, 1, 1)),
        ("argmax(v)", ()),
        ("c -> embed(7)", (7,)),
    ],
)
def test_the_shape_of(expression, expected):
    found = shape(
        expression, v="float[4]", w="float[3, 4]", image="float[2, 5, 5]", c="class(4)", flag="bool"
    )
    assert found == expected


@given(
    size=st.integers(1, 20),
    kernel=st.integers(1, 7),
    stride=st.integers(1, 4),
    pad=st.integers(0, 3),
)
@settings(max_examples=60)
def test_windows_come_out_by_the_formula_or_are_refused(size, kernel, stride, pad):
    text = f"""model m {{ input x: float[1, {size}, {size}]
      output x -> conv(2, kernel={kernel}, stride={stride}, pad={pad}) }}"""
    room = size - kernel + 2 * pad
    if room < 0 or room % stride:
        with pytest.raises(SpecError) as error:
            program(text)
        assert [each.name for each in error.value.diagnostics] == ["window-does-not-fit"]
    else:
        count = room // stride + 1
        assert program(text).outputs[0].node.type.shape == (2, count, count)


def test_names_of_sizes_must_agree():
    text = """fn f(a: float[n], b: float[n, m], c: class(m)) = a @ b
      fn g(x: float[units]; units: int) = x
      fn h(x: float[n, n]) = x
      dim classes = 4
      fn k(x: float[classes]) = x
      model m { input a: float[3] input b: float[3, 4] input c: class(4) input d: class(5)
        output f(a, b, c)
        %s }"""
    assert program(text % "output g(a; 3)")
    for wrong in ("f(b[0], b, c)", "f(a, b, d)", "g(a; 4)", "h(b)", "k(a)"):
        (found,) = mistakes(text % f"output y = {wrong}")
        assert found[0] == "shape-mismatch", wrong


def test_a_type_says_which_ranks_fit():
    text = """fn scalar(x: float[]) = x
      fn any(x: float) = x
      fn vector(x: float[n]) = x
      model m { input a: float input b: float[3] input c: float[3, 4]
        output %s }"""
    for good in ("scalar(a)", "scalar(3) * a", "any(a)", "any(b)", "any(c)", "vector(b)"):
        assert program(text % good), good
    for wrong in ("scalar(b)", "vector(a)", "vector(c)"):
        assert mistakes(text % wrong)[0][0] == "shape-mismatch", wrong


def test_open_sizes_are_proved_equal_where_they_are():
    text = """dim n
      model m { input a: float[n] input b: float[2 * n]
        let c = concat(a, a) + b
        let d, e = split(b; 2)
        output d + e + a
        output reshape(b; 2, n) @ a
        output a -> dense(n)
        loss sum(c) / n }"""
    assert program(text).losses[0].node.type.shape == ()


def test_the_trail_of_a_shape_reaches_back_to_the_input():
    with pytest.raises(SpecError) as error:
        program("""model m {
          input image: float[1, 28, 28]
          let a = image -> conv(6, kernel=5) -> relu -> maxpool(2) -> flatten
          output a + image
        }""")
    (found,) = error.value.diagnostics
    assert found.notes[0].splitlines() == [
        "how `a` got [864]",
        "  2  image              [1, 28, 28]",
        "  3  conv(6, kernel=5)  [6, 24, 24]  (28 - 5 + 2*0) / 1 + 1 = 24",
        "  3  maxpool(2)         [6, 12, 12]  (24 - 2 + 2*0) / 2 + 1 = 12",
        "  3  flatten            [864]        6 * 12 * 12 = 864",
    ]


@pytest.mark.parametrize(
    ("formula", "message"),
    [
        ("reshape(x; 8, third=8)", "the sizes of `reshape` are given without a gap"),
        ("reshape(x; 16, second=2, fourth=2)", "the sizes of `reshape` are given without a gap"),
        (
            "reshape(x; 1, 8, 8) -> upsample(3) -> maxpool(17, stride=1)",
            "a window of 17x17 has more than 256 positions",
        ),
    ],
)
def test_a_gap_in_a_shape_and_a_window_of_too_many_places_are_refused(formula, message):
    _, found = driver.check(Source("x.dl", f"model m {{ input x: float[64] output {formula} }}"))
    assert [each.message for each in found] == [message]
