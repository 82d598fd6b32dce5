import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8, 1) / 16, labels, train_size=0.8
)


def conv(x, filters):
    x = layers.Conv2D(filters, 3, padding="same", use_bias=False)(x)
    return layers.BatchNormalization()(x)


image = keras.Input((8, 8, 1))
x = layers.ReLU()(conv(image, 16))
for _ in range(10):
    main = conv(layers.ReLU()(conv(x, 16)), 16)
    x = layers.ReLU()(layers.Add()([x, main]))
scores = layers.Dense(10)(layers.GlobalAveragePooling2D()(x))
model = keras.Model(image, scores)

rate = keras.optimizers.schedules.PolynomialDecay(0.05, 10 * len(train_x) // 64, 0)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=64, epochs=10, validation_data=(val_x, val_y))
