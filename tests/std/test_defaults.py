"""The default of each setting of a library word: its value, and that it is used."""

from __future__ import annotations

import re

import numpy as np
import pytest

import specc
from specc.frontend.words import library
from specc.ir.show import show_graph
from specc.source import Source

KERNEL = {
    "stride": "1",
    "pad": "0",
    "kernel_width": "kernel",
    "stride_width": "stride",
    "pad_width": "pad",
    "kernel_depth": "kernel",
    "stride_depth": "stride",
    "pad_depth": "pad",
}
WINDOW = {
    "stride": "size",
    "pad": "0",
    "round": "exact",
    "size_width": "size",
    "stride_width": "stride",
    "pad_width": "pad",
    "size_depth": "size",
    "stride_depth": "stride",
    "pad_depth": "pad",
}
HE = {"init": "he", "bias": "true", "bias_init": "zeros"}
RECURRENT = {"init": "xavier", "recurrent_init": "orthogonal"}
LOOKING = {"init": "xavier", "bias_init": "zeros"}
FACTORS = {"epsilon": "1e-5", "gamma_init": "ones", "beta_init": "zeros"}
ADAM = {"lr": "0.001", "beta1": "0.9", "beta2": "0.999", "epsilon": "1e-8"}

# Those of the papers that the words' docs name, or of PyTorch where a paper names none.
DEFAULTS = {
    "adadelta": {"lr": "1", "rho": "0.95", "epsilon": "1e-6"},
    "adafactor": {
        "lr": "0.01",
        "epsilon1": "1e-30",
        "epsilon2": "0.001",
        "clip": "1",
        "decay": "0.8",
    },
    "adagrad": {"lr": "0.01", "epsilon": "1e-10"},
    "adam": ADAM,
    "adamw": {**ADAM, "weight_decay": "0.01"},
    "amsgrad": ADAM,
    "additive_attention": LOOKING,
    "attention": {"heads": "1", "causal": "false", "dropout": "0", **LOOKING},
    "avgpool": WINDOW,
    "batchnorm": {"momentum": "0.1", **FACTORS},
    "contrastive": {"margin": "1"},
    "conv": {**KERNEL, **HE, "dilation": "1", "groups": "1", "round": "exact"},
    "conv_transpose": {**KERNEL, **HE, "extra": "0"},
    "crop": {"least": "0.8"},
    "cross_entropy": {"smoothing": "0"},
    "cutout": {"size": "4"},
    "dense": HE,
    "dropout": {"rate": "0.5"},
    "elastic": {"beta": "1"},
    "elu": {"alpha": "1"},
    "embed": {"init": "normal"},
    "exponential": {"factor": "0.95"},
    "flip": {"rate": "0.5"},
    "gelu": {"form": "exact"},
    "group": {"margin": "1"},
    "groupnorm": FACTORS,
    "gru": RECURRENT,
    "hinge": {"margin": "1"},
    "huber": {"delta": "1"},
    "identity": {"scale": "1"},
    "info_nce": {"temperature": "1"},
    "instancenorm": FACTORS,
    "irnn": {"scale": "1", "std": "0.001"},
    "learned_positions": {"init": "normal(std=0.02)"},
    "layernorm": FACTORS,
    "leaky_relu": {"slope": "0.01"},
    "lstm": {"forget_bias": "1", **RECURRENT},
    "maxout": {"pieces": "2", **HE},
    "maxpool": WINDOW,
    "momentum": {"mu": "0.9"},
    "nesterov": {"mu": "0.9"},
    "mixup": {"alpha": "1"},
    "noise": {"std": "0.1"},
    "nt_xent": {"temperature": "0.5"},
    "peephole_lstm": {"forget_bias": "1", **RECURRENT},
    "plateau": {"factor": "0.1", "patience": "5"},
    "prelu": {"start": "0.25"},
    "recurrent": RECURRENT,
    "residual": {"filters": "channels", "stride": "1", "init": "he"},
    "rmsnorm": {"epsilon": "1e-5", "gamma_init": "ones"},
    "rmsprop": {"lr": "0.001", "rho": "0.9", "epsilon": "1e-8"},
    "sam": {"rho": "0.05", "mu": "0.9"},
    "rnn": {**RECURRENT, "bias_init": "zeros"},
    "rotate": {"degrees": "10"},
    "shift": {"most": "2"},
    "spatial_dropout": {"rate": "0.5"},
    "spectral_norm": {"epsilon": "1e-12"},
    "squared_hinge": {"margin": "1"},
    "stochastic_depth": {"rate": "0.1"},
    "step_decay": {"factor": "0.5", "every": "1"},
    "symmetric_beta": {"alpha": "1"},
    "transformer": {
        "heads": "1",
        "causal": "false",
        "hidden": "4 * n",
        "dropout": "0",
        "norm": "first",
        "activation": "gelu",
        **LOOKING,
    },
    "triplet": {"margin": "0.2"},
    "upsample": {"factor": "2"},
    "warmup": {"over": "1"},
    "weight_norm": {"g_init": "ones"},
    "weighted_cross_entropy": {"smoothing": "0"},
    "zoneout": {"rate": "0.1"},
}

