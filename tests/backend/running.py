"""Calls compiled kernels on NumPy arrays."""

from __future__ import annotations

import ctypes

import numpy as np

from specc.backend.llvm.kernel import Kernel
from specc.backend.toolchain.load import load


def function(kernel: Kernel):
    """The kernel as a function of arrays and integers, in the order of its parameters."""
    return at_address(load([kernel])[kernel])


def at_address(address: int):
    pointer = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p)(address)
    control = np.zeros(16, np.int64)

    def call(*values) -> None:
        block = np.array(
            [each.ctypes.data if isinstance(each, np.ndarray) else each for each in values],
            np.int64,
        )
        pointer(block.ctypes.data, control.ctypes.data)

    return call
