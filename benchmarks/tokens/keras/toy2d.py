import keras
import pandas as pd
from keras import layers
from sklearn.model_selection import train_test_split

keras.utils.set_random_seed(0)

frame = pd.read_csv("spirals.csv")
points, arms = frame[["x", "y"]].values, frame["arm"].values
train_x, val_x, train_y, val_y = train_test_split(points, arms, train_size=0.8)
model = keras.Sequential(
    [layers.Dense(32, activation="relu"), layers.Dense(32, activation="relu"), layers.Dense(3)]
)

rate = keras.optimizers.schedules.CosineDecay(0.01, 60 * len(train_x) // 32)
model.compile(
    keras.optimizers.Adam(rate),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
    metrics=["accuracy"],
)
model.fit(train_x, train_y, batch_size=32, epochs=60, validation_data=(val_x, val_y))
