"""The texts of `specc explain` and of the documentation's reference.

statements      the docstrings of the syntax tree: statements, types, operators
words           the page of a function, layer, cell or optimizer
examples        a small program for each function and layer
topics          everything that can be explained, by name and kind
explain         the text about a name, the nearest name, and the list of all names
"""
