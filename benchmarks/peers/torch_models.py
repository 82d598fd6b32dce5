"""The models in PyTorch, layers in the order of the .dl files.

Parameters are copied in that order.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F

from benchmarks.cases import CELLS
from benchmarks.peers.torch_cells import looped


class Residual(nn.Module):
    def __init__(self, channels: int, filters: int, stride: int = 1):
        super().__init__()
        self.main = nn.Sequential(
            nn.Conv2d(channels, filters, 3, stride, 1, bias=False),
            nn.BatchNorm2d(filters),
            nn.ReLU(),
            nn.Conv2d(filters, filters, 3, 1, 1, bias=False),
            nn.BatchNorm2d(filters),
        )
        self.shortcut = (
            nn.Identity()
            if channels == filters and stride == 1
            else nn.Sequential(
                nn.Conv2d(channels, filters, 1, stride, bias=False), nn.BatchNorm2d(filters)
            )
        )

    def forward(self, x):
        return F.relu(self.shortcut(x) + self.main(x))


class Sentiment(nn.Module):
    def __init__(self):
        super().__init__()
        self.words = nn.Embedding(10000, 64)
        self.rest = nn.Sequential(nn.Linear(64, 64), nn.ReLU(), nn.Linear(64, 2))

    def forward(self, words):
        return self.rest(self.words(words).mean(1))


class Recurrent(nn.Module):
    """Embedding, recurrent layers, scores at each step. One bias a gate trains, as in specc."""

    def __init__(self, kind, units: int, layers: int = 1):
        super().__init__()
        self.embed = nn.Embedding(65, units)
        self.cells = nn.ModuleList(kind(units, units, batch_first=True) for _ in range(layers))
        for cell in self.cells:
            cell.bias_hh_l0.requires_grad_(False)
        self.dense = nn.Linear(units, 65)

    def forward(self, text):
        x = self.embed(text)
        for cell in self.cells:
            x, _ = cell(x)
        return self.dense(x)


MODELS = {
    "tiny": lambda: nn.Sequential(
        nn.Linear(2, 16), nn.ReLU(), nn.Linear(16, 16), nn.ReLU(), nn.Linear(16, 3)),
    "mlp128": lambda: nn.Sequential(nn.Linear(784, 128), nn.ReLU(), nn.Linear(128, 10)),
    "mlp512": lambda: nn.Sequential(
        nn.Linear(784, 512), nn.ReLU(), nn.Linear(512, 512), nn.ReLU(), nn.Linear(512, 10)),
    "lenet": lambda: nn.Sequential(
        nn.Conv2d(1, 6, 5, padding=2), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(6, 16, 5), nn.ReLU(), nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(400, 120), nn.ReLU(), nn.Linear(120, 84), nn.ReLU(), nn.Linear(84, 10)),
    "vgg": lambda: nn.Sequential(
        nn.Conv2d(3, 32, 3, padding=1), nn.ReLU(), nn.Conv2d(32, 32, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(),
        nn.MaxPool2d(2), nn.Flatten(),
        nn.Linear(4096, 256), nn.ReLU(), nn.Linear(256, 10)),
    "resnet": lambda: nn.Sequential(
        nn.Conv2d(3, 16, 3, padding=1, bias=False), nn.BatchNorm2d(16), nn.ReLU(),
        Residual(16, 16), Residual(16, 32, 2), Residual(32, 64, 2),
        nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(64, 10)),
    "autoencoder": lambda: nn.Sequential(
        nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 32),
        nn.Linear(32, 256), nn.ReLU(), nn.Linear(256, 784), nn.Sigmoid()),
    "sentiment": Sentiment,
    "rnn": lambda: Recurrent(nn.RNN, 128),
    "lstm": lambda: Recurrent(nn.LSTM, 128),
    "lstm2": lambda: Recurrent(nn.LSTM, 256, 2),
}  # fmt: skip


def model(name: str, weights, before: bool = False) -> nn.Module:
    """The model with the weights of specc's; `weights` maps paths to arrays, in order."""
    made = looped(name, before) if name in CELLS else MODELS[name]()
    values = [torch.from_numpy(array.copy()) for array in weights.values()]
    with torch.no_grad():
        if isinstance(made, Recurrent):
            _copy_recurrent(made, values)
        else:
            for parameter, value in zip(made.parameters(), values, strict=True):
                assert parameter.shape == value.shape, (name, parameter.shape, value.shape)
                parameter.copy_(value)
    return made


def _copy_recurrent(made: Recurrent, values) -> None:
    made.embed.weight.copy_(values[0])
    for i, cell in enumerate(made.cells):
        weight, bias = values[1 + 2 * i : 3 + 2 * i]  # [gates * units, n + units]: of concat(x, h)
        units, n = cell.hidden_size, cell.input_size
        gates = list(range(weight.shape[0] // units))
        if len(gates) == 4:
            gates = [0, 1, 3, 2]  # specc has i f o g, PyTorch i f g o
        rows = torch.cat([torch.arange(g * units, (g + 1) * units) for g in gates])
        cell.weight_ih_l0.copy_(weight[rows, :n])
        cell.weight_hh_l0.copy_(weight[rows, n:])
        cell.bias_ih_l0.copy_(bias[rows])
        cell.bias_hh_l0.zero_()
    made.dense.weight.copy_(values[-2])
    made.dense.bias.copy_(values[-1])


def loss(name: str, made: nn.Module, data):
    """The mean loss of a batch of columns."""
    first, *rest = data
    if name == "autoencoder":
        return F.mse_loss(made(first), first)
    scores, label = made(first), rest[0]
    return F.cross_entropy(scores.reshape(-1, scores.shape[-1]), label.reshape(-1))
