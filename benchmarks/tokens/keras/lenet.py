import keras
from keras import layers

keras.utils.set_random_seed(0)

(train_x, train_y), (test_x, test_y) = keras.datasets.mnist.load_data()
train_x, test_x = train_x[..., None] / 255, test_x[..., None] / 255


class Momentum(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.model.optimizer.momentum = min(0.95, 0.5 + 0.45 * epoch / 5)


l2 = keras.regularizers.L2(1e-4)

model = keras.Sequential(
    [
        layers.Conv2D(6, 5, padding="same", activation="relu", kernel_regularizer=l2),
        layers.MaxPooling2D(),
        layers.Conv2D(16, 5, activation="relu", kernel_regularizer=l2),
        layers.MaxPooling2D(),
        layers.Flatten(),
        layers.Dense(120, activation="relu", kernel_regularizer=l2),
        layers.Dense(84, activation="relu", kernel_regularizer=l2),
        layers.Dense(10, kernel_regularizer=l2),
    ]
)

rate = keras.optimizers.schedules.CosineDecay(0.05, 10 * len(train_x) // 64)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.5),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(
    train_x,
    train_y,
    batch_size=64,
    epochs=10,
    validation_data=(test_x, test_y),
    callbacks=[Momentum()],
)
