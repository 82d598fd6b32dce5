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


class SimCLR(keras.Model):
    def __init__(self):
        super().__init__()
        self.tower = features()
        self.head = keras.Sequential([layers.Dense(64, activation="relu"), layers.Dense(32)])
        self.head.build((None, 256))
        self.probe = layers.Dense(10)

    def call(self, image, training=False):
        if training:
            one, two = (
                self.head(self.tower(view(image, training=True), training=True)) for _ in range(2)
            )
            self.add_loss(nt_xent(one, two))
        return self.probe(ops.stop_gradient(self.tower(image, training=training)))


def nt_xent(a, b, temperature=0.2):
    z = ops.normalize(ops.concatenate([a, b]), axis=1)
    count = ops.shape(z)[0]
    scores = ops.matmul(z, ops.transpose(z)) / temperature - 1e9 * ops.eye(count)
    other = ops.roll(ops.arange(count), count // 2)
    return ops.mean(keras.losses.sparse_categorical_crossentropy(other, scores, from_logits=True))


model = SimCLR()

rate = keras.optimizers.schedules.CosineDecay(0.003, 20 * len(train_x) // 64)
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=64, epochs=20, validation_data=(val_x, val_y))
