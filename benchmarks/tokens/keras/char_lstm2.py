import keras
import numpy as np
from keras import layers

text = open("tinyshakespeare.txt").read()
letters = sorted(set(text))
index = {letter: number for number, letter in enumerate(letters)}
codes = np.array([index[letter] for letter in text])
cut = int(0.9 * len(codes))


def windows(codes, batch=32, time=64):
    count = (len(codes) - 1) // (batch * time)

    def cut(codes):
        slots = codes[: batch * count * time].reshape(batch, count, time)
        return slots.transpose(1, 0, 2).reshape(-1, time)

    return cut(codes[:-1]), cut(codes[1:])


class Reset(keras.callbacks.Callback):
    def on_epoch_begin(self, epoch, logs=None):
        self.reset()

    def on_test_begin(self, logs=None):
        self.reset()

    def reset(self):
        for layer in self.model.layers:
            if isinstance(layer, layers.RNN):
                layer.reset_states()


train_x, train_y = windows(codes[:cut])
val_x, val_y = windows(codes[cut:])
model = keras.Sequential(
    [
        keras.Input((64,), batch_size=32),
        layers.Embedding(len(letters), 64),
        layers.LSTM(256, return_sequences=True, stateful=True),
        layers.Dropout(0.2),
        layers.LSTM(256, return_sequences=True, stateful=True),
        layers.Dropout(0.2),
        layers.Dense(len(letters)),
    ]
)
rate = keras.optimizers.schedules.PolynomialDecay(0.003, 6 * len(train_x) // 32, 0)
model.compile(
    keras.optimizers.Adam(rate, global_clipnorm=5),
    keras.losses.SparseCategoricalCrossentropy(from_logits=True),
)
model.fit(
    train_x,
    train_y,
    batch_size=32,
    epochs=6,
    shuffle=False,
    validation_data=(val_x, val_y),
    callbacks=[Reset()],
)
