import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(0)


def arrays(path):
    data = np.load(path)
    return data["video"].transpose(0, 1, 3, 4, 2) / 255, data["motion"]


train_x, train_y = arrays("videos.npz")
see = keras.Sequential(
    [
        layers.Conv2D(8, 3, activation="relu"),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(48, activation="relu"),
    ]
)
model = keras.Sequential(
    [layers.TimeDistributed(see), layers.GRU(64, return_sequences=True), layers.Dense(5)]
)
rate = keras.optimizers.schedules.CosineDecay(0.003, 15 * len(train_x) // 32)
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=15, validation_data=arrays("videos_val.npz"))
