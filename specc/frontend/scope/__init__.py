"""The names of a file and of a body, and the values that a name can have.

values          the values of expressions: numbers, tensors, functions
provenance      the steps that led to a tensor's shape
errors          errors that are raised where their location is not known
scope           the names of a file, and the state of a check
frame           the body that is being elaborated
"""
