"""Independent oracles of the library's words: PyTorch, SciPy, or a formula transcribed from its
paper.

    check("gelu", 0)     # the interpreter's value and gradients, and PyTorch's

`interpreted` runs a small model in the interpreter; `functions`, `layers`, `cells`, `metrics`,
`normalization`, `training` and `augment` hold an oracle for each word, in its own terms.
"""
