"""A compiled model: weights, machine code, and the calls that people make.

net              the face of a model: `specc.compile` returns a `Net`
arrays           the arrays that people give, checked
step_by_step     a decoder that keeps the states of the steps before
bucketing        batches of short examples, on programs over fewer steps
rollback         weights to go back to after a step that diverged
divergence       the first operation of a step that was not finite
"""
