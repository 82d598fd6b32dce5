"""The forms of contractions, one file each. A `FORM` gives the tiles that fit, with cost and plan.

contract, packed, across_lanes, winograd, window
                                          weights times the values of several lanes
across, dot, run, rows, winograd_run      weights times the values of one example
batched                                   values of each example times other values of it
outer, transposed, winograd_gradient, window_gradient
                                          the weights' gradient, a sum over lanes
rounded                                   all of these on operands rounded to bfloat16
"""
