import keras
import numpy as np
import pandas as pd
from keras import layers

keras.utils.set_random_seed(0)

frame = pd.read_csv("hello.csv", dtype=str)
letters = sorted(set("".join(frame["letter"] + frame["following"])))


def encode(texts):
    return np.array([[letters.index(letter) for letter in text] for text in texts])


model = keras.Sequential(
    [
        layers.Embedding(len(letters), len(letters), "identity", trainable=False),
        layers.SimpleRNN(8, return_sequences=True),
        layers.Dense(len(letters)),
    ]
)
model.compile(
    keras.optimizers.Adam(0.05),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(encode(frame["letter"]), encode(frame["following"]), batch_size=1, epochs=50)
