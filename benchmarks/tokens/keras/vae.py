import keras
from keras import layers, ops
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

images, _ = load_digits(return_X_y=True)
train_x, val_x = train_test_split(images.reshape(-1, 64) / 16, train_size=0.8)


class VAE(keras.Model):
    def __init__(self, code=8):
        super().__init__()
        self.encoder = layers.Dense(128, activation="relu")
        self.mean = layers.Dense(code)
        self.spread = layers.Dense(code)
        self.decoder = keras.Sequential([layers.Dense(128, activation="relu"), layers.Dense(64)])

    def call(self, x):
        h = self.encoder(x)
        mean, spread = self.mean(h), self.spread(h)
        code_length = 0.5 * ops.sum(mean**2 + ops.exp(spread) - spread - 1, axis=1)
        self.add_loss(ops.mean(code_length))
        return self.decoder(mean + ops.exp(spread / 2) * keras.random.normal(ops.shape(mean)))


def pixels(image, scores):
    return ops.sum(ops.softplus(scores) - image * scores, axis=1)


model = VAE()

rate = keras.optimizers.schedules.CosineDecay(0.003, 40 * len(train_x) // 32)
model.compile(keras.optimizers.Adam(rate), pixels, metrics=[pixels])
model.fit(train_x, train_x, batch_size=32, epochs=40, validation_data=(val_x, val_x))
