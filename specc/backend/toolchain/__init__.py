"""The machine code of kernels: from the cache folder if it is there, else compiled.

choice        the chosen compiler as one function: specc's own, or Numba
load          addresses of kernels; the cache folder, and the engine that links object files
workers       compilation of kernels in several processes at once
"""
