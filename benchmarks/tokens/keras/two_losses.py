import keras
from keras import layers
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

images, labels = load_digits(return_X_y=True)
train_x, val_x, train_y, val_y = train_test_split(images / 16, labels, train_size=0.8)

x = keras.Input((64,))
z = layers.Dense(16, activation="relu")(layers.Dense(32, activation="relu")(x))
drawn = layers.Dense(64, name="drawn")(layers.Dense(32, activation="relu")(z))
scores = layers.Dense(10, name="scores")(z)
model = keras.Model(x, {"scores": scores, "drawn": drawn})
rate = keras.optimizers.schedules.CosineDecay(0.003, 30 * len(train_x) // 32)
model.compile(
    keras.optimizers.Adam(rate),
    loss={"scores": keras.losses.SparseCategoricalCrossentropy(from_logits=True), "drawn": "mse"},
    loss_weights={"scores": 1, "drawn": 0.5},
    metrics={"scores": "accuracy", "drawn": "mae"},
)
model.fit(
    train_x,
    {"scores": train_y, "drawn": train_x},
    batch_size=32,
    epochs=30,
    validation_data=(val_x, {"scores": val_y, "drawn": val_x}),
)
