"""How gradients flow through a network, layer by layer and step by step, on one batch.

    flow = net.flow(signs=signs, first=first)     # a Flow: values, and a verdict in words
    flow.cells[0].carried                         # the last step's gradient, at each earlier step

In: a program, and the values of its leaves. The gradients are those that training takes, derived by
the same pass; the values come from the NumPy interpreter in float64, so that a gradient of 1e-200
is still a number.
"""

from specc.flow.figures import CellFlow, Flow, LayerFlow, Matrix
from specc.flow.measure import measure

__all__ = ["CellFlow", "Flow", "LayerFlow", "Matrix", "measure"]
