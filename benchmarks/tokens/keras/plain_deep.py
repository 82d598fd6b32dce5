import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8, 1) / 16, labels, train_size=0.8
)


def stage(filters):
    return [
        layers.Conv2D(filters, 3, padding="same", use_bias=False),
        layers.BatchNormalization(),
        layers.ReLU(),
    ]


model = keras.Sequential(
    [
        *stage(16),
        *[layer for _ in range(20) for layer in stage(16)],
        layers.GlobalAveragePooling2D(),
        layers.Dense(10),
    ]
)

rate = keras.optimizers.schedules.PolynomialDecay(0.05, 10 * len(train_x) // 64, 0)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=64, epochs=10, validation_data=(val_x, val_y))
