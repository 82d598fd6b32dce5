"""The primitive words: all that the library's formulas are made of.

    PRIMITIVES["exp"].build(frame, span, x)     # a number or a tensor
    PRIMITIVES["exp"].doc                       # what `specc explain exp` says

Builders raise `Mistake`; nothing else in the language is in Python.

registry        how a primitive is declared: its builder, with inputs, settings and doc
functions       functions of each element; sums, means, maxima; the batch
shapes          shapes, axes, positions; the steps of a sequence
axes            padding, order and sums along an axis
windows         convolutions, and windows that are moved over an image
layers          copies of layers
random          random numbers
"""

from specc.frontend.primitives import axes, functions, layers, random, shapes, windows
from specc.frontend.primitives.registry import PRIMITIVES

__all__ = ["PRIMITIVES", "axes", "functions", "layers", "random", "shapes", "windows"]
