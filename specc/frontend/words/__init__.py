"""What is known of a word before it is used: its definition, its signature, its other names.

library         the words of `specc/std/*.dl`
signatures      inputs and settings, of definitions in .dl and of primitives alike
settings        the declarations of settings, and the JSON Schema that follows from them
facts           what the doc comment of a word states of it
numerals        numbers as the language writes them
messages        the names of errors and warnings; what other tools call a word or a setting
"""
