"""Shortcuts through Numba's front end: the same results, and nothing left behind."""

import numba
import numpy as np
import pytest
from numba.core import errors
from numba.core.cpu import CPUContext
from numba.core.types.functions import BaseFunction
from running import function

from specc.backend.numba import compile as compiling
from specc.backend.numba.compile import KernelError
from specc.backend.toolchain.load import Kernel, load

SOURCE = """
def turn(x: "float[a, b, c]", kind: "uint8[b]", at: "int32[b]", y: "float[c, b, a]", n: "int64[2]",
         a: "int", b: "int", c: "int"):
    for i in range(a):
        for j in range(b):
            for k in range(c):
                here = x[i, j, k] if kind[j] else x[i, at[j], k]
                y[k, j, i] = here + kind[j]
                n[0] = n[0] + 1
    n[1] = a * b * c
"""


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_elements_of_every_type_and_rank_are_read_and_written(dtype):
    rng = np.random.default_rng(0)
    a, b, c = 3, 4, 5
    x = rng.normal(size=(a, b, c)).astype(dtype)
    kind = np.array([1, 0, 1, 0], np.uint8)
    at = np.array([3, 2, 1, 0], np.int32)
    y, n = np.zeros((c, b, a), dtype), np.zeros(2, np.int64)
    function(Kernel("turn", SOURCE, dtype))(x, kind, at, y, n, a, b, c)
    wanted = np.where(kind[None, :, None], x, x[:, at]) + kind[None, :, None]
    np.testing.assert_array_equal(y, wanted.T.astype(dtype))
    assert list(n) == [a * b * c] * 2


@pytest.mark.parametrize("place", ["x[-1]", "x[0, -2]"])
def test_an_index_from_the_end_is_refused(place):
    kernel = Kernel("last", f'def last(x: "float[2, 2]"):\n    x[0, 0] = {place}')
    with pytest.raises(KernelError, match="counts from the start"):
        compiling.object_code(kernel)


def test_numba_itself_is_as_before_also_after_an_error():
    before = BaseFunction.get_call_type, CPUContext.get_function, errors._termcolor_inst
    load([Kernel("turn", SOURCE)])
    with pytest.raises(KernelError, match="nothing_of_that_name"):
        compiling.object_code(
            Kernel("bad", 'def bad(x: "float[1]"):\n    x[0] = nothing_of_that_name(x[0])')
        )
    after = BaseFunction.get_call_type, CPUContext.get_function, errors._termcolor_inst
    assert after == before
    target = numba.core.registry.cpu_target
    for context in (target.typing_context, target.target_context):
        assert "load_additional_registries" not in vars(context)

    @numba.njit
    def last(x):
        return x[-1] + x[0]

    assert last(np.arange(5.0)) == 4.0
