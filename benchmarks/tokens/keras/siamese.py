import keras
import numpy as np
from keras import layers, ops

keras.utils.set_random_seed(0)


def arrays(path):
    data = np.load(path)
    images = [data[name].reshape(-1, 8, 8, 1) / 16 for name in "ab"]
    return images, data["same"].astype("float32")


def contrastive(same, gap):
    return (same * gap**2 + (1 - same) * ops.relu(margin - gap) ** 2) / 2


def right(same, gap):
    return ops.cast(ops.equal(gap < margin / 2, same > 0), "float32")


margin = 1
train_x, train_y = arrays("pairs.npz")

tower = keras.Sequential(
    [
        layers.Conv2D(16, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(32, activation="relu"),
        layers.Dense(8),
    ]
)
a, b = keras.Input((8, 8, 1)), keras.Input((8, 8, 1))
gap = layers.Lambda(lambda pair: ops.norm(pair[0] - pair[1] + 1e-6, axis=1, keepdims=True))(
    [tower(a), tower(b)]
)
model = keras.Model([a, b], gap)
rate = keras.optimizers.schedules.CosineDecay(0.003, 20 * len(train_y) // 32)
model.compile(keras.optimizers.Adam(rate), contrastive, metrics=[right])
model.fit(train_x, train_y, batch_size=32, epochs=20, validation_data=arrays("pairs_val.npz"))
