"""The operators of the language: known numbers are calculated, tensors become ops.

arithmetic      `+ - * / ^`, comparisons, conditionals; broadcasting of scalars
products        `W @ x`, indices and slices
windows         convolutions, and windows that are moved over an image
sums            sums over indices: a sum of products is a contraction
reductions      the other reductions over indices, conditions, steps that an example does not have
positions       values read at indices: `x[c, 2 * i + u]`
sequences       what looks at all steps of a sequence: sums over steps, the last step, the reverse
"""
