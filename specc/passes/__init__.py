"""The compiler's passes.

Each takes a graph and gives a graph (or a plan), and reads like its name.
"""
