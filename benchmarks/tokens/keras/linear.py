import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(images / 16, labels, train_size=0.8)

model = keras.Sequential(
    [layers.Dense(10, kernel_initializer="zeros", kernel_regularizer=keras.regularizers.L2(1e-4))]
)

model.compile(
    keras.optimizers.SGD(0.5),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=20, validation_data=(val_x, val_y))
