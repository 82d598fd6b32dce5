"""A contraction with known sizes as calls of register tiles: matrix products, convolutions.

plan        the fastest form for a problem, of the tuple `FORMS`
problem     a contraction with the places of its operands; what a form is
forms       the forms, one file each
tiling      offsets: what an op reads and writes, as tables of taps and positions
cost        what loops cost, derived from the machine's profile
tiled       cycles of `contract` and `packed` tiles, and their plans
gradient    the sums over lanes that the forms of a gradient share
winograd    the windows of Winograd's method, which its forms share
loops       the loops around the tiles, as kernels
target      the type of elements and the machine that tiles are made for
"""
