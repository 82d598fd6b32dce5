"""The definitions, signatures and documented facts of functions, layers, cells and optimizers.

library         the definitions in `specc/std/*.dl`
signatures      inputs and settings, of definitions in .dl and of primitives alike
settings        the declarations of settings, and the JSON Schema that follows from them
facts           facts that a doc comment states
numerals        the text of numbers in the language
messages        the names of errors and warnings, and the names of layers and settings in other
tools
"""
