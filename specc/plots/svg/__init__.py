"""Draw a figure as SVG.

document    a whole figure
panel       a panel with its marks
axes        how large a panel is, what stands along its axes, where values lie
others      what is no panel: pictures, weighted words, plain text
elements    texts, lines and pixels, and the sizes that all parts share
"""
