"""A kernel's Python text to an object file, by Numba's front end and LLVM.

Numba types and lowers the function; a wrapper of a few lines of LLVM unpacks `args` into arrays and
calls it; LLVM inlines, vectorizes and emits one object file that needs neither Numba nor Python: no
reference counts, no exceptions, no interpreter lock.
"""

from __future__ import annotations

import ast
import linecache
import re
from functools import lru_cache

import llvmlite.binding as llvm
import numpy as np
from numba.core import codegen, compiler, cpu_options, errors, registry, types
from numba.core.compiler_lock import global_compiler_lock

from specc.backend.machine import Machine, this_machine
from specc.backend.numba.kernel import CONTROL_WORDS, Kernel
from specc.backend.numba.pipeline import Pipeline
from specc.backend.numba.shortcuts import shortcuts
from specc.locks import NATIVE

_ELEMENTS = {
    "float32": (types.float32, 4),
    "float64": (types.float64, 8),
    "int32": (types.int32, 4),
    "int64": (types.int64, 8),
    "uint8": (types.uint8, 1),
}
# A product and a sum may become one rounding, and nothing else: reassociation would turn (x + 1) -
# x into 1 for a NaN, and a reciprocal's approximation is NaN at 0 and infinity. Sums use `plus`.
_FASTMATH = {"contract"}
_PARAMETER = re.compile(r"^(float|float32|float64|int32|int64|uint8)\s*\[(.*)\]$", re.S)


class KernelError(Exception):
    """A kernel that does not compile: a fault of the code generator, to be reported."""


def object_code(kernel: Kernel) -> bytes:
    """The object file that defines `kernel.symbol`."""
    with NATIVE:
        return _target_machine(kernel.vector_bits).emit_object(_module(kernel))


def llvm_text(kernel: Kernel) -> str:
    """The kernel's optimized LLVM code, to read and to test."""
    return str(_module(kernel))


def assembly(kernel: Kernel) -> str:
    return _target_machine(kernel.vector_bits).emit_assembly(_module(kernel))


def warm_up() -> None:
    """Loads what Numba loads at its first compilation (about 0.3 s)."""
    registry.cpu_target.typing_context.refresh()
    registry.cpu_target.target_context.refresh()


class _Library(codegen.JITCodeLibrary):
    """Keeps the functions as Numba lowered them: they are optimized once, when all is linked."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout


def lowered(kernel: Kernel) -> bytes:
    """The kernel as LLVM bitcode, before anything depends on a processor."""
    with NATIVE:
        return _lowered(kernel).as_bitcode()


def assembly_for(bitcode: bytes, kernel: Kernel, machine: Machine, triple: str) -> str:
    """The assembly that LLVM makes of a lowered kernel for a processor that need not be here."""
    with NATIVE:
        llvm.initialize_all_targets()
        llvm.initialize_all_asmprinters()
        target = llvm.Target.from_triple(triple).create_target_machine(
            cpu=machine.cpu, features=machine.features, opt=3
        )
        module = llvm.parse_bitcode(bitcode)
        module.triple, module.data_layout = triple, str(target.target_data)
        _optimize(module, target, kernel.unroll)
        return target.emit_assembly(module)


def _module(kernel: Kernel):
    module = _lowered(kernel)
    _optimize(module, _target_machine(kernel.vector_bits), kernel.unroll)
    _check_symbols(module, kernel)
    return module


@global_compiler_lock
def _lowered(kernel: Kernel):
    function, parameters = _function(kernel)
    warm_up()
    target = registry.cpu_target.target_context
    library = _Library(target.codegen(), kernel.symbol)
    flags = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    flags.nrt = False
    flags.error_model = "numpy"
    flags.fastmath = cpu_options.FastMathOptions(_FASTMATH)
    flags.noalias = not kernel.overlap
    try:
        with shortcuts(target, flags.noalias):
            result = compiler.compile_extra(
                registry.cpu_target.typing_context,
                target,
                function,
                tuple(each.type for each in parameters),
                types.none,
                flags,
                {},
                library=library,
                pipeline_class=Pipeline,
            )
    except errors.NumbaError as error:
        raise KernelError(f"{kernel.name} does not compile:\n{error}\n\n{kernel.source}") from error

    module = library._final_module
    for each in library._linking_libraries:
        if each.name != "nrt":
            module.link_in(each._get_module_for_linking(), preserve=True)
    wrapper = llvm.parse_assembly(_wrapper(kernel.symbol, result.fndesc.llvm_func_name, parameters))
    module.link_in(wrapper)
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name != kernel.symbol:
            each.linkage = "internal"
    return module


def _optimize(module, target_machine, unroll: bool) -> None:
    options = llvm.create_pipeline_tuning_options()
    options.speed_level = 2
    options.loop_vectorization = True
    options.slp_vectorization = True
    # Tiles are unrolled by the code generator. Unrolled again by LLVM, as it does for Zen
    # processors, they need more registers than there are, and their accumulators are spilled.
    # Elementwise loops need it: without, an lstm's training took 10 % longer (Xeon with AVX-512).
    options.loop_unrolling = unroll
    passes = llvm.create_pass_builder(target_machine, options)
    passes.getModulePassManager().run(module, passes)


def _check_symbols(module, kernel: Kernel) -> None:
    """Everything the object file refers to must be there without Numba."""
    for each in module.functions:
        name = each.name
        if not each.is_declaration or name.startswith("llvm."):
            continue
        if name == "specc_kernel_raises":
            raise KernelError(f"{kernel.name} may raise an exception:\n\n{kernel.source}")
        if name.startswith(("numba_", "NRT_", "Py", "_Py")) or not llvm.address_of_symbol(name):
            raise KernelError(f"{kernel.name} calls {name}:\n\n{kernel.source}")


@lru_cache
def _target_machine(vector_bits: int):
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


# The Python side: the function and its parameters.


class _Parameter:
    """A parameter's Numba type, and for an array its extents as expressions."""

    def __init__(self, name: str, annotation: str, dtype: str):
        self.name = name
        self.extents: list[ast.expr] | None = None
        self.control = annotation == "control"
        if self.control:
            self.type, self.size, self.extents = (
                types.Array(types.int64, 1, "C"),
                8,
                [ast.Constant(CONTROL_WORDS)],
            )
            return
        if annotation == "int":
            self.type = types.int64
            return
        match = _PARAMETER.match(annotation.strip())
        assert match, f"{name}: {annotation!r} is not the type of a kernel's parameter"
        element, self.size = _ELEMENTS[dtype if match[1] == "float" else match[1]]
        extents = ast.parse(f"[{match[2]}]", mode="eval").body.elts
        self.extents = extents or [ast.Constant(1)]
        self.type = types.Array(element, len(self.extents), "C")


