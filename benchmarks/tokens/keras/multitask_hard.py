import keras
import numpy as np
from keras import layers

keras.utils.set_random_seed(0)


def arrays(path):
    data = np.load(path)
    targets = {"digit": data["digit"], "odd": data["odd"], "ink": data["ink"] / 16}
    return data["image"] / 16, targets


train_x, train_y = arrays("tasks.npz")
image = keras.Input((64,))
features = layers.Dense(64, activation="relu")(image)
outputs = {
    "digit": layers.Dense(10, name="digit")(features),
    "odd": layers.Dense(1, name="odd")(features),
    "ink": layers.Dense(1, name="ink")(features),
}
model = keras.Model(image, outputs)
rate = keras.optimizers.schedules.CosineDecay(0.01, 60 * len(train_x) // 32)
model.compile(
    keras.optimizers.Adam(rate),
    loss={
        "digit": keras.losses.SparseCategoricalCrossentropy(from_logits=True),
        "odd": keras.losses.BinaryCrossentropy(from_logits=True),
        "ink": "mse",
    },
    loss_weights={"digit": 1, "odd": 0.5, "ink": 10},
    metrics={"digit": "accuracy", "odd": keras.metrics.BinaryAccuracy(threshold=0), "ink": "mae"},
)
model.fit(train_x, train_y, batch_size=32, epochs=60, validation_data=arrays("tasks_val.npz"))
