"""Kernels to machine code in this process: from the cache folder if it is there, else compiled.

choice        the compiler that is chosen: specc's own, or Numba
load          addresses of kernels; the cache folder, and the engine that links object files
workers       compiles kernels in several processes at once
"""
