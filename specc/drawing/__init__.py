"""A model as a picture: boxes for layers, arrows for values.

shapes      what tables and drawings write beside a layer
diagram     a program as boxes and arrows
layered     where boxes and arrows lie
svg         a diagram as SVG
table       the layers as a table, which `specc show` prints
page        both of them, for a notebook
"""
