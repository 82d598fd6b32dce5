"""Contractions with known sizes, such as matrix products and convolutions, as calls of kernels.

A tile computes a few rows and vectors of the result in registers; kernels are loops around tiles. A
form is one way to divide a contraction into tiles.

plan        the fastest form for a problem, of the tuple `FORMS`
problem     a contraction and the memory layout of its operands; the protocol of a form
forms       the forms, one file each
tiling      the reads and writes of a contraction as tables of offsets: taps and positions
cost        estimates of the cycles of loops, derived from the machine's profile
tiled       the cycles and plans of `contract` and `packed` tiles
across      the cycles and plans of `across` tiles
gradient    the sums over lanes that the forms of a weights' gradient share
winograd    the windows of Winograd's method, which its forms share
loops       the loops around the tiles, as kernels
target      the type of elements and the machine that tiles are made for
"""
