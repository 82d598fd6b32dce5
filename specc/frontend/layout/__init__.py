"""The canonical layout of a .dl file, as `specc fmt` writes it.

format      a file's tokens and comments, laid out anew
lines       how a statement is broken into lines if it does not fit into one
"""
