"""The names of all errors and warnings, and the names of layers and settings in other tools.

    "window-does-not-fit" in ERRORS   # True
    SYNONYMS["fc"]                    # "dense"

The text of a diagnostic is where it is reported; its name must be in one of these tables.
"""

from __future__ import annotations

ERRORS = (
    "bad-index",
    "bad-json",
    "bad-number",
    "bad-run",
    "bad-search",
    "bad-setting",
    "bad-start",
    "bad-use",
    "cannot-read",
    "data",
    "diverged",
    "duplicate-name",
    "layer-mismatch",
    "misplaced",
    "missing-data",
    "missing-setting",
    "no-input",
    "no-loss",
    "no-model",
    "no-optimizer",
    "no-parameter",
    "no-train",
    "not-yet",
    "open-search",
    "open-size",
    "recursive-definition",
    "shape-mismatch",
    "syntax",
    "too-deep",
    "too-large",
    "undecided-size",
    "unknown-name",
    "unknown-override",
    "unknown-setting",
    "window-does-not-fit",
    "wrong-arguments",
    "wrong-kind",
)
"""The names of errors; `specc/pages` explains each."""

WARNINGS = (
    "deep-saturation",
    "double-softmax",
    "large-batch",
    "large-data",
    "large-footprint",
    "linear-on-linear",
    "looks-ahead",
    "missing-classes",
    "padded",
    "penalty-with-adam",
    "same-data",
    "signed-loss",
    "unclipped",
    "unknown-allow",
    "unreachable-target",
    "unscaled",
    "untrained",
    "unused",
    "unusual-rate",
)
"""The names of warnings; `specc/pages` explains each."""

# Names of functions and layers in other tools.
SYNONYMS: dict[str, str] = {
    "linear": "dense", "fc": "dense", "fully_connected": "dense", "affine": "dense",
    "inner_product": "dense", "conv2d": "conv", "convolution": "conv", "conv2": "conv",
    "maxpool2d": "maxpool", "max_pool": "maxpool", "max_pooling": "maxpool", "pool": "maxpool",
    "max_pool2d": "maxpool", "maxpooling2d": "maxpool", "reshape_flat": "flatten",
    "ravel": "flatten", "view": "reshape", "crossentropy": "cross_entropy", "nll": "cross_entropy",
    "ce": "cross_entropy", "categorical_crossentropy": "cross_entropy",
    "softmax_cross_entropy": "cross_entropy", "mean_squared_error": "mse", "square_error": "mse",
    "mean_absolute_error": "mae", "weight_decay": "l2", "ridge": "l2", "lasso": "l1",
    "logistic": "sigmoid", "rectifier": "relu", "lrelu": "leaky_relu", "bn": "batchnorm",
    "batch_norm": "batchnorm", "batchnorm2d": "batchnorm", "gradient_descent": "sgd",
    "nesterov": "momentum", "glorot": "xavier", "kaiming": "he", "matmul": "@", "ln": "log",
    "pow": "^", "detach": "stop_gradient", "cat": "concat", "concatenate": "concat",
    "chunk": "split", "maximum": "max", "minimum": "min", "average": "mean", "acc": "accuracy",
    "avg": "mean", "swish": "silu", "bce": "binary_cross_entropy",
    "binary_crossentropy": "binary_cross_entropy", "smooth_l1": "huber", "kl_divergence": "kl",
    "kl_div": "kl", "svm": "hinge", "euclidean": "distance", "elastic_net": "elastic",
    "decay": "step_decay", "step_lr": "step_decay", "exponential_decay": "exponential",
    "cosine_annealing": "cosine", "reduce_on_plateau": "plateau", "reduce_lr_on_plateau": "plateau",
    "eye": "identity", "gather": "take", "confusion_matrix": "confusion",
    "f1_score": "f1", "f1_macro": "macro_f1", "macro_f1_score": "macro_f1", "mean_f1": "macro_f1",
    "balanced_acc": "balanced_accuracy", "macro_recall": "balanced_accuracy",
    "mean_recall": "balanced_accuracy", "sensitivity": "recall",
    "cross_entropy_loss": "cross_entropy", "nll_loss": "cross_entropy",
    "sparse_categorical_crossentropy": "cross_entropy", "mse_loss": "mse", "l1_loss": "mae",
    "bce_loss": "binary_cross_entropy", "bce_with_logits_loss": "binary_cross_entropy",
    "huber_loss": "huber", "smooth_l1_loss": "huber", "kl_div_loss": "kl", "hinge_loss": "hinge",
    "contrastive_loss": "contrastive", "triplet_loss": "triplet", "triplet_margin_loss": "triplet",
    "batch_norm1d": "batchnorm", "batch_norm2d": "batchnorm", "batch_normalization": "batchnorm",
    "layer_normalization": "layernorm", "embedding": "embed", "deconv": "conv_transpose",
    "deconvolution": "conv_transpose", "conv_transpose2d": "conv_transpose",
    "conv2d_transpose": "conv_transpose", "avg_pool2d": "avgpool", "average_pooling2d": "avgpool",
    "avg_pooling": "avgpool", "adaptive_avg_pool2d": "global_avgpool",
    "global_average_pooling2d": "global_avgpool", "global_max_pooling2d": "global_maxpool",
    "up_sampling2d": "upsample", "interpolate": "upsample", "elman": "rnn", "simple_rnn": "rnn",
    "xavier_uniform": "xavier", "xavier_normal": "xavier", "glorot_uniform": "xavier",
    "glorot_normal": "xavier", "kaiming_uniform": "he", "kaiming_normal": "he", "he_uniform": "he",
    "he_normal": "he", "lecun_normal": "lecun", "lecun_uniform": "lecun", "adam_w": "adamw",
    "exponential_lr": "exponential", "cosine_annealing_lr": "cosine", "cosine_decay": "cosine",
    "multi_step_lr": "piecewise", "linear_warmup": "warmup", "top1_accuracy": "accuracy",
    "categorical_accuracy": "accuracy", "hard_max": "argmax", "leaky": "leaky_relu",
}  # fmt: skip

