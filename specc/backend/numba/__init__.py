"""Numba as the compiler of kernels, in place of specc's own: `SPECC_COMPILER=numba`.

compile     a kernel's text to an object file

The texts of kernels, the functions that they call and the optimization are those of
`specc.backend.llvm`; what is Numba's is the way from the text to LLVM's instructions. It takes
three times as long, and gives the same bits.
"""
