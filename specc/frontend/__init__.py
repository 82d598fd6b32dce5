"""From the text of a model file to a checked program.

The rooms, in the order of the way through them; each imports only rooms above itself:

syntax          text to syntax tree, and the syntax errors on the way
layout          the canonical layout of a file (`specc fmt`)
words           what is known of a word before it is used: definition, signature, settings
scope           the names of a file and of a body, and the values that a name can stand for
operators       arithmetic, products, sequences: on known numbers, or as ops of the graph
primitives      the words that are written in Python
fix             fixes of errors: offered, verified, applied
elaborate       a formula and the names around it to a value
lint            warnings: what compiles but is probably wrong
program         a syntax tree to a checked program, with all errors of the file in one run
search          searches, and a file with values in their place
jsonform        the JSON form of a file
explain         the pages that `specc explain` prints
"""
