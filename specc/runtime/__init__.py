"""What happens once a model is compiled: data, the training loop, checkpoints and runs.

Nothing here does mathematics, and nothing knows graphs: a model is a `CompiledModel`, examples are
`Column`s of NumPy arrays.
"""
