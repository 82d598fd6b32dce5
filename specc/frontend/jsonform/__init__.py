"""The JSON form of a model file, for programs that write or read models.

write       a syntax tree to JSON
shapes      what the JSON may hold, derived from the classes of the tree; its JSON Schema
read        JSON to .dl text, checked on the way
indices     the same, of formulas with indices
"""
