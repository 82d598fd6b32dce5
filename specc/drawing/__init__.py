"""A model as a picture: boxes for layers, arrows for values.

shapes      what tables and drawings write beside a layer
boxes       boxes, arrows and frames, before they have places
diagram     a program as boxes and arrows
repeats     blocks in a row that are alike, drawn once
layered     where boxes and arrows lie
scene       what a drawing consists of, with places
placed      a diagram from top to bottom
unrolled    a model of sequences step by step, from left to right
svg         a drawing as SVG
paper       a drawing as PNG or PDF, by matplotlib
table       the layers as a table, which `specc show` prints
page        table and drawing, for a notebook
"""
