import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8, 1) / 16, labels, train_size=0.8
)

l2 = keras.regularizers.L2(5e-4)


def conv(x, filters, strides=1):
    x = layers.Conv2D(filters, 3, strides, padding="same", kernel_regularizer=l2)(x)
    return layers.BatchNormalization()(x)


image = keras.Input((8, 8, 1))
x = image
for filters, strides in [(16, 1), (32, 2), (64, 2)]:
    x = layers.ReLU()(conv(x, filters, strides))
    main = conv(layers.ReLU()(conv(x, filters)), filters)
    x = layers.ReLU()(layers.Add()([x, main]))
scores = layers.Dense(10, kernel_regularizer=l2)(layers.GlobalAveragePooling2D()(x))
model = keras.Model(image, scores)

rate = keras.optimizers.schedules.PolynomialDecay(0.05, 8 * len(train_x) // 64, 0)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9, nesterov=True),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=64, epochs=8, validation_data=(val_x, val_y))
