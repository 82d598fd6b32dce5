import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(images / 16, labels, train_size=0.8)

model = keras.Sequential(
    [layers.Dense(64, activation="tanh"), layers.Dense(64, activation="tanh"), layers.Dense(10)]
)

rate = keras.optimizers.schedules.CosineDecay(0.003, 30 * len(train_x) // 32, 0.0001 / 0.003)
model.compile(
    keras.optimizers.AdamW(rate, weight_decay=0.01),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=30, validation_data=(val_x, val_y))
