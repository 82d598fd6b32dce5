"""The primitive functions, of which the library's formulas consist.

    PRIMITIVES["exp"].build(frame, span, x)     # a number or a tensor
    PRIMITIVES["exp"].doc                       # the page of `specc explain exp`

Builders raise `OperandError`; nothing else in the language is in Python.

registry        the declaration of a primitive: its builder, inputs, settings and doc
functions       elementwise functions; sums, means, maxima; the batch
gradients       derivatives within a model
shapes          shapes, axes, positions; time steps of a sequence
axes            padding, sorting and cumulative sums along an axis
windows         convolutions and pooling windows
layers          copies of layers
random          random numbers
"""

from specc.frontend.primitives import axes, functions, gradients, layers, random, shapes, windows
from specc.frontend.primitives.registry import PRIMITIVES

__all__ = ["PRIMITIVES", "axes", "functions", "gradients", "layers", "random", "shapes", "windows"]
