"""The primitive words: all that the library's formulas are made of.

    PRIMITIVES["exp"].build(frame, span, x)     # a number or a tensor
    PRIMITIVES["exp"].doc                       # what `specc explain exp` says

Builders raise `Mistake`; nothing else in the language is in Python.
"""

from specc.frontend.primitives import functions, random, shapes, windows
from specc.frontend.primitives.registry import PRIMITIVES, Primitive

__all__ = ["PRIMITIVES", "Primitive", "functions", "random", "shapes", "windows"]
