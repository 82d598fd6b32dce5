"""Plots of runs and models: figures as plain data, and how they are drawn.

marks       a figure: panels with lines, points, bars, heatmaps and images
ticks       round numbers for an axis
svg         draws a figure as SVG, for pages, notebooks and files
blocks      draws the lines of a figure with braille characters, for a terminal
paper       draws a figure with matplotlib, as PNG, PDF or SVG
png         encodes pixels as PNG
subject     what is plotted: a program, its weights, the history of its run, and examples
heads       finds the output that predicts each target
answers     predictions and true classes, and statistics of them
embeddings  projections to the plane: PCA, t-SNE, UMAP
shown       plots for Python and notebooks
kinds       the tuple `KINDS`: every kind of plot, and whether it is possible for a subject

Each other file has the plots of one theme, as functions from a subject to a `Figure`.
"""
