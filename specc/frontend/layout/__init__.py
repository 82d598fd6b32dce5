"""The canonical layout of a .dl file, as `specc fmt` writes it.

format      the layout of a file's tokens and comments
lines       line breaks in statements that do not fit on one line
"""
