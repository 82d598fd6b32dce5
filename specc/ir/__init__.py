"""The intermediate representation.

Types, ops, graphs, programs and plans, all frozen and printable.
"""
