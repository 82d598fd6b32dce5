"""The names of a file and of a body, and what a name can stand for.

values          what an expression can be: a number, a tensor, a word
provenance      how a tensor came to its shape, step by step
mistakes        mistakes in the use of a word, raised where their place is not known
scope           the names of a file, and what a check builds
frame           the body that is being walked
"""
