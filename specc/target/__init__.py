"""The language of kernels: a small tree that every back end prints in its own way.

A kernel is one function over numbers, addresses and arrays: loops, assignments, loads, stores and
calls, and nothing else. The rooms, in the order of the way through them:

    expressions   numbers, names, arithmetic, comparisons, choices, conversions, loads, calls
    parse         a text in this language, which is a part of Python's, as a tree
    sharing       names for the parts that an expression has more than once
    evaluate      the value of an expression, for plain numbers or NumPy arrays

    parsed = expression("a if a > b else b", a=Name("v0"), b=Real(0.0))
    printer.expression(parsed)         # "v0 if v0 > 0.0 else 0.0"

`specc.backend.llvm` prints the tree as Python, which Numba compiles as well, and compiles it.
Another back end is another package beside `specc.backend.llvm`, with files of the same names.
"""
