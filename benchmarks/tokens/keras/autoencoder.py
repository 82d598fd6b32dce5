import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, _ = load_digits(return_X_y=True)
train_x, val_x = train_test_split(images.reshape(-1, 8, 8, 1) / 16, train_size=0.8)

encoder = keras.Sequential(
    [
        layers.Conv2D(16, 4, 2, padding="same", activation="relu"),
        layers.Conv2D(32, 4, 2, padding="same", activation="relu"),
        layers.Flatten(),
        layers.Dense(8),
    ]
)
decoder = keras.Sequential(
    [
        layers.Dense(128, activation="relu"),
        layers.Reshape((2, 2, 32)),
        layers.Conv2DTranspose(16, 4, 2, padding="same", activation="relu"),
        layers.Conv2DTranspose(1, 4, 2, padding="same"),
    ]
)
model = keras.Sequential([encoder, decoder])

rate = keras.optimizers.schedules.CosineDecay(0.003, 30 * len(train_x) // 32)
model.compile(keras.optimizers.Adam(rate), "mse", metrics=["mae"])
model.fit(train_x, train_x, batch_size=32, epochs=30, validation_data=(val_x, val_x))
