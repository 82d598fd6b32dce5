"""The operators of the language: known numbers are computed, tensors become ops.

arithmetic      `+ - * / ^`, comparisons, conditionals; broadcasting of scalars
products        `W @ x`, indices and slices
windows         convolutions and pooling windows
sums            sums over indices: a sum of products is a contraction
reductions      the other reductions over indices; conditions, and steps past an example's end
positions       values read at indices: `x[c, 2 * i + u]`
sequences       functions of whole sequences: sums over time steps, the last step, the reverse
"""
