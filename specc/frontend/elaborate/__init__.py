"""A formula and the names around it to a value: every use of a word is written out in place.

expressions     an expression to a value
calls           a call: the word, its arguments, its body
arguments       the inputs and settings of a call, matched to the signature
bindings        arguments bound to names in the body, checked against types and schemas
patterns        types in signatures, which name the sizes that they match
definitions     the statements of a body
cells           the body of a cell, for all steps of a sequence
initial         initial values of parameters and states
numbers         dimensions and constants of a file
memo            uses of library words that are copied from an earlier, equal use
"""
