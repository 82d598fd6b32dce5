"""The dense network of an estimator without a model, as texts with symbolic dimensions."""

from __future__ import annotations

DENSE = """# A dense network for a table; all settings, such as `hidden`, may be overridden.
dim features
dim {size}
dim hidden = 128

model dense_network {{
  input  x: float[features]
  target y: {target}
  let scores = x -> dense(hidden) -> relu -> dense(hidden) -> relu -> dense({size})
  output scores
  loss   {loss}
}}

train {{
  optimizer adamw(lr = cosine(0.005, 0), weight_decay = DECAY)
  epochs = 100
  batch  = 64
}}
"""
NORMALIZED_DECAY = 60.0
"""Normalized weight decay: the decay is this times sqrt(batch / (examples * epochs)), so fewer
examples get more decay (Loshchilov and Hutter, Decoupled weight decay regularization, 2019).
"""
EPOCHS, BATCH = 100, 64  # the settings of `DENSE`
CLASSES = DENSE.format(size="classes", target="class(classes)", loss="cross_entropy(scores, y)")
LABELS = DENSE.format(
    size="labels", target="float[labels]", loss="mean(softplus(scores) - y * scores)"
)
NUMBERS = DENSE.format(size="outputs", target="float[outputs]", loss="mse(scores, y)")
