import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, _ = load_digits(return_X_y=True)
train_x, val_x = train_test_split(images.reshape(-1, 8, 8, 1) / 16, train_size=0.8)
ink, val_ink = train_x > 0.5, val_x > 0.5


def twice(x, filters):
    for _ in range(2):
        x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
        x = layers.ReLU()(layers.BatchNormalization()(x))
    return x


image = keras.Input((8, 8, 1))
whole = twice(layers.GaussianNoise(0.4)(image, training=True), 16)
half = twice(layers.MaxPooling2D()(whole), 32)
quarter = twice(layers.MaxPooling2D()(half), 64)
up = layers.Conv2DTranspose(32, 2, 2)(quarter)
back = twice(layers.Concatenate()([half, up]), 32)
up = layers.Conv2DTranspose(16, 2, 2)(back)
scores = layers.Conv2D(1, 1)(twice(layers.Concatenate()([whole, up]), 16))
model = keras.Model(image, scores)

rate = keras.optimizers.schedules.CosineDecay(0.003, 15 * len(train_x) // 32)
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.BinaryCrossentropy(from_logits=True),
    metrics=[keras.metrics.BinaryAccuracy(threshold=0)],
)
model.fit(train_x, ink, batch_size=32, epochs=15, validation_data=(val_x, val_ink))
