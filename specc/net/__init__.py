"""A compiled model: weights, machine code, and the methods of `Net`.

net              the face of a model: `specc.compile` returns a `Net`
rows             its part for the training loop: weights, programs and rows of columns
arrays           checks of the arrays that callers pass
weights          the live arrays of a model, and the lock that guards them
programs         graphs, plans and compiled programs, each made when it is first needed
prediction       which programs predict so many rows, and calls that are kept ready
decoding         targets that a model generates itself
ready            training steps and gradients with prepared calls
step_by_step     a decoder that keeps its states between time steps
metrics          losses and metrics from the means over batches
schedule         the optimizer's settings for a stretch of steps
training         training steps
accumulation     training steps of several batches
bucketing        batches of short examples, on programs over fewer steps
rollback         copies of the weights, restored after a step that diverged
inspection       time by kernel, flow of gradients, causes of divergence
divergence       the first operation of a step that was not finite
tables           predictions and metrics from tables, by the names of columns
answers          what outputs mean: classes' names and probabilities
fitting          training in memory
saving           a folder from which a model is opened again
gradients_of     gradients of any number, by an input or a parameter
"""
