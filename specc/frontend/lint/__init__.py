"""Warnings: what compiles but is probably wrong.

lint            warnings about the model, and the comments that silence a warning
habits          warnings about how it is trained
signed          losses in which errors of both signs cancel
reaches         outputs that cannot reach their targets
rates           the values of a schedule over a training
footprint       a lower bound of the memory that a training takes
"""
