"""The settings of a `train` block: their types, defaults and descriptions.

SETTINGS[0].name        # "epochs"
"""

from __future__ import annotations

from specc.frontend.words.settings import Declared
from specc.recipe import PRECISIONS, Recipe

DEFAULTS = Recipe()
SETTINGS = (
    Declared(
        "epochs",
        "int",
        bounds=((">", 0),),
        default=DEFAULTS.epochs,
        doc="The number of times that training goes through all of the training data.",
    ),
    Declared(
        "batch",
        "int",
        bounds=((">", 0),),
        default=DEFAULTS.batch,
        doc="The number of examples per training step; losses are averaged over them. With"
        " `batch = 32 * 4`, a step averages the gradients of 4 batches of 32 examples before it"
        " changes the weights. It is the step of a batch of 128, in the memory of one of 32."
        " Statistics of a batch, as in `batchnorm`, are those of 32 examples. A stream has 32"
        " slots, and a step follows 4 windows of each.",
    ),
    Declared(
        "seed",
        "int",
        bounds=((">=", 0),),
        default=DEFAULTS.seed,
        doc="The seed of all random numbers: initial values, the order of the examples, dropout and"
        " the validation part. The same seed gives the same run.",
    ),
    Declared(
        "start",
        "text",
        default=None,
        doc="The run, saved model or safetensors file whose weights training begins with:"
        ' `start = "runs/teacher/1"`. All parameters of the model are taken from there, by name;'
        ' `start tower = "runs/teacher/1"` takes those of a layer.',
    ),
    Declared(
        "patience",
        "int",
        bounds=((">", 0),),
        default=None,
        doc="Training stops early after this many epochs without a better validation result;"
        " with `validate_every`, after this many evaluations.",
    ),
    Declared(
        "monitor",
        "metric",
        default=None,
        doc="The metric or loss that chooses the best epoch, and early stopping with `patience`:"
        " `monitor = accuracy`, or `max(NAME)` and `min(NAME)` to say which way is better. By"
        " default it is the validation loss without penalties on weights.",
    ),
    Declared(
        "clip_norm",
        "float",
        bounds=((">", 0),),
        default=None,
        doc="The largest norm of all gradients together: larger ones are scaled down to it"
        " (Pascanu, Mikolov and Bengio, 2013). Recurrent networks usually need `clip_norm = 1`.",
    ),
    Declared(
        "clip_value",
        "float",
        bounds=((">", 0),),
        default=None,
        doc="The largest absolute value of each element of a gradient; larger ones are clipped,"
        " before `clip_norm`.",
    ),
    Declared(
        "average",
        "float",
        bounds=((">", 0), ("<", 1)),
        default=None,
        doc="Evaluation and prediction use moving means of the weights over the training steps:"
        " `average = 0.999` keeps that share of the mean in each step, corrected for its start as"
        " in adam. Training itself uses the current weights (Polyak and Juditsky, Acceleration"
        " of stochastic approximation by averaging, 1992).",
    ),
    Declared(
        "recompute",
        "bool",
        default=DEFAULTS.recompute,
        doc="Gradient checkpointing: the backward pass recomputes activations, which takes less"
        " memory and more time (Chen et al., 2016). The results are the same.",
    ),
    Declared(
        "precision",
        choices=PRECISIONS,
        default=DEFAULTS.precision,
        doc="The format that the operands of all products are rounded to: those of matrix products"
        " and convolutions, of their gradients and of predictions. `bfloat16` has the range of"
        " float32, and 8 significant bits instead of 24; it rounds to nearest, ties to even."
        " Weights, sums and updates stay float32, so the loss needs no scaling (Kalamkar et al., A"
        " study of BFLOAT16 for deep learning training, 2019). Large products take about half the"
        " time on CPUs that multiply bfloat16 (AVX512-BF16). On others specc rounds and computes in"
        " float32, which is slower, and warns. `--precision` of `train`, `time`, `eval` and"
        " `predict` overrides it.",
    ),
    Declared(
        "stratify",
        "column",
        default=None,
        doc="The column whose values have the same distribution in each part of a split, such"
        " as the label: `stratify = label`.",
    ),
    Declared(
        "group",
        "column",
        default=None,
        doc="The column whose equal values stay in the same part of a split, such as a"
        " patient: `group = patient`. A value in parts from two files is an error.",
    ),
    Declared(
        "time",
        "column",
        default=None,
        doc="The column of dates or numbers by which a split holds out the latest examples:"
        " `time = date`. Validation data from a file must be later than the training data.",
    ),
    Declared(
        "folds",
        "int",
        bounds=((">", 1),),
        default=None,
        doc="Cross-validation: the training data is divided into this number of folds, and"
        " `specc train` trains one run per fold, which is validated on that fold. It reports"
        " the mean and the standard deviation of the results.",
    ),
    Declared(
        "fold",
        "int",
        bounds=((">", 0),),
        default=None,
        doc="The only fold to validate on, from 1; without it, `specc train` uses each in turn.",
    ),
    Declared(
        "balance",
        "column",
        default=None,
        doc="The target whose classes get equal weight in training, by the method `balance_by`.",
    ),
    Declared(
        "balance_by",
        choices=("weights", "oversampling"),
        default=DEFAULTS.balance_by,
        doc="The method of `balance`. With `weights`, the losses that depend on the"
        " target are multiplied, while training, by n / (k * n_c) for an example of class c: n"
        " examples, n_c of them of class c, k classes (King and Zeng, 2001). With `oversampling`,"
        " examples of rare classes are repeated in each epoch until every class has as many as the"
        " largest one.",
    ),
    Declared(
        "max_time",
        "float",
        bounds=((">", 0),),
        default=None,
        doc="The seconds after which training ends, even within an epoch; compile time does not"
        " count. The run is saved: `specc train --resume RUN` continues it.",
    ),
    Declared(
        "validate_every",
        "int",
        bounds=((">", 0),),
        default=None,
        doc="The number of steps between validations within an epoch. The results are in"
        " `evaluations.csv` of the run. Each evaluation may choose the best weights, and `patience`"
        " and `stale` count evaluations instead of epochs: those every so many steps, and the one"
        " at the end of each epoch.",
    ),
    Declared(
        "memory",
        "float",
        bounds=((">", 0),),
        default=None,
        doc="The memory in MB for examples during training, for data larger than"
        " memory: they are read in pieces, checked, written to the user's cache folder once,"
        " and loaded from there in the background. Each epoch shuffles blocks of examples, and then"
        " the examples of some hundred blocks at a time. `validate split` and `folds` choose rows"
        " by their numbers, so the sizes of the parts are approximate. Medians and quantiles of"
        " `column` formulas are those of 131,072 rows. For `csv`, `tsv`, `jsonl`, `parquet`,"
        " `feather`, `npy` and `images`.",
    ),
    Declared(
        "sample",
        "int",
        bounds=((">", 0),),
        default=None,
        doc="The number of characters (or words) that the model generates during training:"
        " before the first step, after 100, 1,000, 10,000, ... steps, and after each epoch. For"
        " a model with `text(...)` as data. The texts are in `samples.jsonl` of the run.",
    ),
    Declared(
        "prompt",
        "text",
        default=None,
        doc="The start of each text of `sample`; by default it is empty.",
    ),
    Declared(
        "temperature",
        "float",
        bounds=((">=", 0),),
        default=DEFAULTS.temperature,
        doc="The temperature of `sample`: symbols are drawn with p = softmax(scores / temperature);"
        " 0 always picks the most likely one.",
    ),
    Declared(
        "snapshots",
        "int",
        bounds=((">", 1),),
        default=None,
        doc="The number of times that the run keeps a copy of the weights, at equal distances along"
        " the training, besides the first ones: `specc plot RUN trajectory` draws their way. The"
        " copies are in the folder `snapshots` of the run, and take as much space as so many"
        " models.",
    ),
    Declared(
        "checkpoint_seconds",
        "float",
        bounds=((">", 0),),
        default=DEFAULTS.checkpoint_seconds,
        doc="The seconds between checkpoints within an epoch; one is also written at the end"
        " of each epoch.",
    ),
)
LARGEST = {"seed": 2**63 - 1}
LARGEST_COUNT = 10**9
"""The largest integer of each setting; a larger one is certainly an error."""
PLANNED = ("workers",)
"""Planned settings of `train`, which are refused for now."""