def _function(kernel: Kernel):
    """The kernel as a Python function, and its parameters."""
    tree = ast.parse(kernel.source)
    definition = next(
        each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == kernel.name
    )
    parameters = [
        _Parameter(each.arg, each.annotation.value, kernel.dtype) for each in definition.args.args
    ]
    names = _namespace(kernel)
    tree = ast.fix_missing_locations(_Numbers(names, getattr(np, kernel.dtype)).visit(tree))
    file = f"<{kernel.symbol}>"
    linecache.cache[file] = (len(kernel.source), None, kernel.source.splitlines(True), file)
    exec(compile(tree, file, "exec", dont_inherit=True), names)
    return names[kernel.name], parameters


def _namespace(kernel: Kernel) -> dict:
    names: dict = {}
    exec("import math\nimport numpy as np\nfrom specc.backend.numba.vectormath import *", names)
    names["real"] = getattr(np, kernel.dtype)
    exec(kernel.imports, names)
    return names


class _Numbers(ast.NodeTransformer):
    """Gives every number with a decimal point the kernel's dtype: to Numba it is a float64."""

    def __init__(self, names: dict, dtype):
        self._names, self._dtype = names, dtype

    def visit_Constant(self, node):
        if not isinstance(node.value, float):
            return node
        name = f"number_{len(self._names)}_"
        self._names[name] = self._dtype(node.value)
        return ast.Name(name, ast.Load())

    def visit_Subscript(self, node):
        if any(isinstance(each, ast.UnaryOp) for each in (node.slice, *_items(node.slice))):
            raise KernelError(f"an index counts from the start: {ast.unparse(node)}")
        return self.generic_visit(node)


def _items(index: ast.expr) -> list[ast.expr]:
    return index.elts if isinstance(index, ast.Tuple) else []


# The LLVM side: void symbol(int64 *args, int64 *control).


def _wrapper(symbol: str, callee: str, parameters: list[_Parameter]) -> str:
    """LLVM text that unpacks the arguments and calls the function as Numba lowered it."""
    lines, sizes = [], set()
    fresh = (f"%t{number}" for number in range(1 << 30))

    def emit(text: str) -> str:
        name = next(fresh)
        lines.append(f"  {name} = {text}")
        return name

    slots, values = iter(range(len(parameters))), {}
    for each in parameters:
        if not each.control:
            place = emit(f"getelementptr i64, ptr %args, i64 {next(slots)}")
            values[each.name] = emit(f"load i64, ptr {place}")

    def extent(node: ast.expr) -> str:
        if isinstance(node, ast.Constant):
            return str(node.value)
        if isinstance(node, ast.Name):
            sizes.add(node.id)
            return values[node.id]
        operation = {ast.Mult: "mul nuw nsw", ast.Add: "add nuw nsw"}[type(node.op)]
        return emit(f"{operation} i64 {extent(node.left)}, {extent(node.right)}")

    passed = ["ptr %result", "ptr %exception"]
    for each in parameters:
        if each.extents is None:
            passed.append(f"i64 {values[each.name]}")
            continue
        data = "%control" if each.control else emit(f"inttoptr i64 {values[each.name]} to ptr")
        extents = [extent(node) for node in each.extents]
        strides, step = [], str(each.size)
        for size in reversed(extents):
            strides.insert(0, step)
            step = emit(f"mul nuw nsw i64 {step}, {size}")
        count = emit(f"udiv i64 {step}, {each.size}")
        passed += ["ptr null", "ptr null", f"i64 {count}", f"i64 {each.size}", f"ptr {data}"]
        passed += [f"i64 {value}" for value in (*extents, *strides)]
    # an extent is never negative: Numba's test for negative indices then folds away
    for name in sorted(sizes):
        positive = emit(f"icmp sge i64 {values[name]}, 0")
        lines.append(f"  call void @llvm.assume(i1 {positive})")
    arguments = ", ".join(passed)
    kinds = ", ".join(each.split()[0] for each in passed)
    body = "\n".join(lines)
    return f"""
declare i32 @{callee}({kinds})
declare void @llvm.assume(i1)
declare void @specc_kernel_raises()

define void @{symbol}(ptr noalias %args, ptr noalias %control) {{
  %result = alloca ptr
  %exception = alloca ptr
{body}
  %status = call i32 @{callee}({arguments})
  %raised = icmp ne i32 %status, 0
  br i1 %raised, label %error, label %done
error:
  call void @specc_kernel_raises()
  ret void
done:
  ret void
}}
"""
