"""A kernel to an object file: its tree lowered to LLVM's instructions, optimized, and emitted.

The object file needs no Python: no reference counts, no exceptions, no interpreter lock.
"""

from __future__ import annotations

import ast
import importlib
import re
from collections.abc import Callable
from functools import lru_cache
from itertools import pairwise
from time import thread_time
from typing import Any, NamedTuple

import llvmlite.binding as llvm

from specc.backend.llvm import lookup
from specc.backend.llvm.intrinsics import Helper, LLVMIntrinsic
from specc.backend.llvm.kernel import Kernel
from specc.backend.llvm.lower import LoweringError, module_of
from specc.backend.machine import Machine, this_machine
from specc.system.locks import NATIVE
from specc.target import parse

# the files whose functions every kernel may call
_FILES = ("vectormath", "memory", "thread_pool")
# files whose functions come before these, by the width of vectors and what it needs
_WIDE = {512: ("avx512", "avx512f")}
_FROM = re.compile(r"from ([\w.]+) import ([\w, ]+)")


class KernelError(Exception):
    """A kernel that does not compile: a fault of the code generator, to be reported."""


class Spent(NamedTuple):
    """The processor seconds that compiling a kernel took, stage by stage."""

    kernel: str
    lowering: float
    passes: float  # of LLVM
    code: float


spent: list[Spent] = []
"""All that this process, or a worker for it, has compiled."""


def object_code(kernel: Kernel) -> bytes:
    """Return the object file that defines `kernel.symbol`."""
    with NATIVE:
        times = [thread_time()]
        target = target_machine(kernel.vector_bits)
        module = _for_target(_lowered(kernel), target)
        times.append(thread_time())
        module = optimize(module, target, kernel.unroll)
        times.append(thread_time())
        _check_symbols(module, kernel)
        code: bytes = target.emit_object(module)
        times.append(thread_time())
        spent.append(Spent(kernel.name, *(b - a for a, b in pairwise(times))))
        return code


def llvm_text(kernel: Kernel) -> str:
    """Return the kernel's optimized LLVM code as text, for reading and for tests."""
    return str(_module(kernel))


def assembly(kernel: Kernel) -> str:
    return target_machine(kernel.vector_bits).emit_assembly(_module(kernel))


def warm_up() -> None:
    """Load the parts of LLVM that compiling the first kernel needs."""
    for file in _FILES:
        importlib.import_module(f"{__package__}.{file}")
    _find_symbols()


def lowered(kernel: Kernel) -> bytes:
    """Return the kernel as LLVM bitcode that does not depend on a processor yet."""
    with NATIVE:
        return _lowered(kernel).as_bitcode()


def assembly_for(bitcode: bytes, kernel: Kernel, machine: Machine, triple: str) -> str:
    """Return the assembly of a lowered kernel for any processor, not only this machine's."""
    with NATIVE:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        target = llvm.Target.from_triple(triple).create_target_machine(
            cpu=machine.cpu, features=machine.features, opt=3
        )
        module = llvm.parse_bitcode(bitcode)
        module.triple, module.data_layout = triple, str(target.target_data)
        module = optimize(module, target, kernel.unroll)
        return target.emit_assembly(module)


def _module(kernel: Kernel):
    target = target_machine(kernel.vector_bits)
    module = _for_target(_lowered(kernel), target)
    module = optimize(module, target, kernel.unroll)
    _check_symbols(module, kernel)
    return module


def _for_target(module, target):
    module.triple, module.data_layout = llvm.get_process_triple(), str(target.target_data)
    return module


def _lowered(kernel: Kernel):
    _find_symbols()
    try:
        (tree,) = parse.functions(kernel.source)
        made = module_of(tree, kernel.dtype, kernel.symbol, not kernel.overlap, _functions(kernel))
    except (parse.ParseError, LoweringError) as error:
        raise KernelError(f"{kernel.name} does not compile: {error}\n\n{kernel.source}") from error
    return llvm.parse_assembly(str(made))


def _functions(kernel: Kernel) -> Callable[[str], Any]:
    """What finds the intrinsics and helpers of a kernel by their names."""
    made: dict[str, Any] = {}
    makers: dict[str, str] = {}  # the file of each function that makes intrinsics
    for line in kernel.imports.splitlines():
        if match := _FROM.fullmatch(line):
            makers.update(dict.fromkeys(match[2].split(", "), match[1]))
            continue
        match ast.parse(line).body:
            case [ast.Assign([ast.Name(name)], ast.Call(ast.Name(maker), arguments))]:
                make = getattr(importlib.import_module(makers[maker]), maker)
                made[name] = make(*map(ast.literal_eval, arguments))

    files = files_of(kernel)

    def found(name: str) -> Any:
        if name in made:
            return made[name]
        for file in files:
            value = getattr(importlib.import_module(f"{__package__}.{file}"), name, None)
            if isinstance(value, (LLVMIntrinsic, Helper)):
                return value
        return None

    return found


def files_of(kernel: Kernel) -> tuple[str, ...]:
    """Return the files whose functions the kernel may call; the first with a name is used."""
    file, feature = _WIDE.get(kernel.vector_bits, ("", ""))
    features = this_machine(kernel.vector_bits).features.split(",")
    return (file, *_FILES) if f"+{feature}" in features else _FILES


def optimize(module, target_machine, unroll: bool):
    """Return the module in its fastest form; the given one is used up."""
    options = llvm.create_pipeline_tuning_options()
    options.speed_level = 2
    options.loop_vectorization = True
    options.slp_vectorization = True
    # Tiles are unrolled by the code generator. Unrolled again by LLVM, as it does for Zen
    # processors, they need more registers than there are, and their accumulators are spilled.
    # Elementwise loops need it: without, an lstm's training took 10 % longer (Xeon with AVX-512).
    options.loop_unrolling = unroll
    passes = llvm.create_pass_builder(target_machine, options)
    tables = lookup.tables_of(module)
    if tables:
        module = lookup.with_variants(module, tables)
    passes.getModulePassManager().run(module, passes)
    return lookup.with_bodies(module, tables, passes) if tables else module


def _check_symbols(module, kernel: Kernel) -> None:
    """Raise KernelError if the object file refers to a symbol that does not exist."""
    for each in module.functions:
        name = each.name
        if not each.is_declaration or name.startswith("llvm."):
            continue
        if not llvm.address_of_symbol(name):
            raise KernelError(f"{kernel.name} calls {name}:\n\n{kernel.source}")


@lru_cache
def _find_symbols() -> object:
    """Let LLVM find this process's own functions, as an engine does when it is created."""
    target_machine(this_machine().vector_bits)
    target = llvm.Target.from_triple(llvm.get_process_triple())
    return llvm.create_mcjit_compiler(llvm.parse_assembly(""), target.create_target_machine())


@lru_cache
def target_machine(vector_bits: int):
    llvm.initialize_native_target()
    llvm.initialize_native_asmprinter()
    machine = this_machine(vector_bits)
    target = llvm.Target.from_triple(llvm.get_process_triple())
    x86 = target.name.startswith("x86")
    return target.create_target_machine(
        cpu=machine.cpu,
        features=machine.features,
        opt=3,
        reloc="static" if x86 else "default",
        codemodel="jitdefault",
        jit=True,
    )
