"""A kernel to an object file by Numba: the text that people read is what Numba compiles.

    object_code(Kernel("relu", ...))

Numba types and lowers the text; LLVM optimizes it as it does for specc's own compiler, so that both
give the same bits.
"""

from __future__ import annotations

import ast
import functools
import importlib
import linecache
import re

import llvmlite.binding as llvm
import numpy as np
from llvmlite import ir
from numba.core import (
    cgutils,
    codegen,
    compiler,
    cpu_options,
    registry,
    typed_passes,
    types,
    untyped_passes,
)
from numba.core.compiler_lock import global_compiler_lock
from numba.core.compiler_machinery import PassManager
from numba.core.typing.npydecl import parse_dtype
from numba.extending import intrinsic
from numba.np import arrayobj

from specc.backend.llvm import compile as compiling
from specc.backend.llvm import memory, vectormath
from specc.backend.llvm.intrinsics import NAMED, LLVMIntrinsic
from specc.backend.llvm.kernel import CONTROL_WORDS, Kernel
from specc.system.locks import NATIVE

I64 = ir.IntType(64)
OF_THE_EXECUTOR = ("run_steps", "wake_worker", "pauses")
_ELEMENTS = {
    "float32": (types.float32, 4),
    "float64": (types.float64, 8),
    "int32": (types.int32, 4),
    "int64": (types.int64, 8),
    "uint8": (types.uint8, 1),
}
_PARAMETER = re.compile(r"^(float|float32|float64|int32|int64|uint8)\s*\[(.*)\]$", re.S)


def object_code(kernel: Kernel) -> bytes:
    """Return the object file that defines `kernel.symbol`.

    The kernels of the executor call functions that Numba cannot type: they are specc's own.
    """
    if kernel.name in OF_THE_EXECUTOR:
        return compiling.object_code(kernel)
    with NATIVE:
        return compiling.target_machine(kernel.vector_bits).emit_object(_module(kernel))


class _Library(codegen.JITCodeLibrary):
    """Keeps the functions as Numba lowered them: they are optimized once, when all is linked."""

    def _optimize_functions(self, ll_module):
        ll_module.data_layout = self._codegen._data_layout


class _Pipeline(compiler.CompilerBase):
    """The passes of Numba that kernels need; the others take half of the time."""

    def define_pipelines(self):
        manager = PassManager("kernel")
        for each in (
            untyped_passes.TranslateByteCode,
            untyped_passes.FixupArgs,
            typed_passes.NopythonTypeInference,
            typed_passes.NativeLowering,
            typed_passes.NoPythonBackend,
        ):
            manager.add_pass(each, each.__name__)
        manager.finalize()
        return [manager]


@global_compiler_lock
def _module(kernel: Kernel):
    function, parameters = _function(kernel)
    registry.cpu_target.typing_context.refresh()
    registry.cpu_target.target_context.refresh()
    target = registry.cpu_target.target_context
    library = _Library(target.codegen(), kernel.symbol)
    flags = compiler.Flags()
    flags.no_compile = True
    flags.no_cpython_wrapper = True
    flags.no_cfunc_wrapper = True
    flags.enable_pyobject = False
    flags.nrt = False
    flags.error_model = "numpy"
    flags.fastmath = cpu_options.FastMathOptions({"contract"})
    flags.noalias = not kernel.overlap
    result = compiler.compile_extra(
        registry.cpu_target.typing_context,
        target,
        function,
        tuple(each.type for each in parameters),
        types.none,
        flags,
        {},
        library=library,
        pipeline_class=_Pipeline,
    )
    module = library._final_module
    for each in library._linking_libraries:
        if each.name != "nrt":
            module.link_in(each._get_module_for_linking(), preserve=True)
    text = _wrapper(kernel.symbol, result.fndesc.llvm_func_name, parameters)
    module.link_in(llvm.parse_assembly(text))
    for each in (*module.functions, *module.global_variables):
        if not each.is_declaration and each.name != kernel.symbol:
            each.linkage = "internal"
    target_machine = compiling.target_machine(kernel.vector_bits)
    return compiling.optimize(module, target_machine, kernel.unroll)


# Functions that kernels call, as intrinsics of Numba.


def _for_numba(each: LLVMIntrinsic):
    """Return an intrinsic of specc as one of Numba."""

    @functools.wraps(each.define)
    def define(typing, *arguments):
        own = [NAMED[str(types.unliteral(kind))] for kind in arguments]
        signature, write = each.define(typing, *own)
        kinds = [getattr(types, kind.name) for kind in (signature.return_type, *signature.args)]
        return kinds[0](*kinds[1:]), write

    return intrinsic(define)


