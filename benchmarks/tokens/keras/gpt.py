import keras
import numpy as np
from keras import layers, ops

text = open("tinyshakespeare.txt").read()
letters = sorted(set(text))
index = {letter: number for number, letter in enumerate(letters)}
codes = np.array([index[letter] for letter in text])
cut = int(0.9 * len(codes))


def windows(codes, time=64):
    count = (len(codes) - 1) // time * time
    return codes[:count].reshape(-1, time), codes[1 : count + 1].reshape(-1, time)


class Positions(layers.Layer):
    def build(self, shape):
        self.weight = self.add_weight(
            shape=shape[1:], initializer=keras.initializers.RandomNormal(stddev=0.02)
        )

    def call(self, x):
        return x + self.weight


def transformer(x, heads, hidden, dropout=0.0, causal=False):
    width = x.shape[-1]
    h = layers.LayerNormalization()(x)
    h = layers.MultiHeadAttention(heads, width // heads, dropout=dropout)(
        h, h, use_causal_mask=causal
    )
    x = layers.Add()([x, layers.Dropout(dropout)(h)])
    h = layers.LayerNormalization()(x)
    h = layers.Dense(width)(layers.Dense(hidden, activation="gelu")(h))
    return layers.Add()([x, layers.Dropout(dropout)(h)])


class Warmup(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, top, steps):
        self.top, self.steps = top, steps

    def __call__(self, step):
        step = ops.cast(step, "float32")
        return self.top * ops.minimum(1, (step + 1) / 100) * (1 - step / self.steps)


train_x, train_y = windows(codes[:cut])
text = keras.Input((64,), dtype="int32")
embed = layers.Embedding(len(letters), 128)
h = Positions()(embed(text))
for _ in range(4):
    h = transformer(h, 4, 512, causal=True)
h = layers.LayerNormalization()(h)
model = keras.Model(text, layers.Dense(len(letters))(h))
rate = Warmup(0.002, 2 * len(train_x) // 12)
model.compile(
    keras.optimizers.AdamW(rate, weight_decay=0.01),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
model.fit(train_x, train_y, batch_size=12, epochs=2, validation_data=windows(codes[cut:]))
