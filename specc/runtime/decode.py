"""Sequences that a model writes given its inputs: a caption for a picture, a translation of a line.

    found = decode(net, {"picture": Column(x)})      # {"word": int32 [n, steps]}

Such a model reads its own target one step late (`previous(word)`), and scores at each step what comes
next. What it has written so far stands in for the target, step by step.
"""

from __future__ import annotations

import numpy as np

from specc.columns import Column
from specc.recipe import Port
from specc.runtime.compiled import CompiledModel
from specc.runtime.sample import draw


def written(net: CompiledModel, needed: tuple[str, ...]) -> list[Port]:
    """The targets that the outputs of a model read: what it writes itself."""
    return [port for port in net.ports
            if port.role == "target" and port.name in needed and not port.length_of]


def decode(net: CompiledModel, data: dict[str, Column], needed: tuple[str, ...],
           temperature: float = 0.0, top: int | None = None, seed: int = 0) -> dict[str, np.ndarray]:
    """What the model writes for each example: integers [n, steps] by the name of the target.

    With `temperature` 0 the likeliest at each step; otherwise it is drawn, p = softmax(scores /
    temperature). Raises ValueError where the outputs do not score the symbols of the target.
    """
    random = np.random.Generator(np.random.Philox(seed))
    rows = len(next(iter(data.values())).array)
    found: dict[str, np.ndarray] = {}
    data = dict(data)
    for port in written(net, needed):
        found[port.name] = np.zeros((rows, *port.shape), np.int32)
        data[port.name] = Column(found[port.name])
    for port in net.ports:
        if port.name in needed and port.name not in data:
            if port.length_of:
                data[port.name] = Column(np.full(rows, port.classes - 1, np.int32))
    for port in written(net, needed):
        steps = port.shape[0]
        for step in range(steps):
            outputs = net.predict(data)
            scores = next((array for array in outputs.values()
                           if array.shape[1:] == (steps, port.classes)), None)
            if scores is None:
                raise ValueError(f"no output of {net.name} scores the {port.classes} classes of"
                                 f" `{port.name}` at each step")
            now = scores[:, step].astype(np.float64)
            if temperature == 0:
                found[port.name][:, step] = now.argmax(-1)
            else:
                found[port.name][:, step] = [draw(row, temperature, top, random) for row in now]
    return found
