"""The forms of kernels for contractions, one file each: a `FORM` has what it fits, cost and plan.

contract, packed, winograd, window        weights times the values of several lanes
across, dot, run, rows, winograd_run      weights times the values of one example
batched                                   values of each example times others of it
outer, transposed, winograd_gradient, window_gradient
                                          the weights' gradient, a sum over lanes
rounded                                   all of these on operands rounded to bfloat16
"""
