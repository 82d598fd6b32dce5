"""From a plan to machine code that runs: what specc knows about processors.

The rooms, in the order of the way through them:

    machine       the processor: its vectors, registers and features
    words         the words that threads share while they run a program
    contraction   a matrix product or a convolution as loops over register tiles
    emit          a plan as calls of kernels, each with its arguments
    llvm          kernels as Python, the functions that they may call, the compiler
    numba         Numba in place of that compiler
    compilers     which of the two is chosen
    toolchain     kernels to addresses: the cache folder, the linker, the worker processes
    run           memory for a program, and the threads that run it
    measure       the time of each call, and what the processor can do at most
    listing       a compiled program as one Python file to be read
    reference     a graph computed by NumPy, for the tests and for initial values
"""
