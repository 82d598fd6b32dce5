"""A compiled model in plain NumPy: softmax regression with momentum, for tests of the runtime."""

from __future__ import annotations

import numpy as np

from specc.recipe import Port

PORTS = (Port("x", "input", "float", (4,)), Port("kind", "target", "class", (), 3))


class SoftmaxNet:
    """An implementation of `CompiledModel` that counts its calls."""

    name = "iris"
    columns = ("loss", "loss.cross_entropy", "loss.penalty", "metric.accuracy")
    record_width = 4
    watches = "loss"

    def __init__(self, batch=8, lr=0.5, ports=PORTS):
        self.ports, self.batch, self.lr = ports, batch, lr
        self.examples_per_step = batch
        self.compile_seconds = 0.25
        self.working_threads = 1
        weight = np.linspace(-0.1, 0.1, 12).reshape(3, 4)
        self.params = {"dense1.weight": weight, "dense1.bias": np.zeros(3)}
        self.states = {f"{path}.v": np.zeros_like(w) for path, w in self.params.items()}
        self.calls: list[tuple[int, int]] = []

    def _forward(self, data, rows):
        x = data["x"].values(rows)
        scores = x @ self.params["dense1.weight"].T + self.params["dense1.bias"]
        weights = np.exp(scores - scores.max(axis=1, keepdims=True))
        return x, weights / weights.sum(axis=1, keepdims=True)

    def _record(self, data, rows, p):
        label = data["kind"].array[rows]
        loss = -np.log(p[np.arange(len(rows)), label]).mean()
        penalty = 1e-3 * (self.params["dense1.weight"] ** 2).sum()
        return [loss + penalty, loss, penalty, (p.argmax(axis=1) == label).mean()]

    def lengths(self, data, total_steps):
        return None

    def train(self, data, order, first_step, steps_per_epoch, total_steps, stale=0):
        records = []
        for start in range(0, len(order), self.batch):
            rows = order[start : start + self.batch]
            x, p = self._forward(data, rows)
            records.append(self._record(data, rows, p))
            dy = p.copy()
            dy[np.arange(len(rows)), data["kind"].array[rows]] -= 1
            dy /= len(rows)
            gradients = {
                "dense1.weight": dy.T @ x + 2e-3 * self.params["dense1.weight"],
                "dense1.bias": dy.sum(axis=0),
            }
            # a schedule: the rate falls to zero over the training, and after an epoch without
            # improvement
            rate = self.lr * (1 - (first_step + len(records) - 1) / total_steps) * 0.5**stale
            for path, gradient in gradients.items():
                v = self.states[f"{path}.v"]
                v[...] = 0.5 * v - rate * gradient
                self.params[path] += v
        self.calls.append((first_step, len(records)))
        return np.array(records)

    def evaluate_rows(self, data, order):
        _, p = self._forward(data, order)
        return self.report(self._record(data, order, p))

    def report(self, means):
        return dict(zip(self.columns, map(float, means), strict=True))

    def watched(self, figures):
        return figures[self.watches]

    def predict_rows(self, data):
        rows = np.arange(len(data["x"].array))
        return {"scores": self._forward(data, rows)[1]}

    def diagnose(self, data, rows, step, *rest, training=True):
        self.diagnosed = rows, step, training
        return None
