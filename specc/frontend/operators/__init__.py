"""The operators of the language: known numbers are calculated, tensors become ops.

arithmetic      `+ - * / ^`, comparisons, conditionals; broadcasting of scalars
products        `W @ x`, indices and slices
windows         convolutions, and windows that are moved over an image
sequences       what looks at all steps of a sequence: sums over steps, the last step, the reverse
"""
