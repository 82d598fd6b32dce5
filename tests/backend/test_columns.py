"""Data of every element type and layout are read as the numbers that they are."""

from __future__ import annotations

import numpy as np
import pytest

import specc
from specc.source import Source

X = np.random.default_rng(0).integers(0, 9, (37, 5))


@pytest.fixture(scope="module", params=["float32", "float64"])
def net(request):
    text = "model m { input x: float[5] input k: class(9)[5] output y = 2 * x + one_hot(k[0])[3] }"
    return specc.compile(specc.load(Source("m.dl", text)), batch=16, dtype=request.param)


@pytest.mark.parametrize(
    "kind",
    [
        "float16",
        "float32",
        "float64",
        ">f4",
        ">f8",
        "int8",
        "uint8",
        "int16",
        "uint16",
        ">i2",
        "int32",
        ">i4",
        "int64",
        "uint64",
    ],
)
@pytest.mark.parametrize("layout", ["whole", "every second", "reversed", "Fortran"])
def test_a_column_is_read_whatever_its_type_and_layout(net, kind, layout):
    whole = X.astype(kind)
    labels = whole if np.dtype(kind).kind in "iu" else X
    change = {
        "whole": lambda a: a,
        "every second": lambda a: np.repeat(a, 2, 0)[::2],
        "reversed": lambda a: np.ascontiguousarray(a[::-1])[::-1],
        "Fortran": np.asfortranarray,
    }[layout]
    found = net.forward(x=change(whole), k=change(labels))["y"]
    np.testing.assert_allclose(found, 2.0 * X + (X[:, :1] == 3))
