"""Elaboration: evaluates formulas, and expands every use of a definition in place.

dispatch        the two entry points: the value of an expression, and of a definition's body
expressions     the rules for names, operators, conditionals, indices
names           resolves names, and reports unknown ones
misuse          reports operands that do not fit together
calls           calls and pipelines
arguments       the inputs and settings of a call, matched to the signature
bindings        arguments bound to names in the body, checked against types and schemas
patterns        types in signatures, which bind the sizes that they match
builtins        the body of a primitive
copies          copies of a layer: with frozen weights, or with their moving mean
definitions     the body of a `fn` or `block`
cells           the body of a `cell`, for all steps of a sequence
binders         the indices that a formula binds, and where they occur
formula         collects the indices of a formula and their occurrences
ranges          determines the ranges of a formula's indices
indices         formulas with indices: `let y[k] = sum(i: W[k, i] * x[i])`
initial         initial values of parameters and states
numbers         dimensions and constants of a file
schedule        the names of a schedule, and its value at a point of training
memo            copies the result of an earlier, equal use of a library definition

Importing this package registers all rules with `dispatch`.
"""

from specc.frontend.elaborate import builtins, calls, cells, definitions, expressions, indices

__all__ = ["builtins", "calls", "cells", "definitions", "expressions", "indices"]
