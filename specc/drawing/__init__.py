"""Drawings of models: boxes for layers, arrows for values.

shapes      the shapes as text, for tables and drawings
boxes       boxes, arrows and frames without positions
diagram     turns a program into boxes and arrows
repeats     draws consecutive equal blocks only once
layered     computes positions of boxes and arrows
scene       the elements of a drawing, with positions
placed      lays out a diagram from top to bottom
unrolled    lays out a sequence model with one column per time step
svg         writes a drawing as SVG
paper       writes a drawing as PNG or PDF, with matplotlib
table       the layers as a table, which `specc show` prints
page        table and drawing, for a notebook
"""
