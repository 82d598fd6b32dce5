import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(0)


def arrays(path):
    data = np.load(path)
    names = ("anchor", "positive", "negative")
    images = np.stack([data[name].reshape(-1, 8, 8, 1) / 16 for name in names], 1)
    return images, np.zeros(len(images))


def distances(places):
    a, p, n = places[:, 0], places[:, 1], places[:, 2]
    return ops.sum((a - p) ** 2, 1), ops.sum((a - n) ** 2, 1)


def triplet(_, places):
    near, far = distances(places)
    return ops.relu(near - far + margin)


def right(_, places):
    near, far = distances(places)
    return ops.cast(near < far, "float32")


margin = 0.2
train_x, train_y = arrays("triplets.npz")

tower = keras.Sequential(
    [
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(32, activation="relu"),
        layers.Dense(8),
        layers.UnitNormalization(),
    ]
)
model = keras.Sequential([layers.TimeDistributed(tower)])
rate = keras.optimizers.schedules.CosineDecay(0.003, 20 * len(train_x) // 32)
model.compile(keras.optimizers.Adam(rate), triplet, metrics=[right])
model.fit(train_x, train_y, batch_size=32, epochs=20, validation_data=arrays("triplets_val.npz"))
