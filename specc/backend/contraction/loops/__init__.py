"""The loops around register tiles: kernels as functions in the language of kernels.

    contract      `contract` and `packed` tiles
    single        the tiles for one example
    batched       the tiles for two values of each example
    gradient      the tiles of the weights' gradient
    window        the tiles of windows that move over each channel by itself
    rounding      copies of operands rounded to bfloat16, in pairs or as float32
    winograd      the transforms and products of Winograd's method

Sizes and tables of offsets are arguments, so that one kernel serves all contractions, of this model
and others, that want the same tile. The last block of rows (vectors, taps) overlaps the one before
instead of being smaller.
"""
