"""Cells that PyTorch has not, as its users write them: a Python loop over the steps.

    Looped(MinimalGated)(text)        # [n, 50] characters -> [n, 50, 65] scores

`before` takes out of the loop what does not depend on the state: the products of the inputs are
then one for all steps, as a user does who takes care.
"""

from __future__ import annotations

import torch
from torch import nn
from torch.nn import functional as F


class Joined(nn.Linear):
    """W concat(x, h) + b at each step, or W_x x + b for all steps and then + W_h h in the loop."""

    def __init__(self, inputs: int, units: int, outputs: int, before: bool):
        super().__init__(inputs + units, outputs)
        self.inputs, self.before = inputs, before

    def of_all(self, x):
        """What is given to `of_one`, step by step: [n, steps, ..]."""
        return F.linear(x, self.weight[:, : self.inputs], self.bias) if self.before else x

    def of_one(self, x, h):
        if self.before:
            return torch.addmm(x, h, self.weight[:, self.inputs :].t())
        return self(torch.cat([x, h], 1))


class MinimalGated(nn.Module):
    def __init__(self, inputs: int, units: int, before: bool):
        super().__init__()
        self.units = units
        self.gate = Joined(inputs, units, units, before)
        self.fresh = Joined(inputs, units, units, before)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], self.units)
        found = []
        for a, b in zip(self.gate.of_all(x).unbind(1), self.fresh.of_all(x).unbind(1), strict=True):
            f = torch.sigmoid(self.gate.of_one(a, h))
            g = torch.tanh(self.fresh.of_one(b, f * h))
            h = (1 - f) * h + f * g
            found.append(h)
        return torch.stack(found, 1)


class Independent(nn.Module):
    """Its product needs no state: it stands before the loop in any case."""

    def __init__(self, inputs: int, units: int, before: bool):
        super().__init__()
        self.past = nn.Parameter(torch.zeros(units))
        self.dense = nn.Linear(inputs, units)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], len(self.past))
        found = []
        for z in self.dense(x).unbind(1):
            h = torch.relu(z + self.past * h)
            found.append(h)
        return torch.stack(found, 1)


class Rectified(nn.Module):
    def __init__(self, inputs: int, units: int, before: bool):
        super().__init__()
        self.units = units
        self.dense = Joined(inputs, units, units, before)

    def forward(self, x):
        h = x.new_zeros(x.shape[0], self.units)
        found = []
        for z in self.dense.of_all(x).unbind(1):
            h = torch.relu(self.dense.of_one(z, h))
            found.append(h)
        return torch.stack(found, 1)


class Peephole(nn.Module):
    def __init__(self, inputs: int, units: int, before: bool):
        super().__init__()
        self.units = units
        self.i, self.f, self.o = (nn.Parameter(torch.zeros(units)) for _ in range(3))
        self.dense = Joined(inputs, units, 4 * units, before)

    def forward(self, x):
        h = c = x.new_zeros(x.shape[0], self.units)
        found = []
        for z in self.dense.of_all(x).unbind(1):
            i, f, o, g = self.dense.of_one(z, h).chunk(4, 1)
            c, before = torch.sigmoid(f + self.f * c) * c, c
            c = c + torch.sigmoid(i + self.i * before) * torch.tanh(g)
            h = torch.sigmoid(o + self.o * c) * torch.tanh(c)
            found.append(h)
        return torch.stack(found, 1)


class Looped(nn.Module):
    """Embedding, a cell, scores at each step."""

    def __init__(self, cell, before: bool = False, units: int = 128):
        super().__init__()
        self.embed = nn.Embedding(65, units)
        self.cell = cell(units, units, before)
        self.dense = nn.Linear(units, 65)

    def forward(self, text):
        return self.dense(self.cell(self.embed(text)))


CELLS = {"minimal_gated": MinimalGated, "independent": Independent, "irnn": Rectified,
         "peephole_lstm": Peephole}  # fmt: skip


def looped(name: str, before: bool) -> Looped:
    """The model of a case: "irnn" has 128 units, "irnn_32" has 32."""
    cell = name.removesuffix("_32")
    return Looped(CELLS[cell], before, 128 if cell == name else 32)
