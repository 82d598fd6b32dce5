import keras
import numpy as np
import pandas as pd
from keras import layers, ops

training = pd.read_csv("numbers.csv", dtype=str)
validation = pd.read_csv("numbers_val.csv", dtype=str)


def vocabulary(texts):
    return {letter: number for number, letter in enumerate(sorted(set("".join(texts))), start=2)}


def encode(texts, index):
    codes = [[index[letter] for letter in text] for text in texts]
    return keras.utils.pad_sequences(codes, padding="post")


def shifted(codes):
    return np.pad(codes[:, :-1], ((0, 0), (1, 0)), constant_values=1)


def exact(truth, scores):
    truth = ops.cast(truth, "int32")
    right = ops.logical_or(ops.equal(ops.argmax(scores, 2), truth), ops.equal(truth, 0))
    return ops.cast(ops.all(right, axis=1), "float32")


def arrays(frame):
    words = encode(frame["words"], letters)
    return (encode(frame["figures"], figures), shifted(words)), words


figures, letters = vocabulary(training["figures"]), vocabulary(training["words"])
train_x, train_y = arrays(training)
source, previous = keras.Input((None,)), keras.Input((None,))
memory, *last = layers.LSTM(64, return_sequences=True, return_state=True)(
    layers.Embedding(len(figures) + 2, 16, mask_zero=True)(source)
)
steps = layers.LSTM(64, return_sequences=True)(
    layers.Embedding(len(letters) + 2, 16)(previous), initial_state=last
)
query, key = layers.Dense(32)(steps), layers.Dense(32, use_bias=False)(memory)
seen = layers.AdditiveAttention()([query, memory, key])
hidden = layers.Dense(64, activation="tanh")(layers.Concatenate()([steps, seen]))
scores = layers.Dense(len(letters) + 2)(hidden)
model = keras.Model([source, previous], scores)
rate = keras.optimizers.schedules.PolynomialDecay(0.004, 6 * len(train_y) // 32, 0)
model.compile(
    keras.optimizers.Adam(rate, global_clipnorm=1),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
    metrics=[exact],
)
model.fit(train_x, train_y, batch_size=32, epochs=6, validation_data=arrays(validation))