# Names of their settings in other tools.
SETTING_SYNONYMS: dict[str, str] = {
    "learning_rate": "lr", "step_size": "lr", "eta": "lr", "alpha": "lr", "momentum": "mu",
    "beta1": "beta", "kernel_size": "kernel", "filter_size": "kernel", "window": "size",
    "pool_size": "size", "padding": "pad", "strides": "stride", "out_features": "units",
    "features": "units", "out_channels": "filters", "channels": "filters", "hidden": "units",
    "negative_slope": "slope", "eps": "epsilon", "rounding": "round", "initializer": "init",
    "kernel_initializer": "init", "bias_initializer": "bias_init", "label_smoothing": "smoothing",
    "use_bias": "bias", "dilation_rate": "dilation", "dim": "axis", "p": "rate", "prob": "rate",
    "drop": "rate", "dropout_rate": "rate", "hidden_size": "units", "num_units": "units",
    "hidden_units": "units", "neurons": "units", "embedding_dim": "units", "embed_dim": "units",
    "num_filters": "filters", "n_filters": "filters", "gamma": "factor", "decay_rate": "factor",
    "step_every": "every", "period": "every", "num_heads": "heads", "b1": "beta1", "b2": "beta2",
    "beta_1": "beta1", "beta_2": "beta2", "weight_initializer": "init", "upscale": "factor",
    "scale_factor": "factor",
}  # fmt: skip

# Metrics of a score and a boolean, and the metrics of scores and classes that are like them.
OF_CLASSES: dict[str, str] = {
    "f1": "macro_f1", "precision": "macro_f1", "recall": "balanced_accuracy",
    "binary_accuracy": "accuracy",
}  # fmt: skip

# Metrics that are not means over examples.
RANKINGS = ("auc", "roc_auc", "auroc", "roc", "average_precision", "pr_auc")

# Settings in other tools that are written differently here.
SETTING_HINTS: dict[str, str] = {
    "momentum": "`momentum(lr = .., mu = 0.9)` is a separate optimizer",
    "nesterov": "`nesterov(lr = .., mu = 0.9)` is a separate optimizer",
    "amsgrad": "`amsgrad(lr = ..)` is a separate optimizer",
    "weight_decay": "`adamw(weight_decay = ..)` has it, or `loss penalty = 1e-4 * l2(weights)`",
    "kernel_regularizer": "a penalty is a loss: `loss penalty = 1e-4 * l2(weights)`",
    "in_features": "sizes of inputs are inferred: remove it",
    "in_channels": "sizes of inputs are inferred: remove it",
    "input_size": "sizes of inputs are inferred: remove it",
    "input_dim": "sizes of inputs are inferred: remove it",
    "input_shape": "sizes of inputs are inferred: remove it",
    "dropout": "dropout is a separate stage: `-> dropout(0.5)`",
    "num_layers": "repeat the stage, or write `-> 2 * (..)`: each has its own weights",
    "return_sequences": "the result has all time steps: `-> last` takes the last one",
    "batch_first": "the batch axis is implicit: remove it",
    "stateful": "`stream` instead of `input` carries states from batch to batch",
    "clipnorm": "`clip_norm = 1` is a setting of `train`",
    "clip_norm": "`clip_norm = 1` is a setting of `train`",
    "name": "`layer tower = ..` gives a layer a name",
}

