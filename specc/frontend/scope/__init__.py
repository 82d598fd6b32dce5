"""The names of a file and of a body, and what a name can stand for.

values          what an expression can be: a number, a tensor, a word
provenance      how a tensor came to its shape, step by step
scope           the names of a file, the frame of a body, and what is built meanwhile
"""
