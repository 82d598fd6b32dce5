"""Oracles of cells: PyTorch's where it has the same formula, else the paper's, step by step."""

from __future__ import annotations

import torch
import torch.nn.functional as F

from .interpreted import ROWS, agrees, oracle, size


def over_steps(rng, word: str, units: int, wanted) -> None:
    """All states h of a cell over a sequence."""
    steps, n = size(rng, 1, 5), size(rng)
    agrees(
        f"a -> {word}({units})",
        lambda t: wanted(t["a"], t, n),
        {},
        rng,
        {"a": f"float[time, {n}]"},
        {"a": rng.standard_normal((ROWS, steps, n))},
        before=f"seq time = {steps}",
        tolerance=1e-9,
    )


def torch_cell(kind, word: str, units: int, **settings):
    """PyTorch's recurrent network with the weights of a cell, [gates * units, n + units]."""

    def wanted(x, t, n):
        weight, bias = t[f"{word}1.dense1.weight"], t[f"{word}1.dense1.bias"]
        cell = kind(n, units, batch_first=True, dtype=torch.float64, **settings)
        given = {
            "weight_ih_l0": weight[:, :n],
            "weight_hh_l0": weight[:, n:],
            "bias_ih_l0": bias,
            "bias_hh_l0": torch.zeros_like(bias),
        }
        if word == "lstm":  # the gates i, f, o, g; PyTorch has i, f, g, o
            order = [0, 1, 3, 2]
            given = {
                name: torch.cat([each.chunk(4)[k] for k in order]) for name, each in given.items()
            }
        return torch.func.functional_call(cell, given, (x,))[0]

    return wanted


@oracle("rnn")
def _(rng):
    units = size(rng)
    over_steps(rng, "rnn", units, torch_cell(torch.nn.RNN, "rnn", units))


@oracle("irnn")
def _(rng):
    units = size(rng)
    over_steps(rng, "irnn", units, torch_cell(torch.nn.RNN, "irnn", units, nonlinearity="relu"))


@oracle("lstm")
def _(rng):
    units = size(rng)
    over_steps(rng, "lstm", units, torch_cell(torch.nn.LSTM, "lstm", units))


@oracle("peephole_lstm")
def _(rng):
    """Gers and Schmidhuber, 2000; Graves, 2013, equations 7 to 11."""
    units = size(rng)

    def wanted(x, t, n):
        t = {path.removeprefix("peephole_lstm1."): value for path, value in t.items()}
        h = c = torch.zeros(len(x), units, dtype=torch.float64)
        found = []
        for step in range(x.shape[1]):
            z = F.linear(torch.cat([x[:, step], h], 1), t["dense1.weight"], t["dense1.bias"])
            i, f, o, g = z.chunk(4, 1)
            i, f = torch.sigmoid(i + t["peephole_i"] * c), torch.sigmoid(f + t["peephole_f"] * c)
            c = f * c + i * torch.tanh(g)
            h = torch.sigmoid(o + t["peephole_o"] * c) * torch.tanh(c)
            found.append(h)
        return torch.stack(found, 1)

    over_steps(rng, "peephole_lstm", units, wanted)


@oracle("gru")
def _(rng):
    """Cho et al., 2014, equations 5 to 8: the gate r is applied to the state before the product."""
    units = size(rng)

    def wanted(x, t, n):
        t = {path.removeprefix("gru1."): value for path, value in t.items()}
        h = torch.zeros(len(x), units, dtype=torch.float64)
        found = []
        for step in range(x.shape[1]):
            both = torch.cat([x[:, step], h], 1)
            r, z = torch.sigmoid(F.linear(both, t["dense1.weight"], t["dense1.bias"])).chunk(2, 1)
            both = torch.cat([x[:, step], r * h], 1)
            h = z * h + (1 - z) * torch.tanh(F.linear(both, t["dense2.weight"], t["dense2.bias"]))
            found.append(h)
        return torch.stack(found, 1)

    over_steps(rng, "gru", units, wanted)
