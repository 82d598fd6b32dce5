"""The loops around register tiles: kernels as functions in the language of kernels.

    contract      `contract` and `packed` tiles
    single        the tiles for one example
    batched       the tiles for two values of each example
    gradient      the tiles of the weights' gradient
    window        the tiles of windows that move over each channel separately
    rounding      copies of operands rounded to bfloat16, in pairs or as float32
    winograd      the transforms and products of Winograd's method

Sizes and tables of offsets are arguments, so that one kernel serves all contractions that use the
same tile, in all models. The last block of rows (vectors, taps) is not smaller than the others, but
overlaps the one before.
"""
