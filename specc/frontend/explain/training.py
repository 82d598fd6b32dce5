"""What `specc explain` says about the settings of `train`.

about("precision")        # how it is declared, and what it does
"""

from __future__ import annotations

from textwrap import fill

from specc.frontend.program.training import SETTINGS

ABOUT = {
    "epochs": "The number of times that training goes over the data.",
    "batch": "The number of examples of a training step; the gradient is that of their mean loss.",
    "seed": "The seed of all random numbers: initial weights, the order of the examples, dropout.",
    "patience": "Training stops after so many epochs in a row without a better `monitor`.",
    "monitor": (
        "The loss or metric that tells which epoch is the best: `monitor = accuracy`, or"
        " `monitor = max(score)`. By default it is the validation loss without penalties."
    ),
    "clip_norm": (
        "Scales the gradients of a step so that the norm of them all is at most this (Pascanu,"
        " Mikolov and Bengio, 2013)."
    ),
    "clip_value": "Bounds every element of the gradients, before `clip_norm`.",
    "recompute": (
        "With `true` the backward pass computes values of the forward pass again in place of"
        " keeping them (gradient checkpointing): less memory, up to a third more time."
    ),
    "precision": (
        "The format that the operands of every product are rounded to: of matrix products and"
        " convolutions, of the gradients of their inputs and weights, and of predictions.\n\n"
        "`bfloat16` has the range of float32, and 8 significant bits in place of 24. It rounds to"
        " the nearest, ties to even. Weights, sums, activations and updates stay float32, so no"
        " scaling of the loss is needed, and losses end up where those of float32 do (Kalamkar et"
        " al., A study of BFLOAT16 for deep learning training, 2019). CPUs that multiply bfloat16"
        " (AVX512-BF16) have up to twice the speed in large products. On other CPUs specc computes"
        " the same in float32, with a warning, as rounding makes it slower. `specc train"
        " --precision bfloat16` sets it, too; `specc eval --precision float32` evaluates a run"
        " without rounding."
    ),
    "checkpoint_seconds": "Within an epoch, the run is saved every so many seconds.",
}


def about(name: str) -> str:
    """Return the text on a setting of `train`."""
    declared = next(each for each in SETTINGS if each.name == name)
    text = "\n\n".join(
        fill(each, 100, break_on_hyphens=False) for each in ABOUT[name].split("\n\n")
    )
    return f"{declared}\n\nsetting of `train`\n\n{text}\n"
