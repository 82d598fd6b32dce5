"""What `specc explain` prints, and the reference of the documentation is made of.

statements      the docstrings of the syntax tree: statements, types, operators
words           the page of a function, layer or optimizer
examples        a small program for each word
topics          everything that can be explained, by name and kind
explain         the text on a name, the nearest name, and the list of all
"""
