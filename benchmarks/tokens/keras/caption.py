import keras
import numpy as np
from keras import layers, ops


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


def arrays(path):
    data = np.load(path)
    names = encode(data["name"], letters)
    return (data["picture"][..., None] / 16, shifted(names)), names


letters = vocabulary(np.load("captions.npz")["name"])
train_x, train_y = arrays("captions.npz")
see = keras.Sequential(
    [
        layers.Conv2D(16, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(64, activation="tanh"),
    ]
)
picture, previous = keras.Input((8, 8, 1)), keras.Input((None,))
embedded = layers.Embedding(len(letters) + 2, 16)(previous)
steps = layers.GRU(64, return_sequences=True)(embedded, initial_state=see(picture))
model = keras.Model([picture, previous], layers.Dense(len(letters) + 2)(steps))
rate = keras.optimizers.schedules.PolynomialDecay(0.004, 15 * len(train_y) // 32, 0)
model.compile(
    keras.optimizers.Adam(rate, global_clipnorm=1),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True, ignore_class=0),
    metrics=[exact],
)
model.fit(train_x, train_y, batch_size=32, epochs=15, validation_data=arrays("captions_val.npz"))
