"""The Numba back end: kernels' trees as Python, and from there to machine code.

printer   the tree of a kernel as the text that Numba compiles
"""
