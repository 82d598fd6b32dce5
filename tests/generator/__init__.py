"""Random valid programs, and the comparison of their compiled code with the float64 interpreter.

    case = cases.case(seed)               # a program, and the rows, threads and numbers that it
    runs on
    verdict.verdict(case)                 # raises Mismatch if the values differ

`program` holds a program as lines; `writer` keeps the values that formulas may use; `formulas`,
`layers` and `recurrent` write statements; `ends` writes losses, outputs and training; `cases` puts
a case
together; `oracle` evaluates graphs with rounding noise; `verdict` compares; `child` runs cases in a
process of their own; `shrink` makes a failing case small.
"""
