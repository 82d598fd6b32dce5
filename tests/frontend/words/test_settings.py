"""Settings: the JSON Schema that follows from a declaration, and what it refuses."""

from __future__ import annotations

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from specc.frontend.primitives import PRIMITIVES
from specc.frontend.words import library
from specc.frontend.words.settings import KINDS, schema, violations
from specc.frontend.words.signatures import signature_of

WORDS = [*library.words(), *PRIMITIVES]


def definition(name):
    return library.lookup(name) or PRIMITIVES[name]


@pytest.mark.parametrize("name", WORDS)
def test_every_word_has_a_doc_and_a_valid_schema(name):
    word = definition(name)
    assert word.doc and word.doc.strip()
    rule = schema(signature_of(word).settings, name)
    jsonschema.Draft202012Validator.check_schema(rule)
    for setting in signature_of(word).settings:
        assert setting.kind is None or setting.kind in KINDS
    assert str(signature_of(word)).startswith("(")


def test_no_word_is_both_formula_and_primitive():
    assert not set(library.words()) & set(PRIMITIVES)


def test_the_schema_of_a_convolution():
    assert schema(signature_of(definition("conv")).settings, "conv") == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "conv",
        "type": "object",
        "properties": {
            "filters": {"type": "integer", "exclusiveMinimum": 0},
            "kernel": {"type": "integer", "exclusiveMinimum": 0},
            "stride": {"type": "integer", "exclusiveMinimum": 0},
            "pad": {"type": "integer", "minimum": 0},
            "dilation": {"type": "integer", "exclusiveMinimum": 0},
            "groups": {"type": "integer", "exclusiveMinimum": 0},
            "round": {"enum": ["exact", "floor"]},
            "init": {"type": ["string", "number"]},
            "kernel_width": {"type": "integer", "exclusiveMinimum": 0},
            "stride_width": {"type": "integer", "exclusiveMinimum": 0},
            "pad_width": {"type": "integer", "minimum": 0},
            "bias": {"type": "boolean"},
            "bias_init": {"type": ["string", "number"]},
            "kernel_depth": {"type": "integer", "exclusiveMinimum": 0},
            "stride_depth": {"type": "integer", "exclusiveMinimum": 0},
            "pad_depth": {"type": "integer", "minimum": 0},
        },
        "required": ["filters", "kernel"],
        "additionalProperties": False,
    }


@pytest.mark.parametrize(
    ("name", "values", "message"),
    [
        ("conv", {"filters": 0}, "`filters` must be > 0, not 0"),
        ("conv", {"filters": 5.0}, "`filters` must be an integer, not 5.0"),
        ("conv", {"filters": True}, "`filters` must be an integer, not true"),
        ("conv", {"round": "ceil"}, "`round` must be `exact` or `floor`, not `ceil`"),
        ("dense", {"init": True}, "`init` must be a word or a number, not true"),
        ("momentum", {"mu": 1.0}, "`mu` must be < 1, not 1.0"),
        ("leaky_relu", {"slope": "a"}, '`slope` must be a number, not "a"'),
    ],
)
def test_a_value_that_the_schema_refuses_is_told_in_words(name, values, message):
    settings = signature_of(definition(name)).settings
    assert [each.message for each in violations(settings, values)] == [message]


def test_good_values_pass():
    settings = signature_of(definition("conv")).settings
    values = {"filters": 6, "kernel": 5, "pad": 0, "round": "floor", "init": "he"}
    assert violations(settings, values) == []


@given(
    rule=st.fixed_dictionaries(
        {},
        optional={
            "type": st.sampled_from(["integer", "number", "boolean", "string"]),
            "enum": st.lists(st.sampled_from(["a", "b", "exact"]), min_size=1),
            **{
                key: st.integers(-3, 3)
                for key in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum")
            },
        },
    ),
    value=st.one_of(
        st.integers(-4, 4),
        st.floats(allow_nan=True),
        st.booleans(),
        st.sampled_from(["a", "exact", "z"]),
    ),
)
def test_what_is_plainly_valid_is_valid_for_jsonschema_too(rule, value):
    from specc.frontend.words.settings import _is_plainly_valid, _validator_class

    if _is_plainly_valid(rule, value):
        assert _validator_class()(rule).is_valid(value)
