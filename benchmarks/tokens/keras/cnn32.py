import keras
import numpy as np
from keras import layers, ops
from sklearn.model_selection import train_test_split

data = np.load("images.npz")
images = data["image"].transpose(0, 2, 3, 1)
train_x, val_x, train_y, val_y = train_test_split(images, data["label"], train_size=0.9)


class Ramp(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, top, steps):
        self.top, self.steps = top, steps

    def __call__(self, step):
        progress = ops.cast(step, "float32") / self.steps
        return self.top * ops.minimum(1, 10 * progress) * (1 - progress)


l2 = keras.regularizers.L2(5e-4)


def stage(filters):
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_regularizer=l2),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]


model = keras.Sequential(
    [
        *stage(32),
        *stage(32),
        layers.MaxPooling2D(),
        layers.Dropout(0.1),
        *stage(64),
        *stage(64),
        layers.MaxPooling2D(),
        layers.Dropout(0.2),
        *stage(128),
        *stage(128),
        layers.GlobalAveragePooling2D(),
        layers.Dropout(0.5),
        layers.Dense(10, kernel_regularizer=l2),
    ]
)

rate = Ramp(0.05, 30 * len(train_x) // 128)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=128, epochs=30, validation_data=(val_x, val_y))
