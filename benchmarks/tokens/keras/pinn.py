import keras
import pandas as pd
import torch
from keras import layers, ops


def slope(y, t):
    return torch.autograd.grad(y.sum(), t, create_graph=True)[0]


class PINN(keras.Model):
    def __init__(self):
        super().__init__()
        bias = keras.initializers.RandomNormal(stddev=2)
        self.network = keras.Sequential(
            [
                layers.Dense(32, ops.sin, bias_initializer=bias),
                layers.Dense(32, "tanh"),
                layers.Dense(1),
            ]
        )

    def call(self, t):
        return self.network(t)

    def compute_loss(self, x, y, y_pred, sample_weight=None, training=True):
        time, zero = x.detach().requires_grad_(), torch.zeros(1, 1, requires_grad=True)
        guess, begin = self.network(time), self.network(zero)
        speed = slope(guess, time)
        law = ops.mean((slope(speed, time) + 0.4 * speed + 4 * guess) ** 2)
        return law + 10 * ops.mean((begin - 1) ** 2 + slope(begin, zero) ** 2)


frame = pd.read_csv("times.csv")
times, truth = frame[["t"]].values, frame[["x"]].values
model = PINN()
rate = keras.optimizers.schedules.CosineDecay(0.01, 200 * len(times) // 50)
model.compile(keras.optimizers.Adam(rate), metrics=[keras.metrics.RootMeanSquaredError()])
model.fit(times, truth, batch_size=50, epochs=200)