@intrinsic
def view(typing, address, shape, dtype):
    array = types.Array(parse_dtype(dtype), len(shape), "C")

    def codegen(context, b, signature, args):
        made = context.make_array(array)(context, b)
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        extents = cgutils.unpack_tuple(b, args[1])
        strides = [ir.Constant(I64, size)]
        for extent in extents[:0:-1]:
            strides.insert(0, b.mul(strides[0], extent))
        data = b.inttoptr(args[0], context.get_data_type(array.dtype).as_pointer())
        arrayobj.populate_array(made, data, extents, strides, size, None)
        return made._getvalue()

    return array(types.int64, types.UniTuple(types.int64, len(shape)), dtype), codegen


@intrinsic
def row(typing, array, start, count):
    kind = types.Array(array.dtype, 1, "C")

    def codegen(context, b, signature, args):
        source = context.make_array(array)(context, b, value=args[0])
        made = context.make_array(kind)(context, b)
        size = context.get_abi_sizeof(context.get_data_type(array.dtype))
        data = b.gep(source.data, [args[1]])
        arrayobj.populate_array(made, data, [args[2]], [ir.Constant(I64, size)], size, None)
        return made._getvalue()

    return kind(array, types.int64, types.int64), codegen


@intrinsic(prefer_literal=True)
def partial_sums(typing, count, dtype):
    if not isinstance(count, types.IntegerLiteral):
        return None
    length = count.literal_value
    array = types.Array(parse_dtype(dtype), 1, "C")

    def codegen(context, b, signature, args):
        made = context.make_array(array)(context, b)
        element = context.get_data_type(array.dtype)
        size = context.get_abi_sizeof(element)
        data = cgutils.alloca_once(b, ir.ArrayType(element, length))
        arrayobj.populate_array(
            made,
            b.bitcast(data, element.as_pointer()),
            [ir.Constant(I64, length)],
            [ir.Constant(I64, size)],
            size,
            None,
        )
        return made._getvalue()

    return array(count, dtype), codegen


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
        listed = ast.parse(f"[{match[2]}]", mode="eval").body
        assert isinstance(listed, ast.List)
        extents = listed.elts
        self.extents = extents or [ast.Constant(1)]
        self.type = types.Array(element, len(self.extents), "C")


def _function(kernel: Kernel):
    """Return the kernel as a Python function, and its parameters."""
    tree = ast.parse(kernel.source)
    definition = next(
        each for each in tree.body if isinstance(each, ast.FunctionDef) and each.name == kernel.name
    )
    parameters = [
        _Parameter(each.arg, ast.literal_eval(each.annotation or ""), kernel.dtype)
        for each in definition.args.args
    ]
    names = _namespace(kernel)
    tree = ast.fix_missing_locations(_Numbers(names, getattr(np, kernel.dtype)).visit(tree))
    file = f"<{kernel.symbol}>"
    linecache.cache[file] = (len(kernel.source), None, kernel.source.splitlines(True), file)
    exec(compile(tree, file, "exec", dont_inherit=True), names)
    return names[kernel.name], parameters


def _namespace(kernel: Kernel) -> dict:
    names: dict = {}
    exec(kernel.imports, names)
    names |= {**vars(vectormath), **vars(memory)}
    if (file := compiling.files_of(kernel)[0]) != "vectormath":
        own = vars(importlib.import_module(f"{compiling.__package__}.{file}"))
        names |= {name: each for name, each in own.items() if isinstance(each, LLVMIntrinsic)}
    names = {
        name: _for_numba(each) if isinstance(each, LLVMIntrinsic) else each
        for name, each in names.items()
    }
    own = {"np": np, "real": getattr(np, kernel.dtype)}
    return {**names, **own, "view": view, "row": row, "partial_sums": partial_sums}


class _Numbers(ast.NodeTransformer):
    """Converts numbers with a decimal point to the kernel's dtype; to Numba they are float64."""

    def __init__(self, names: dict, dtype):
        self._names, self._dtype = names, dtype

    def visit_Constant(self, node):
        if not isinstance(node.value, float):
            return node
        name = f"number_{len(self._names)}_"
        self._names[name] = self._dtype(node.value)
        return ast.Name(name, ast.Load())


# The LLVM side: void symbol(int64 *args, int64 *control).


def _wrapper(symbol: str, callee: str, parameters: list[_Parameter]) -> str:
    """Return LLVM text that unpacks the arguments and calls the function as Numba lowered it."""
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
        assert isinstance(node, ast.BinOp)
        operation = {ast.Mult: "mul nuw nsw", ast.Add: "add nuw nsw"}[type(node.op)]
        return emit(f"{operation} i64 {extent(node.left)}, {extent(node.right)}")

    passed = ["ptr %result", "ptr %exception"]
    for each in parameters:
        if each.extents is None:
            passed.append(f"i64 {values[each.name]}")
            continue
        data = "%control" if each.control else emit(f"inttoptr i64 {values[each.name]} to ptr")
        extents = [extent(node) for node in each.extents]
        strides: list[str] = []
        step = str(each.size)
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

define void @{symbol}(ptr noalias %args, ptr noalias %control) {{
  %result = alloca ptr
  %exception = alloca ptr
{body}
  %status = call i32 @{callee}({arguments})
  ret void
}}
"""
