"""Figures of a run or a model: what they show as plain data, and how they are drawn.

marks       a figure: panels with lines, points, bars, tables of colours and pictures
ticks       round numbers for an axis
svg         draws a figure as SVG, for pages, notebooks and files
blocks      draws the lines of a figure with characters, for a terminal
paper       draws a figure with matplotlib, as PNG, PDF or SVG
png         pixels as a PNG
subject     what is drawn: a program, its weights, the history of its run, and examples
heads       which output answers which target
values      what layers give for some examples
embeddings  points of many dimensions in the plane: PCA, t-SNE, UMAP
shown       figures for Python and notebooks
kinds       the tuple `KINDS`: every figure by name, and whether a subject has it

Each other file holds the figures of one theme, as functions from a subject to a `Figure`.
"""
