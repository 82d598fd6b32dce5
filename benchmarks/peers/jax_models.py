"""The models in JAX: pure functions of (weights in the order of the .dl file, input, training).

Images lie as XLA wants them on a processor, [n, height, width, channels], and filters as
[height, width, channels, filters]; they are turned once, before anything is timed.
"""

from __future__ import annotations

import jax
import jax.numpy as jnp
from jax import lax
from jax.nn import relu


def dense(p, x):
    return x @ p[0].T + p[1]


def conv(weight, x, stride: int = 1, pad: int = 0, bias=None):
    y = lax.conv_general_dilated(
        x, weight, (stride, stride), [(pad, pad)] * 2, dimension_numbers=("NHWC", "HWIO", "NHWC")
    )
    return y if bias is None else y + bias


def maxpool(x):
    return lax.reduce_window(x, -jnp.inf, lax.max, (1, 2, 2, 1), (1, 2, 2, 1), "VALID")


def flatten(x):
    """In the order channels, height, width."""
    return x.transpose(0, 3, 1, 2).reshape(len(x), -1)


def batchnorm(p, x, training: bool):
    """In inference with the running statistics of an untrained model: mean 0 and variance 1."""
    mean = x.mean((0, 1, 2)) if training else 0.0
    variance = ((x - mean) ** 2).mean((0, 1, 2)) if training else 1.0
    return p[0] * lax.rsqrt(variance + 1e-5) * (x - mean) + p[1]


def residual(p, x, training: bool, stride: int = 1):
    y = relu(batchnorm(p[1:3], conv(p[0], x, stride, 1), training))
    y = batchnorm(p[4:6], conv(p[3], y, 1, 1), training)
    if len(p) > 6:
        x = batchnorm(p[7:9], conv(p[6], x, stride), training)
    return relu(x + y)


def mlp(p, x, training: bool):
    for i in range(0, len(p) - 2, 2):
        x = relu(dense(p[i : i + 2], x))
    return dense(p[-2:], x)


def lenet(p, x, training: bool):
    x = maxpool(relu(conv(p[0], x, pad=2, bias=p[1])))
    x = maxpool(relu(conv(p[2], x, bias=p[3])))
    return mlp(p[4:], flatten(x), training)


def vgg(p, x, training: bool):
    for i in (0, 4):
        x = relu(conv(p[i], x, pad=1, bias=p[i + 1]))
        x = maxpool(relu(conv(p[i + 2], x, pad=1, bias=p[i + 3])))
    return mlp(p[8:], flatten(x), training)


def resnet(p, x, training: bool):
    x = relu(batchnorm(p[1:3], conv(p[0], x, pad=1), training))
    x = residual(p[3:9], x, training)
    x = residual(p[9:18], x, training, 2)
    x = residual(p[18:27], x, training, 2)
    return dense(p[27:], x.mean((1, 2)))


def autoencoder(p, x, training: bool):
    z = dense(p[2:4], relu(dense(p[:2], x)))
    return jax.nn.sigmoid(dense(p[6:8], relu(dense(p[4:6], z))))


def sentiment(p, words, training: bool):
    return mlp(p[1:], p[0][words].mean(1), training)


def rnn_layer(p, x):
    """x [n, time, m] -> [n, time, units]; the products with x for all steps at once."""
    weight, bias = p
    n, _, m = x.shape
    units = weight.shape[0]
    inner = weight[:, m:].T

    def step(h, z):
        h = jnp.tanh(z + h @ inner)
        return h, h

    z = x @ weight[:, :m].T + bias
    _, hs = lax.scan(step, jnp.zeros((n, units), x.dtype), z.transpose(1, 0, 2))
    return hs.transpose(1, 0, 2)


def lstm_layer(p, x):
    weight, bias = p
    n, _, m = x.shape
    units = weight.shape[0] // 4
    inner = weight[:, m:].T

    def step(state, z):
        h, c = state
        i, f, o, g = jnp.split(z + h @ inner, 4, axis=1)
        c = jax.nn.sigmoid(f) * c + jax.nn.sigmoid(i) * jnp.tanh(g)
        h = jax.nn.sigmoid(o) * jnp.tanh(c)
        return (h, c), h

    z = x @ weight[:, :m].T + bias
    zero = jnp.zeros((n, units), x.dtype)
    _, hs = lax.scan(step, (zero, zero), z.transpose(1, 0, 2))
    return hs.transpose(1, 0, 2)


def rnn(p, text, training: bool):
    return dense(p[3:], rnn_layer(p[1:3], p[0][text]))


def lstm(p, text, training: bool):
    return dense(p[3:], lstm_layer(p[1:3], p[0][text]))


def lstm2(p, text, training: bool):
    return dense(p[5:], lstm_layer(p[3:5], lstm_layer(p[1:3], p[0][text])))


MODELS = {
    "tiny": mlp, "mlp128": mlp, "mlp512": mlp, "lenet": lenet, "vgg": vgg, "resnet": resnet,
    "autoencoder": autoencoder, "sentiment": sentiment, "rnn": rnn, "lstm": lstm, "lstm2": lstm2,
}  # fmt: skip


def loss(name: str, p, data):
    """The mean loss of a batch of columns."""
    first, *rest = data
    y = MODELS[name](p, first, True)
    if name == "autoencoder":
        return ((y - first) ** 2).mean()
    y, label = y.reshape(-1, y.shape[-1]), rest[0].reshape(-1)
    chosen = jnp.take_along_axis(y, label[:, None], axis=1)[:, 0]
    return (jax.nn.logsumexp(y, axis=1) - chosen).mean()
