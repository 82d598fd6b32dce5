"""The machine code of register tiles for processors of all kinds: no sum leaves its register.

Nothing of it runs. llvmlite's LLVM knows all these processors.
"""

from __future__ import annotations

import re

import pytest

from benchmarks.assembly import PROCESSORS, SYSTEM, TABLE, Loop, loop_for, loop_of, tiles
from specc.backend.contraction.loops.contract import contract, packed_kernel
from specc.backend.contraction.loops.single import across_kernel
from specc.backend.contraction.target import Target
from specc.backend.llvm.compile import assembly_for, lowered

FORMS = [
    "contract",
    "contract ahead",
    "packed",
    "packed prefetching",
    "outer",
    "outer stride",
    "dot",
    "across",
    "across prefetching",
    "winograd",
    "winograd run",
    "winograd gradient",
    "window",
    "window gradient",
]


def faults(processor: str, dtype: str, forms: list[str], most: bool) -> list[str]:
    """What is wrong with the loops of tiles of some forms; with `most`, of the largest alone."""
    machine, found = PROCESSORS[processor], {}
    for form, shape, kernel in tiles(Target(dtype, machine)):
        if form in forms:
            found.setdefault(form, []).append((shape[0] * shape[1], max(shape), shape, kernel))
    wrong = []
    for form, each in found.items():
        # the most sums, and of those with equally many the most rows
        for sums, _, shape, kernel in sorted(each, key=lambda one: one[:3])[-1 if most else 0 :]:
            loop = loop_for(kernel, machine)
            wrong += [f"{form} {shape}: {fault} ({loop})" for fault in loop.faults(sums)]
    return wrong


@pytest.mark.parametrize(("number", "processor"), list(enumerate(PROCESSORS)))
def test_the_largest_tiles_keep_their_sums_in_registers(number, processor):
    assert not faults(processor, "float32", FORMS[number % 4 :: 4], most=True)


@pytest.mark.long
@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("processor", PROCESSORS)
def test_every_tile_keeps_its_sums_in_registers(processor, dtype, form):
    assert not faults(processor, dtype, [form], most=False)


@pytest.mark.parametrize("processor", ["haswell", "znver3", "znver4"])
def test_a_part_of_a_vector_is_stored_with_a_mask_only_by_avx512(processor):
    machine = PROCESSORS[processor]
    kernel = across_kernel(Target("float32", machine), (7, 1), 1)
    text = assembly_for(lowered(kernel), kernel, machine, SYSTEM[machine.architecture])
    assert "vmaskmov" not in text
    assert ("{%k" in text) == (machine.vector_bits == 512)


@pytest.mark.parametrize("processor", ["haswell", "znver4"])
def test_columns_are_copied_by_vectors(processor):
    machine = PROCESSORS[processor]
    kernel = packed_kernel(Target("float32", machine), (2, 2), copied=True)
    text = assembly_for(lowered(kernel), kernel, machine, SYSTEM[machine.architecture])
    assert not re.search(r"vmovss\s+%xmm\d+, ", text), "a number is stored by itself"


def test_sums_that_leave_their_registers_are_found():
    # with an address for each of eight rows LLVM runs out of integer registers, and spills
    machine = PROCESSORS["znver4"]
    target = Target("float32", machine)
    shape = {"tile_rows": 8, "vectors": 3, "step": 48, "tile_bytes": 8 * 3 * 64}
    kernel = target.kernel(
        contract, "contract_8x3", copied=0, written=False, by_steps=False, **shape
    )
    found = loop_for(kernel, machine)
    assert found.products == 24 and found.stack and found.stores
    assert any("moved to memory" in fault for fault in found.faults(24))


@pytest.mark.parametrize(
    ("lines", "products", "loads", "stores", "stack"),
    [
        (
            ["vbroadcastss (%rax,%rcx,4), %zmm1", "vfmadd231ps (%rdx){1to16}, %zmm1, %zmm2",
             "vmovups %zmm2, 64(%rsp)", "movq 8(%rsp), %rax", "incq %rcx"], 1, 2, 1, 2,
        ),
        (
            ["ldr\tq1, [x2]", "ldp\tq3, q4, [x5]", "fmla\tv0.4s, v1.4s, v3.s[0]",
             "str\tq0, [sp, #16]", "subs x1, x1, #1"], 1, 3, 1, 1,
        ),
    ],
)  # fmt: skip
def test_instructions_are_counted(lines, products, loads, stores, stack):
    loop = Loop(tuple(lines))
    assert (loop.products, loop.loads, loop.stores, loop.stack) == (products, loads, stores, stack)


def test_the_loop_with_the_most_products_is_read():
    text = """
.LBB0_1:                                # %outer
\tmovq\t%rax, %rbx
.LBB0_2:                                # %inner
\tvfmadd231ps\t%zmm1, %zmm2, %zmm3
\tcmpq\t%rbx, %rcx
\tjne\t.LBB0_2
\tjmp\t.LBB0_1
"""
    loop = loop_of(text)
    assert loop.products == 1 and len(loop.lines) == 3
    assert loop.faults(1) == []
    assert loop.faults(4) == ["1 products for 4 sums: LLVM has unrolled it"]


def test_the_table_of_predicted_rates_has_every_tile():
    """`python -m benchmarks.assembly` makes it anew."""
    lines = TABLE.read_text().splitlines()
    listed = {match[0] for line in lines if (match := re.match(r"[a-z ]+ \d+x\d+", line))}
    wanted = {
        f"{form} {shape[0]}x{shape[1]}"
        for machine in PROCESSORS.values()
        for form, shape, _ in tiles(Target("float32", machine))
        if not form.endswith(("ahead", "prefetching"))
    }
    assert listed == wanted
