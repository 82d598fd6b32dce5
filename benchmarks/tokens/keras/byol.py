import keras
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8, 1) / 16, labels, train_size=0.8
)


def features():
    return keras.Sequential(
        [
            layers.Conv2D(32, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Conv2D(64, 3, padding="same"),
            layers.BatchNormalization(),
            layers.ReLU(),
            layers.MaxPooling2D(),
            layers.Flatten(),
        ]
    )


view = keras.Sequential(
    [
        layers.RandomTranslation(1 / 8, 1 / 8, fill_mode="constant"),
        layers.RandomRotation(15 / 360, fill_mode="constant"),
        layers.GaussianNoise(0.1),
    ]
)


def online():
    return keras.Sequential(
        [features(), layers.Dense(64), layers.BatchNormalization(), layers.ReLU(), layers.Dense(32)]
    )


def apart(a, b):
    return 2 + 2 * keras.losses.cosine_similarity(ops.stop_gradient(b), a)


class BYOL(keras.Model):
    def __init__(self):
        super().__init__()
        self.online = online()
        self.mean = online()
        self.mean.trainable = False
        self.predictor = keras.Sequential(
            [layers.Dense(64), layers.BatchNormalization(), layers.ReLU(), layers.Dense(32)]
        )
        self.probe = layers.Dense(10)
        self.predictor.build((None, 32))
        self.online.build((None, 8, 8, 1))
        self.mean.build((None, 8, 8, 1))
        self.mean.set_weights(self.online.get_weights())

    def call(self, image, training=False):
        if training:
            one, two = view(image, training=True), view(image, training=True)
            first = apart(self.predictor(self.online(one, training=True)), self.mean(two))
            second = apart(self.predictor(self.online(two, training=True)), self.mean(one))
            self.add_loss(ops.mean(first + second) / 2)
        return self.probe(ops.stop_gradient(self.online.layers[0](image, training=training)))


class Follow(keras.callbacks.Callback):
    def on_train_batch_end(self, batch, logs=None):
        for old, new in zip(self.model.mean.weights, self.model.online.weights):
            old.assign(0.99 * old + 0.01 * new)


model = BYOL()

rate = keras.optimizers.schedules.CosineDecay(0.003, 20 * len(train_x) // 64)
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(
    train_x, train_y, batch_size=64, epochs=20, validation_data=(val_x, val_y), callbacks=[Follow()]
)
