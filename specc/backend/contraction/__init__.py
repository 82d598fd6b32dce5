"""A contraction with known sizes as calls of register tiles: matrix products, convolutions, gradients.

plan              the fastest form for a contraction
tiling            offsets: what an op reads and writes, as tables of taps and positions
tiled             cycles of a tile, and the plans of the `contract` and `packed` tiles
single            the forms for one example, which has no lanes
gradient          the forms of the weights' gradient
winograd          convolutions with 3x3 weights by Winograd's method
loops             the loops around the register tiles, as kernels
winograd_loops    the loops around the transforms of Winograd's method, as kernels
"""
