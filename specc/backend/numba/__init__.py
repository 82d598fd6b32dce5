"""The Numba back end: kernels as Python, and from there to an object file.

    printer       the tree of a kernel as the text that Numba compiles
    vectormath    exp, tanh and other functions, made to be vectorized
    memory        views of addresses, loads and stores, atomics, sleeping, the clock
    vectors       what the tiles are written with: vectors, loops, sums in LLVM's code
    tiles         register tiles of products and sums
    moves         squares of numbers, transposed in registers
    winograd      the transforms of Winograd's convolution
    crew          the loop over a program's steps, the barrier, the workers' waiting
    pipeline      the passes of Numba that kernels need
    compile       a kernel's text to an object file

Everything in this folder, and whatever it imports from specc, is part of the identity of the
machine code in the cache (see `toolchain.load`). Another back end is a folder beside this one, with
files of the same names."""
