import keras
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(images / 16, labels, train_size=0.8)


def hinge(label, scores):
    label = ops.cast(ops.reshape(label, (-1, 1)), "int32")
    correct = ops.take_along_axis(scores, label, axis=1)
    return ops.sum(ops.relu(scores - correct + 1), axis=1) - 1


model = keras.Sequential(
    [layers.Dense(10, kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(1e-3))]
)

rate = keras.optimizers.schedules.PolynomialDecay(0.1, 30 * len(train_x) // 32, 0)
model.compile(keras.optimizers.SGD(rate), hinge, metrics=["accuracy"])
model.fit(train_x, train_y, batch_size=32, epochs=30, validation_data=(val_x, val_y))
