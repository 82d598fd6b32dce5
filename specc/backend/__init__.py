"""From a plan to machine code that runs: everything that depends on the processor.

The rooms, in the order in which a plan passes through them:

    machine       the processor: its vectors, registers and features
    words         the words that threads share while they run a program
    contraction   a matrix product or a convolution as loops over register tiles
    emit          a plan as calls of kernels, each with its arguments
    llvm          kernels as Python, the functions that they may call, the compiler
    numba         Numba as the other compiler
    compilers     the choice between the two
    toolchain     kernels to addresses: the cache folder, the linker, the worker processes
    run           memory for a program, and the threads that run it
    measure       the time of each call, and the limits of the processor
    listing       a compiled program as one readable Python file
    reference     a graph computed by NumPy, for the tests and for initial values
"""
