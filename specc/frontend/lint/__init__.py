"""Warnings about code that compiles but is probably wrong.

lint            all warnings about a file
allow           comments that silence a warning
unused          names that nothing uses
uses            uses of words, read off the tree
scores          results of softmax that are given to a loss which applies it itself
linear          linear layers with nothing between them
saturation      many saturating activations in a row
habits          how the model is trained: its optimizer, its gradients, its memory, its data
signed          losses in which errors of both signs cancel
reaches         outputs that cannot reach their targets
ahead           models that read the symbol which they predict
rates           the values that a setting has in the course of a training
scales          inputs that go into products without any arithmetic
footprint       a lower bound of the memory that a training takes
"""
