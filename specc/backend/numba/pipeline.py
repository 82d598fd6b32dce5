"""The passes of Numba that kernels need, and no others.

The others look for what the Python of kernels does not have (closures, literal lists, array
expressions, generators, exceptions), prepare reference counts, or rename variables that are
assigned more than once, which LLVM does as well. They took half of Numba's time."""

from __future__ import annotations

from numba.core import compiler, typed_passes, untyped_passes
from numba.core.compiler_machinery import PassManager

PASSES = (
    untyped_passes.TranslateByteCode,
    untyped_passes.FixupArgs,
    typed_passes.NopythonTypeInference,
    typed_passes.NativeLowering,
    typed_passes.NoPythonBackend,
)


class Pipeline(compiler.CompilerBase):
    """A compiler for `compile_extra` and for `jit(pipeline_class=...)`."""

    def define_pipelines(self):
        manager = PassManager("kernel")
        for each in PASSES:
            manager.add_pass(each, each.__doc__ or each.__name__)
        manager.finalize()
        return [manager]
