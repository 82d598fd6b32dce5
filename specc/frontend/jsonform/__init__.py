"""The JSON form of a model file, for programs that write or read models.

write       from a syntax tree to JSON
shapes      the fields of the JSON form, derived from the classes of the tree; its JSON Schema
read        from JSON to .dl text, with checks
indices     the same for formulas with indices
"""
