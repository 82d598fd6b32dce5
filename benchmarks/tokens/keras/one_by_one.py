import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(
    images.reshape(-1, 8, 8, 1) / 16, labels, train_size=0.8
)

model = keras.Sequential(
    [
        layers.Conv2D(32, 3, padding="same", activation="relu"),
        layers.Conv2D(32, 1, activation="relu"),
        layers.Conv2D(32, 1, activation="relu"),
        layers.MaxPooling2D(),
        layers.Conv2D(64, 3, padding="same", activation="relu"),
        layers.Conv2D(64, 1, activation="relu"),
        layers.Conv2D(10, 1),
        layers.GlobalAveragePooling2D(),
    ]
)

rate = keras.optimizers.schedules.CosineDecay(0.003, 20 * len(train_x) // 32)
model.compile(
    keras.optimizers.AdamW(rate, weight_decay=0.01),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=20, validation_data=(val_x, val_y))
