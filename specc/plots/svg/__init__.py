"""Draws a figure as SVG.

document    a whole figure
panel       a panel with its marks
axes        the size of a panel, the ticks of its axes, and scales
others      parts that are not panels: images, weighted words, plain text
flowing     the same parts as HTML that wraps to the width of a page
elements    texts, lines and bitmaps, and the sizes that all parts share
"""
