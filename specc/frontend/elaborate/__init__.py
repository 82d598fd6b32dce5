"""A formula and the names around it to a value: every use of a word is written out in place.

dispatch        the two ways into the rules: the value of an expression, the value of a word's body
expressions     the rules for names, operators, conditionals, indices
names           what names stand for, and what is said of a name without a meaning
misuse          what is said of operands that do not go together
calls           calls and pipelines: the word, its arguments, its body
arguments       the inputs and settings of a call, matched to the signature
bindings        arguments bound to names in the body, checked against types and schemas
patterns        types in signatures, which name the sizes that they match
builtins        the body of a primitive
copies          copies of a layer: the same weights without a gradient, or their moving mean
definitions     the body of a `fn` or `block`
cells           the body of a `cell`, for all steps of a sequence
binders         the indices that a formula binds, and the places where they stand
formula         a walk through a formula that notes both
ranges          what the indices of a formula run through
indices         formulas with indices: `let y[k] = sum(i: W[k, i] * x[i])`
initial         initial values of parameters and states
numbers         dimensions and constants of a file
schedule        the names of a schedule, and its value at a point of a training
memo            uses of library words that are copied from an earlier, equal use

Importing the room registers all rules with `dispatch`.
"""

from specc.frontend.elaborate import builtins, calls, cells, definitions, expressions, indices

__all__ = ["builtins", "calls", "cells", "definitions", "expressions", "indices"]