# A use of each word. A setting replaces `{}`; a comma or a semicolon precedes it if it replaces
# `{,}` or `{;}`.
USES = {
    **{
        word: f"v -> {word}({{}})"
        for word in ("leaky_relu", "elu", "gelu", "prelu", "dropout", "layernorm", "rmsnorm")
    },
    **{
        word: f"i -> {word}({{}})"
        for word in ("instancenorm", "spatial_dropout", "stochastic_depth")
    },
    "groupnorm": "i -> groupnorm(2{,})",
    "additive_attention": "s -> additive_attention(3{,})",
    **{word: f"s -> {word}({{}})" for word in ("attention", "learned_positions", "transformer")},
    "spectral_norm": "spectral_norm(m{;}) @ v",
    "weight_norm": "weight_norm(m{;}) @ v",
    "zoneout": "zoneout(v, w{;})",
    **{
        word: f"i -> {word}({{}})"
        for word in ("crop", "cutout", "flip", "noise", "rotate", "shift")
    },
    **{word: f"i -> {word}(2{{,}})" for word in ("maxpool", "avgpool")},
    **{word: f"i -> {word}(3, kernel=3{{,}})" for word in ("conv", "conv_transpose")},
    **{word: f"v -> {word}(3{{,}})" for word in ("dense", "maxout")},
    **{
        word: f"s -> {word}(3{{,}}) -> last"
        for word in ("rnn", "irnn", "lstm", "gru", "peephole_lstm")
    },
    **{word: f"{word}(v, k{{;}})" for word in ("cross_entropy", "hinge", "squared_hinge", "group")},
    "weighted_cross_entropy": "weighted_cross_entropy(v, k, concat(1, 2, 1, 1){;})",
    "batchnorm": "i -> batchnorm({})",
    "residual": "i -> residual({})",
    "upsample": "i -> upsample({})",
    "embed": "k -> embed(3{,})",
    "elastic": "elastic(v{;})",
    "huber": "huber(v, w{;})",
    "contrastive": "contrastive(v, w, t{;})",
    "triplet": "triplet(v, w, v * w{;})",
    "info_nce": "info_nce(v, w{;})",
    "mixup": "v let one, two = mixup(v, w{;}) loss sum(one * two)",
    "nt_xent": "nt_xent(v, w{;})",
    "symmetric_beta": "symmetric_beta(v{;})",
    "identity": "v -> dense(4, init=identity({}))",
    "recurrent": "v -> dense(2, init=recurrent(2{,}))",
}
OPTIMIZERS = {
    **{
        word: f"{word}({{}})"
        for word in ("adadelta", "adafactor", "adagrad", "adam", "adamw", "amsgrad", "rmsprop")
    },
    **{word: f"{word}(lr=0.1{{,}})" for word in ("momentum", "nesterov", "sam")},
    **{
        word: f"sgd(lr={word}(0.1{{;}}))"
        for word in ("exponential", "step_decay", "warmup", "plateau")
    },
}
# The values of the names that defaults refer to, in the uses above.
GIVEN = {"size": "2", "kernel": "3", "channels": "2", "stride": "2", "pad": "0", "4 * n": "8"}


def test_each_default_is_the_one_that_is_known():
    found = {}
    for word in library.words():
        settings = {
            each.name.text: each.span.source.text[each.default.span.start : each.default.span.end]
            for each in library.lookup(word).signature.settings
            if each.default is not None
        }
        if settings:
            found[word] = settings
    assert found == DEFAULTS


def test_a_use_of_each_word_with_a_default_is_tried():
    assert {*USES, *OPTIMIZERS} == set(DEFAULTS)


def made(use: str, optimizer: str):
    text = f"""seq time = 3
    model m {{
      # allow: unused
      input v: float[4] input w: float[4] input i: float[2, 6, 6] input s: float[time, 2]
      # allow: unused
      input k: class(4) input t: bool
      param m: float[3, 4] = he
      param scale: float[] = 1
      let y = {use}
      output y
      loss sum(y) * scale + sum(m)
    }}
    train {{ optimizer {optimizer} }}"""
    return specc.compile(specc.load(Source("m.dl", text)), batch=4, threads=1)


def written(template: str, setting: str = "") -> str:
    """The use with one more setting, or without it."""
    return re.sub(r"\{([,;]?)\}", rf"\1 {setting}" if setting else "", template)


@pytest.mark.parametrize(
    ("word", "setting"), [(word, setting) for word in DEFAULTS for setting in DEFAULTS[word]]
)
def test_a_default_is_what_is_used_where_nothing_is_given(word, setting):
    default = DEFAULTS[word][setting]
    if default in GIVEN:
        default = "1" if default == "stride" and "conv" in word else GIVEN[default]
    nets = []
    for each in ("", f"{setting}={default}"):
        use = written(USES[word], each) if word in USES else "v -> dense(2)"
        optimizer = written(OPTIMIZERS[word], each) if word in OPTIMIZERS else "sgd(lr=0.1)"
        nets.append(made(use, optimizer))
    plain, other = nets
    assert show_graph(plain.graph("train")) == show_graph(other.graph("train"))
    assert list(plain.params) == list(other.params)
    for path, array in plain.params.items():
        np.testing.assert_array_equal(other.params[path], array)