# Names of the settings of `train` in other tools.
TRAIN_SYNONYMS: dict[str, str] = {
    "epoch": "epochs", "num_epochs": "epochs", "n_epochs": "epochs", "max_epochs": "epochs",
    "batch_size": "batch", "batchsize": "batch", "minibatch": "batch", "random_seed": "seed",
    "random_state": "seed", "early_stopping": "patience", "clip": "clip_norm",
    "early_stop": "patience", "grad_clip": "clip_norm", "clipnorm": "clip_norm",
    "clipvalue": "clip_value", "gradient_clip": "clip_norm", "clip_grad_norm": "clip_norm",
    "max_norm": "clip_norm", "checkpointing": "recompute", "gradient_checkpointing": "recompute",
    "activation_checkpointing": "recompute", "use_checkpoint": "recompute", "remat": "recompute",
    "rematerialize": "recompute", "mixed_precision": "precision", "amp": "precision",
    "autocast": "precision", "eval_steps": "validate_every", "val_check_interval": "validate_every",
    "class_weight": "balance", "class_weights": "balance",
}  # fmt: skip

# Training settings in other tools that are written differently here.
TRAIN_HINTS: dict[str, str] = {
    "shuffle": "the examples are shuffled in every epoch; `seed` determines the order",
    "loss": "a loss goes in the model: `loss cross_entropy(scores, label)`",
    "metrics": "metrics go in the model: `metric accuracy(scores, label)`",
    "momentum": "`optimizer momentum(lr = .., mu = 0.9)` has it",
    "optimizer": "write it without `=`: `optimizer adam(lr = 0.001)`",
    "scheduler": "a learning rate may be a formula: `optimizer sgd(lr = cosine(0.1, 0))`",
    "lr_schedule": "a learning rate may be a formula: `optimizer sgd(lr = cosine(0.1, 0))`",
    "warmup": "a learning rate may be a formula: `optimizer sgd(lr = warmup(0.1; over = 2))`",
    "weight_decay": "`adamw(weight_decay = ..)` has it, or `loss penalty = 1e-4 * l2(weights)`",
    "validation_split": "`validate split = 0.9` trains on 90% of the data",
    "val_split": "`validate split = 0.9` trains on 90% of the data",
    "split": "`validate split = 0.9` trains on 90% of the data",
    "steps": "`epochs` sets the length of training",
    "max_steps": "`epochs` sets the length of training",
    "iterations": "`epochs` sets the length of training",
    **dict.fromkeys(
        (
            "accumulate",
            "accumulation",
            "accumulation_steps",
            "gradient_accumulation",
            "gradient_accumulation_steps",
            "grad_accum",
            "accumulate_grad_batches",
            "update_freq",
        ),
        "`batch = 32 * 4` averages the gradients of 4 batches of 32 examples for one step",
    ),
    "threads": "it is an option of the command: `specc train --threads 2`",
    "num_workers": "it is an option of the command: `specc train --threads 2`",
    "dtype": "it is an option of the command: `specc train --dtype float64`",
    "device": "the only device is the CPU: remove it",
    "verbose": "it is an option of the command: `specc train --quiet`",
    "checkpoint": (
        "specc already saves the last and the best weights, every `checkpoint_seconds` within"
        " an epoch; `recompute = true` trains in less memory"
    ),
}

# Names of data sources in other tools.
SOURCE_SYNONYMS: dict[str, str] = {
    "emnist": "mnist", "fashion": "fashion_mnist", "numpy": "npz", "txt": "text",
    "json": "jsonl", "ndjson": "jsonl", "arrow": "feather", "ipc": "feather",
    "pq": "parquet", "folder": "images", "image_folder": "images", "pictures": "images",
    "cifar": "cifar10", "xlsx": "csv", "excel": "csv",
}  # fmt: skip
