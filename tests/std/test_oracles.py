"""Every word of the library in the interpreter, against PyTorch and SciPy in float64.

They come with `pip install '.[oracle]'`; without them these tests are skipped.
"""

from __future__ import annotations

import pytest

from specc.frontend.words import library

REASON = "PyTorch and SciPy are not installed: pip install '.[oracle]'"
pytest.importorskip("torch", reason=REASON)
pytest.importorskip("scipy", reason=REASON)

from oracles import attention, augment, cells, functions, layers, metrics, normalization, training  # noqa: E402
from oracles.interpreted import ORACLES, agrees, check  # noqa: E402

ROOMS = (attention, augment, cells, functions, layers, metrics, normalization, training)


def test_every_word_of_the_library_has_an_oracle():
    assert all(ROOMS)
    assert set(ORACLES) == set(library.words())


@pytest.mark.parametrize("seed", [0, 1, pytest.param(2, marks=pytest.mark.long)])
@pytest.mark.parametrize("word", library.words())
def test_the_interpreter_computes_what_the_oracle_computes(word, seed):
    check(word, seed)


@pytest.mark.parametrize("formula", ["tanh(1.001 * x)", "stop_gradient(tanh(x))", "1e-8 + tanh(x)"])
def test_a_wrong_value_or_gradient_is_found(formula):
    import numpy as np

    rng = np.random.default_rng(0)
    agrees("tanh(x)", lambda t: t["x"].tanh(), {"x": (3,)}, rng)
    with pytest.raises(AssertionError):
        agrees(formula, lambda t: t["x"].tanh(), {"x": (3,)}, rng)
