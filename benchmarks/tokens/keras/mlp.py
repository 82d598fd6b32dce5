import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(images / 16, labels, train_size=0.8)

l2 = keras.regularizers.L2(1e-4)

model = keras.Sequential(
    [
        layers.Dense(64, activation="relu", kernel_regularizer=l2),
        layers.Dense(10, kernel_regularizer=l2),
    ]
)

rate = keras.optimizers.schedules.CosineDecay(0.1, 20 * len(train_x) // 32)
model.compile(
    keras.optimizers.SGD(rate, momentum=0.9),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=20, validation_data=(val_x, val_y))
