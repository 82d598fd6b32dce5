import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8) / 16, labels, train_size=0.8
)


def causal(x, dilation, is_first=False):
    main = layers.Conv1D(64, 2, padding="causal", dilation_rate=dilation, activation="relu")(x)
    main = layers.SpatialDropout1D(0.1)(main)
    return main if is_first else layers.Add()([x, main])


image = keras.Input((8, 8))
h = causal(causal(causal(image, 1, True), 2), 4)
model = keras.Model(image, layers.Dense(10)(h[:, -1]))

rate = keras.optimizers.schedules.CosineDecay(0.005, 25 * len(train_x) // 32)
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=25, validation_data=(val_x, val_y))
