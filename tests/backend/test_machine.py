"""The processor as the compiler sees it, with vectors of the width that is asked for."""

from __future__ import annotations

import platform

import pytest

from specc.backend import machine
from specc.backend.machine import processor


def switched_on(found: machine.Machine) -> set[str]:
    return {each[1:] for each in found.features.split(",") if each.startswith("+")}


@pytest.mark.parametrize("bits", [128, 256])
def test_narrow_vectors_are_made_without_the_instructions_for_wide_ones(bits):
    found = machine.this_machine(bits)
    assert found.vector_bits <= bits
    assert not [each for each in switched_on(found) if each.startswith(("avx512", "avx10"))]
    assert found.lanes("float32") == 2 * found.lanes("float64") == found.vector_bits // 32


@pytest.mark.parametrize("bits", machine.WIDTHS)
def test_other_processors_than_those_of_x86_have_vectors_of_128_bits(bits, monkeypatch):
    monkeypatch.setattr(platform, "machine", lambda: "arm64")
    processor._machine.cache_clear()
    try:
        assert machine.this_machine(bits).vector_bits == 128
    finally:
        processor._machine.cache_clear()
