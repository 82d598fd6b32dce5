"""Tables from objects of Python: dicts, frames of other libraries, records and generators."""

from __future__ import annotations

import datetime

import numpy as np
import pytest

from specc.runtime.data.frames import table_of

VALUES = {
    "age": [31, None, 5],
    "city": ["Ulm", None, "Bern"],
    "ok": [True, False, True],
    "when": [datetime.date(2024, 1, 5), None, datetime.date(2020, 2, 3)],
    "n": [1, 2, 3],
}


def pandas(values):
    return pytest.importorskip("pandas").DataFrame(values)


def pandas_nullable(values):
    return pandas(values).convert_dtypes()


def polars(values):
    return pytest.importorskip("polars").DataFrame(values)


def polars_lazy(values):
    return polars(values).lazy()


def pyarrow(values):
    return pytest.importorskip("pyarrow").table(values)


def records(values):
    return [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)]


def batches(values):
    return ({name: each[i : i + 2] for name, each in values.items()} for i in (0, 2))


FORMS = [dict, pandas, pandas_nullable, polars, polars_lazy, pyarrow, records, batches]


@pytest.mark.parametrize("form", FORMS, ids=lambda each: each.__name__)
def test_the_same_columns_come_of_every_kind_of_table(form):
    table = table_of(form(VALUES))
    assert table.names == list(VALUES)
    raw = table.read().raw
    assert [each.kind for each in raw.values()] == ["numbers", "words", "truth", "dates", "numbers"]
    gaps = {name: each.gaps().tolist() for name, each in raw.items()}
    holes = [False, True, False]
    assert gaps == {"age": holes, "city": holes, "ok": [False] * 3, "when": holes, "n": [False] * 3}
    assert raw["age"].array[[0, 2]].tolist() == [31, 5]
    assert [raw["city"].texts()[i] for i in (0, 2)] == ["Ulm", "Bern"]
    assert raw["when"].array[0] == np.datetime64("2024-01-05")
    assert raw["n"].array.tolist() == [1, 2, 3]


def test_arrays_keep_their_shapes_and_types():
    images = np.arange(24, dtype=np.uint8).reshape(2, 3, 4)
    columns = table_of({"image": images, "label": np.array([0, 1])}).read()
    assert columns.raw["image"].array is images and columns.raw["image"].shape == (3, 4)
    assert columns.location(1, "image", 5) == "the data, row 1, column `image`, value [1, 1]"


def test_a_structured_array_is_a_table():
    array = np.array([(1, 2.5), (3, np.nan)], [("a", "i4"), ("b", "f8")])
    raw = table_of(array).read().raw
    assert raw["a"].array.tolist() == [1, 3] and raw["b"].gaps().tolist() == [False, True]


def test_a_column_may_be_read_as_texts():
    raw = table_of({"code": [7, 12, 7]}).read(["code"], texts=("code",)).raw["code"]
    assert raw.texts() == ["7", "12", "7"]


def test_categories_and_lists_of_a_frame():
    pl = pytest.importorskip("polars")
    frame = pl.DataFrame({"kind": pl.Series(["b", "a", "b"], dtype=pl.Categorical),
                          "point": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]})  # fmt: skip
    raw = table_of(frame).read().raw
    assert raw["kind"].texts() == ["b", "a", "b"] and raw["kind"].words.tolist() == ["a", "b"]
    assert raw["point"].array.tolist() == [[1, 2], [3, 4], [5, 6]]


@pytest.mark.parametrize(
    ("data", "error", "said"),
    [
        (3, TypeError, "must be a dict of columns, a frame of pandas"),
        ("a.csv", TypeError, "not str"),
        (
            {"x": [1, 2], "y": [1]},
            ValueError,
            "equal numbers of rows, but there are 2 in `x`, 1 in",
        ),
        ({"x": [1, "a"]}, TypeError, "column `x` mixes values of the types int, str"),
        (
            {"x": [[1, 2], ["a"]]},
            ValueError,
            "the rows of column `x` differ in length, and are not",
        ),
        ({3: [1]}, TypeError, "the name of a column must be a string, not 3"),
        ({"x": np.array([1j])}, TypeError, "the unsupported type complex128"),
        (np.zeros((2, 2)), TypeError, "an array without names"),
        ({}, ValueError, "has no columns"),
        ({"x": np.zeros((0, 3)), "y": []}, ValueError, "the data has no rows"),
        ({"x": 3}, ValueError, "column `x` is a single value"),
    ],
)
def test_anything_else_is_refused(data, error, said):
    with pytest.raises(error) as caught:
        table_of(data).read()
    assert said in str(caught.value)


def test_batches_must_have_the_same_columns():
    with pytest.raises(ValueError, match="batch 1 of the data has other columns: `y`"):
        table_of(iter([{"x": [1]}, {"y": [2]}]))
