import keras
from keras import layers, ops

(train_x, train_y), (test_x, test_y) = keras.datasets.mnist.load_data()
train_x, test_x = train_x[..., None] / 255, test_x[..., None] / 255


class Ramp(keras.optimizers.schedules.LearningRateSchedule):
    def __init__(self, top, steps):
        self.top, self.steps = top, steps

    def __call__(self, step):
        progress = ops.cast(step, "float32") / self.steps
        return self.top * ops.minimum(1, 10 * progress) * (1 - progress)


l2 = keras.regularizers.L2(1e-4)


def stage(filters):
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False, kernel_regularizer=l2),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]


model = keras.Sequential(
    [
        *stage(20),
        *stage(20),
        layers.MaxPooling2D(),
        *stage(40),
        *stage(40),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dropout(0.3),
        layers.Dense(128, use_bias=False, kernel_regularizer=l2),
        layers.BatchNormalization(),
        layers.ReLU(),
        layers.Dropout(0.5),
        layers.Dense(10, kernel_regularizer=l2),
    ]
)

rate = Ramp(0.1, 12 * len(train_x) // 128)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=128, epochs=12, validation_data=(test_x, test_y))
