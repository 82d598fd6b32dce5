"""Windows that move over each channel by itself: every tile against the op's own reference."""

from __future__ import annotations

from dataclasses import replace

import pytest
from sequences import agrees_with_the_interpreter, examples, load
from test_contraction import Case, conv, loaded, roles

import specc
from specc.backend.contraction.forms import window, window_gradient
from specc.backend.contraction.plan import plan_contraction
from specc.backend.contraction.problem import Problem
from specc.backend.llvm import printer
from specc.backend.llvm.compile import llvm_text
from specc.backend.llvm.windows import row_products
from specc.backend.machine import this_machine
from specc.ops.kernels.window import window_max_gradient

SETTINGS = [
    ("float32", None, 16, 1),
    ("float32", None, 48, 1, 33),
    ("float64", None, 16, 1),
    ("float32", 256, 24, 1),
]
# channels, height, width, filters, kernel, stride, dilation, groups
SHAPES = {
    "square": (3, 9, 10, 3, 3, 1, 1, 3),
    "one row": (2, 3, 40, 2, 3, 1, 1, 2),
    "stride": (2, 9, 43, 2, 5, 2, 1, 2),
    "stride 3": (2, 7, 37, 2, 4, 3, 1, 2),
    "dilation": (2, 7, 33, 2, 3, 1, 3, 2),
    "both": (2, 9, 41, 2, 3, 2, 2, 2),
    "two filters each": (2, 6, 18, 4, 3, 1, 1, 2),
    "two channels each": (4, 6, 18, 2, 3, 1, 1, 2),
    "small": (3, 5, 5, 3, 4, 1, 1, 3),
}


def of_tiles(node, setting, form, wanted=None, most=None) -> list[Case]:
    """A case for each tile of the form, or for so many of those with the fewest cycles."""

    def candidates(problem: Problem):
        problem = replace(problem, wanted=wanted)
        return list(form.candidates(problem)) if form.kind is problem.kind else []

    found = sorted(Case(node, *setting, plan=candidates).plan, key=lambda each: each.cycles)
    return [
        Case(node, *setting, plan=lambda problem, each=each: each.plan()) for each in found[:most]
    ]


def check(name: str, role: str, setting: tuple, most: int | None) -> None:
    form = window_gradient.FORM if role == "weights" else window.FORM
    cases = of_tiles(roles(*conv(*SHAPES[name]))[role], setting, form, most=most)
    assert cases
    addresses = loaded(cases)
    for case in cases:
        case.check(addresses)


@pytest.mark.parametrize("role", ["forward", "weights", "input"])
@pytest.mark.parametrize(("number", "name"), list(enumerate(SHAPES)))
def test_tiles_agree_with_the_reference(number, name, role):
    check(name, role, SETTINGS[number % 4], 2)


@pytest.mark.long
@pytest.mark.parametrize("role", ["forward", "weights", "input"])
@pytest.mark.parametrize("setting", SETTINGS)
@pytest.mark.parametrize("name", SHAPES)
def test_every_tile_agrees_with_the_reference(name, setting, role):
    check(name, role, setting, None)


@pytest.mark.parametrize("name", ["square", "one row", "stride", "both"])
def test_only_what_is_read_of_an_images_gradient_is_computed(name):
    node = roles(*conv(*SHAPES[name]))["input"]
    channels, height, width = node.type.shape
    wanted = ((0, channels), (1, height - 1), (2, width - 1))
    where = tuple(slice(*each) for each in wanted)
    cases = of_tiles(node, SETTINGS[0], window.FORM, wanted, 2)
    addresses = loaded(cases)
    assert cases
    for case in cases:
        case.check(addresses, where)


def test_products_of_a_spread_row_are_those_of_its_gradient():
    # position p of the result has the terms of all n and t with 2 n + t = p
    found = row_products(3, 2, 1, True, (7, 0, 0, 2))
    assert found == {n: [(2 * n + t, t) for t in range(3) if 2 * n + t < 7] for n in range(3)}


@pytest.mark.parametrize("role", ["forward", "weights", "input"])
def test_a_layer_of_single_channels_takes_them(role):
    kernel = Case(roles(*conv(8, 18, 18, 8, 3, groups=8))[role], *SETTINGS[0]).plan.kernel
    assert kernel.name.startswith("window")


def test_many_filters_do_not_take_them():
    for role, node in roles(*conv(16, 10, 10, 16, 3)).items():
        kernel = Case(node, *SETTINGS[0], plan=plan_contraction).plan.kernel
        assert not kernel.name.startswith("window"), role


MODEL = """
model m {
  input  x: float[3, 11, 37]
  target y: float[6, 6, 19]
  let guess = x
    -> conv(3, kernel=3, pad=1, groups=3) -> tanh
    -> conv(6, kernel=5, pad=2, stride=2, groups=3)
  output guess
  loss   mse(guess, y)
}
"""


@pytest.mark.parametrize("batch", [1, 3, 20])
def test_a_models_gradients_are_the_interpreters(batch):
    agrees_with_the_interpreter(MODEL, batch)


def test_two_threads_give_the_same_bits():
    program = load(MODEL)
    data = examples(program, 20)
    nets = [specc.compile(program, batch=20, dtype="float32", threads=n) for n in (1, 2)]
    found = [net.loss_and_gradients(**data) for net in nets]
    assert found[0][0] == found[1][0]
    for name, gradient in found[0][1].items():
        assert gradient.tobytes() == found[1][1][name].tobytes(), name


@pytest.mark.parametrize(
    ("dtype", "bits"),
    [("float32", 128), ("float32", 256), ("float32", 512), ("float64", 256), ("float64", 512)],
)
def test_the_gradient_of_windows_is_written_in_whole_vectors(dtype, bits):
    if this_machine().vector_bits < bits:
        pytest.skip(f"no vectors of {bits} bits here")
    lanes = bits // (32 if dtype == "float32" else 64)
    name = window_max_gradient.__name__
    kernel = printer.written(window_max_gradient, name, dtype, bits, False, vector=lanes)
    element = {"float32": "float", "float64": "double"}[dtype]
    assert llvm_text(kernel).count(f"store <{lanes} x {element}>") >= 4
