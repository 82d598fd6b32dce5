"""The back end: kernels as Python that people can read, and from there to an object file.

    kernel        a kernel: its text, and the key under which its machine code is kept
    printer       the tree of a kernel as Python, of the kind that Numba compiles as well
    intrinsics    functions that write LLVM's instructions, and the types of their arguments
    vectormath    exp, tanh and other functions, made to be vectorized
    lookup        tables of a few numbers in registers
    avx512        tanh and sigmoid with tables, for 512-bit vectors
    memory        words at addresses, atomics, sleeping, the clock
    vectors       what the tiles are written with: vectors, loops, sums in LLVM's code
    tiles         register tiles of products and sums
    windows       tiles for windows that move over each channel by itself
    moves         squares of numbers, transposed in registers
    pairs         pairs of bfloat16 numbers, rounded from float32
    winograd      the transforms of Winograd's convolution
    thread_pool   the loop over a program's steps, the barrier, the workers' waiting
    values        numbers and arrays as LLVM's values, and arithmetic on numbers
    formulas      expressions of a kernel to LLVM's instructions
    lower         a kernel's tree to a module of LLVM
    compile       a kernel's text to an object file

Everything in this folder, and whatever it imports from specc, is part of the identity of the
machine code in the cache (see `toolchain.load`). Another back end is a folder beside this one, with
files of the same names."""
