import keras
from keras import layers

keras.utils.set_random_seed(0)

(train_x, train_y), (test_x, test_y) = keras.datasets.mnist.load_data()
train_x, test_x = train_x[..., None] / 255, test_x[..., None] / 255

model = keras.Sequential(
    [
        layers.Flatten(),
        layers.Dropout(0.2),
        layers.Dense(300, activation="relu"),
        layers.Dropout(0.3),
        layers.Dense(10),
    ]
)

rate = keras.optimizers.schedules.CosineDecay(0.05, 20 * len(train_x) // 64)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=64, epochs=20, validation_data=(test_x, test_y))
