"""Sources of data: what they give, and what they say when a file does not fit."""

from __future__ import annotations

import gzip
import struct
from pathlib import Path

import numpy as np
import pytest
from sources import X, Y, columns, recipe, refusal, write_csv

from specc.recipe import DataCall, Port, Recipe
from specc.runtime.data import load, open_sizes
from specc.runtime.data.bind import fits
from specc.runtime.errors import DataError
from specc.source import Source, Span

IMAGE = Port("image", "input", "float", (1, 2, 3))
LABEL = Port("label", "target", "class", (), 4)


def idx_bytes(array) -> bytes:
    codes = {"uint8": 8, "int8": 9, "int16": 11, "int32": 12, "float32": 13, "float64": 14}
    header = struct.pack(
        f">BBBB{array.ndim}I", 0, 0, codes[array.dtype.name], array.ndim, *array.shape
    )
    return header + array.astype(array.dtype.newbyteorder(">")).tobytes()


# Shapes


@pytest.mark.parametrize(
    ("shape", "wanted", "is_image", "expected"),
    [
        ((8, 8), (8, 8), True, True),
        ((8, 8), (1, 8, 8), True, True),
        ((1, 8, 8, 1), (8, 8), False, True),
        ((8, 8), (64,), True, True),
        ((8, 8), (64,), False, False),
        ((8, 8), (4, 16), True, False),
        ((64,), (8, 8), True, False),
        ((), (1,), False, True),
        ((2, 3), (3, 2), True, False),
    ],
)
def test_axes_of_length_one_may_differ_and_only_images_are_flattened(
    shape, wanted, is_image, expected
):
    assert fits(shape, wanted, is_image) == expected


# Digits


@pytest.mark.parametrize("shape", [(1, 8, 8), (8, 8), (64,)])
def test_digits_fit_an_image_or_its_pixels(tmp_path, shape):
    ports = (Port("picture", "input", "float", shape), Port("digit", "target", "class", (), 10))
    found = columns(tmp_path, ports, "digits")
    assert found["picture"].array.shape == (1797, *shape)
    assert found["picture"].array.dtype == np.uint8
    assert found["picture"].scale == 1 / 16
    assert found["digit"].array[:5].tolist() == [0, 1, 2, 3, 4]
    assert np.bincount(found["digit"].array).tolist() == [
        178,
        182,
        177,
        183,
        181,
        182,
        181,
        179,
        174,
        180,
    ]
    assert found["picture"].values(np.array([0])).sum() == 294 / 16


def test_digits_do_not_fit_other_shapes(tmp_path):
    ports = (Port("image", "input", "float", (28, 28)), LABEL)
    said = refusal(tmp_path, ports, "digits")
    assert "shape [8, 8], but `image` is float[28, 28]" in said
    # both errors are reported at once
    assert "out of range" in said and "class(4) means 0 .. 3; here are 0 .. 9" in said


def test_a_split_is_drawn_from_the_seed(tmp_path):
    ports = (Port("image", "input", "float", (64,)), Port("label", "target", "class", (), 10))
    first, again, other = (
        load(recipe("digits", validate=0.2, seed=seed), ports, tmp_path) for seed in (0, 0, 1)
    )
    assert (len(first.training), len(first.validation)) == (1438, 359)
    both = np.concatenate([first.training.rows, first.validation.rows])
    assert sorted(both) == list(range(1797))
    assert (first.validation.rows == again.validation.rows).all()
    assert (first.validation.rows != other.validation.rows).any()
    assert first.training.columns is first.validation.columns


def test_a_split_leaves_no_part_empty(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.zeros((2, 2)), y=np.zeros(2, int))
    assert "empty" in refusal(tmp_path, (X, Y), "npz", "a.npz", validate=0.1)


# IDX


@pytest.fixture
def idx_folder(tmp_path):
    images = np.arange(5 * 6, dtype=np.uint8).reshape(5, 2, 3)
    labels = np.array([0, 1, 2, 3, 0], np.uint8)
    (tmp_path / "images").write_bytes(idx_bytes(images))
    (tmp_path / "images.gz").write_bytes(gzip.compress(idx_bytes(images)))
    (tmp_path / "labels").write_bytes(idx_bytes(labels))
    return tmp_path


@pytest.mark.parametrize("name", ["images", "images.gz"])
def test_idx_files_are_plain_or_compressed(idx_folder, name):
    found = columns(idx_folder, (IMAGE, LABEL), "idx", name, "labels", scale=1 / 255, shift=-0.5)
    image = found["image"]
    assert (image.array == np.arange(30).reshape(5, 1, 2, 3)).all()
    assert image.array.dtype == np.uint8 and image.array.flags.writeable
    assert (image.scale, image.shift) == (1 / 255, -0.5)
    assert image.values(np.array([0]))[0, 0, 0, 1] == 1 / 255 - 0.5
    assert found["label"].array.tolist() == [0, 1, 2, 3, 0]
    assert (found["label"].scale, found["label"].shift) == (1, 0)


def test_idx_labels_may_be_left_out(idx_folder):
    assert list(columns(idx_folder, (IMAGE,), "idx", "images")) == ["image"]
    assert "nothing for `label: class(4)`" in refusal(idx_folder, (IMAGE, LABEL), "idx", "images")


def test_idx_floats_are_in_the_order_of_the_machine(idx_folder):
    values = np.array([[1.5, -2.25]], np.float32)
    (idx_folder / "floats").write_bytes(idx_bytes(values))
    array = columns(idx_folder, (X,), "idx", "floats")["x"].array
    assert array.dtype == np.dtype("=f4") and array.tolist() == [[1.5, -2.25]]


@pytest.mark.parametrize("dtype", ["u1", "i1", ">i2", ">i4", ">f4", ">f8"])
def test_idx_files_of_every_type_hold_the_numbers_that_were_written(idx_folder, dtype):
    values = np.array([[1, 2], [100, 77], [3, 127]]).astype(dtype)
    if values.dtype.itemsize > 1:
        values[0] = 258, 1027
    (idx_folder / "values").write_bytes(idx_bytes(values))
    assert columns(idx_folder, (X,), "idx", "values")["x"].array.tolist() == values.tolist()


def test_an_idx_file_has_a_bound_on_its_axes(idx_folder):
    for rank in (33, 64, 65, 255):
        header = bytes([0, 0, 8, rank]) + b"\0\0\0\1" * rank
        (idx_folder / "deep").write_bytes(header + b"\7")
        assert f"has {rank} axes in its header" in refusal(idx_folder, (IMAGE,), "idx", "deep")


def test_two_ports_for_the_images_need_names(idx_folder):
    ports = (Port("a", "input", "float", (2, 3)), Port("b", "target", "float", (6,)))
    assert "could be any of `a`, `b`" in refusal(idx_folder, ports, "idx", "images")
    ports = (Port("image", "input", "float", (2, 3)), LABEL)
    assert set(columns(idx_folder, ports, "idx", "images", "labels")) == {"image", "label"}


def test_an_idx_file_that_is_cut_short_or_damaged_is_refused(idx_folder):
    whole = (idx_folder / "images.gz").read_bytes()
    (idx_folder / "short.gz").write_bytes(whole[:-12])
    assert "`" in refusal(idx_folder, (IMAGE,), "idx", "short.gz")
    assert "is cut short" in refusal(idx_folder, (IMAGE,), "idx", "short.gz")
    (idx_folder / "bad.gz").write_bytes(whole[:-8] + b"\0" * 8)
    assert "is damaged" in refusal(idx_folder, (IMAGE,), "idx", "bad.gz")
    plain = (idx_folder / "images").read_bytes()
    (idx_folder / "short").write_bytes(plain[:-1])
    said = refusal(idx_folder, (IMAGE,), "idx", "short")
    assert "it has 29 bytes of values, but its header [5, 2, 3] requires 30" in said
    (idx_folder / "long").write_bytes(plain + b"\0")
    assert "is too long" in refusal(idx_folder, (IMAGE,), "idx", "long")
    (idx_folder / "header").write_bytes(plain[:7])
    assert "within its header" in refusal(idx_folder, (IMAGE,), "idx", "header")


@pytest.mark.parametrize("content", [b"", b"\x89PNG\r\n", b"\0\0\x07\x01\0\0\0\0", b"\0\0\x08\0"])
def test_a_file_of_another_format_is_no_idx_file(idx_folder, content):
    (idx_folder / "other").write_bytes(content)
    assert "is not an IDX file" in refusal(idx_folder, (IMAGE,), "idx", "other")


def test_idx_files_of_unequal_length_are_refused(idx_folder):
    (idx_folder / "labels2").write_bytes(idx_bytes(np.zeros(4, np.uint8)))
    said = refusal(idx_folder, (IMAGE, LABEL), "idx", "images", "labels2")
    assert "`images` has 5 examples, but `labels2` has 4" in said


def test_a_label_out_of_range_is_named_with_its_row(idx_folder):
    (idx_folder / "labels").write_bytes(idx_bytes(np.array([0, 1, 4, 3, 9], np.uint8)))
    said = refusal(idx_folder, (IMAGE, LABEL), "idx", "images", "labels")
    assert "`labels`, row 3: `4` is out of range (the first of 2 such values)" in said
    (idx_folder / "labels").write_bytes(idx_bytes(np.array([1, 2, 4, 3, 4], np.uint8)))
    assert "subtract 1" in refusal(idx_folder, (IMAGE, LABEL), "idx", "images", "labels")


def test_a_value_that_is_not_finite_is_named_with_its_place(idx_folder):
    values = np.ones((3, 2, 3), np.float32)
    values[1, 0, 2] = np.nan
    (idx_folder / "nan").write_bytes(idx_bytes(values))
    said = refusal(idx_folder, (IMAGE,), "idx", "nan")
    assert "`nan`, image 2, value [1, 3]: `nan` is not a finite number" in said


def test_an_empty_file_holds_no_examples(idx_folder):
    (idx_folder / "none").write_bytes(idx_bytes(np.zeros((0, 2, 3), np.uint8)))
    assert "has no examples" in refusal(idx_folder, (IMAGE,), "idx", "none")


# Calls


def test_a_missing_file_is_named_with_a_near_one(idx_folder):
    said = refusal(idx_folder, (IMAGE,), "idx", "imags")
    assert f"there is no file `{idx_folder / 'imags'}`" in said
    assert "did you mean `images`?" in said and "--data DIR" in said
    (idx_folder / "folder").mkdir()
    assert "is a folder" in refusal(idx_folder, (IMAGE,), "idx", "folder")


def test_all_sources_are_checked_before_anything_is_said(idx_folder):
    validate = DataCall("idx", ("nowhere",), {}, Span(Source("a.dl", "x"), 0, 1))
    said = refusal(idx_folder, (IMAGE,), "idx", "imags", validate=validate)
    assert "imags" in said and "nowhere" in said


def test_unknown_settings_and_sources_are_refused(idx_folder):
    assert "did you mean `scale`?" in refusal(idx_folder, (IMAGE,), "idx", "images", scal=1)
    assert "is a number" in refusal(idx_folder, (IMAGE,), "idx", "images", scale="1")
    assert "did you mean `digits`?" in refusal(idx_folder, (IMAGE,), "digit")
    assert "takes the file of the images" in refusal(idx_folder, (IMAGE,), "idx")
    assert "in quotes" in refusal(idx_folder, (IMAGE,), "idx", 3)


def test_a_recipe_without_data_is_refused(tmp_path):
    with pytest.raises(DataError, match="names no data"):
        load(Recipe(), (X,), tmp_path)


# NPZ


def test_npz_arrays_are_bound_by_name(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.array([0, 1, 2]), other=np.zeros(9))
    found = columns(tmp_path, (X, Y), "npz", "a.npz", scale=2)
    assert found["x"].values(np.arange(3)).tolist() == [[2, 2]] * 3
    assert found["y"].array.dtype == np.int32 and found["y"].array.tolist() == [0, 1, 2]


def test_a_setting_names_the_array_of_a_port(tmp_path):
    np.savez(tmp_path / "a.npz", x_train=np.ones((3, 2)), y=np.array([0, 1, 2]))
    assert "x" in columns(tmp_path, (X, Y), "npz", "a.npz", x="x_train")
    said = refusal(tmp_path, (X, Y), "npz", "a.npz", x="xtrain")
    assert "did you mean `x_train`?" in said and "it has `x_train`, `y`" in said


@pytest.mark.parametrize(
    ("dtype", "kept"),
    [
        ("uint8", "uint8"),
        ("int8", "float32"),
        ("int16", "float32"),
        ("int64", "float64"),
        ("float16", "float32"),
        ("float32", "float32"),
        (">f8", "float64"),
        ("bool", "uint8"),
    ],
)
def test_floats_keep_their_values_in_a_type_that_kernels_read(tmp_path, dtype, kept):
    values = np.array([[0, 1], [1, 0]]).astype(dtype)
    np.savez(tmp_path / "a.npz", x=np.asfortranarray(values))
    array = columns(tmp_path, (X,), "npz", "a.npz")["x"].array
    assert array.dtype == np.dtype(kept) and array.flags.c_contiguous and array.dtype.isnative
    assert (array == values).all()


def test_bool_ports_take_zeros_and_ones(tmp_path):
    port = Port("same", "target", "bool", ())
    np.savez(tmp_path / "a.npz", same=np.array([0, 1, 1]))
    assert columns(tmp_path, (port,), "npz", "a.npz")["same"].array.tolist() == [False, True, True]
    np.savez(tmp_path / "a.npz", same=np.array([0, 1, 2]))
    assert "array `same`, row 3: `2` is neither" in refusal(tmp_path, (port,), "npz", "a.npz")


def test_npz_mistakes_are_told_with_their_remedy(tmp_path):
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.array([0.0, 1, 2]))
    assert "y.astype(numpy.int32)" in refusal(tmp_path, (X, Y), "npz", "a.npz")
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.array([0, 1]))
    assert "has 3 examples, but" in refusal(tmp_path, (X, Y), "npz", "a.npz")
    np.savez(tmp_path / "a.npz", x=np.array(["a"], object), y=np.array([0]))
    assert "Python objects" in refusal(tmp_path, (X, Y), "npz", "a.npz")
    np.savez(tmp_path / "a.npz", x=np.float64(1), y=np.array([0]))
    assert "single number" in refusal(tmp_path, (X, Y), "npz", "a.npz")
    (tmp_path / "a.npz").write_bytes(b"not an archive")
    assert "cannot read " in refusal(tmp_path, (X, Y), "npz", "a.npz")
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), y=np.array([0, 1, 2]))
    whole = (tmp_path / "a.npz").read_bytes()
    for cut in range(0, len(whole), 40):
        (tmp_path / "a.npz").write_bytes(whole[:cut])
        refusal(tmp_path, (X, Y), "npz", "a.npz")


# Sizes


def test_open_sizes_follow_from_the_data(tmp_path):
    class Open(str):
        """A size that has a name and no number."""

    ports = (Port("x", "input", "float", (Open("n"),)), Port("y", "target", "class", (), Open("k")))
    np.savez(tmp_path / "a.npz", x=np.ones((3, 5)), y=np.array([0, 1, 6]))
    assert open_sizes(recipe("npz", "a.npz"), ports, tmp_path) == {"n": 5, "k": 7}
    write_csv(tmp_path, "x_1,x_2,x_3,y\n1,2,3,a\n1,2,3,b\n")
    assert open_sizes(recipe("csv", "a.csv"), ports, tmp_path) == {"n": 3, "k": 2}
    assert open_sizes(recipe("digits"), ports, tmp_path) == {"n": 64, "k": 10}
    ports = (ports[0], Port("y", "target", "class", (), Open("n")))
    with pytest.raises(DataError, match="`n` is 3 elsewhere, but 2"):
        open_sizes(recipe("csv", "a.csv"), ports, tmp_path)


# Real files

MNIST = Path(__file__).parents[3] / "shared" / "data" / "mnist"


@pytest.mark.data
@pytest.mark.skipif(not MNIST.is_dir(), reason="the MNIST files are not there")
def test_mnist_is_read():
    ports = (Port("image", "input", "float", (1, 28, 28)), Port("label", "target", "class", (), 10))
    found = columns(MNIST, ports, "idx", "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz")
    assert found["image"].array.shape == (10000, 1, 28, 28)
    assert found["label"].array[:5].tolist() == [7, 2, 1, 0, 4]


def test_images_with_channels_last_and_vectors_for_classes_are_told_with_their_remedy(tmp_path):
    image = Port("image", "input", "float", (3, 4, 5))
    rows = np.zeros((6, 4, 5, 3), np.uint8)
    np.savez(tmp_path / "a.npz", image=rows, label=np.eye(4)[[0, 1, 2, 3, 0, 1]])
    text = refusal(tmp_path, (image, LABEL), "npz", "a.npz")
    assert "the channels are the first axis: save it as `x.transpose(0, 3, 1, 2)`" in text
    assert "save class indices instead of one-hot vectors: `y.argmax(axis=-1)`" in text
    rows = rows.transpose(0, 3, 1, 2)
    np.savez(tmp_path / "a.npz", image=rows, label=np.eye(4)[[0, 1, 2, 3, 0, 1]].argmax(axis=-1))
    assert columns(tmp_path, (image, LABEL), "npz", "a.npz")["label"].array.tolist() == [
        0,
        1,
        2,
        3,
        0,
        1,
    ]


@pytest.mark.parametrize(
    "name", ["level", "scale", "shift", "missing", "separator", "columns", "limit", "unknown"]
)
def test_a_port_may_be_called_like_a_setting_of_the_source(tmp_path, name):
    port = Port(name, "target", "class", (), 3)
    np.savez(tmp_path / "a.npz", x=np.ones((3, 2)), **{name: np.array([0, 1, 2])})
    assert columns(tmp_path, (X, port), "npz", "a.npz")[name].array.tolist() == [0, 1, 2]
    write_csv(tmp_path, f"x_1,x_2,{name}\n1,2,0\n3,4,1\n5,6,2\n")
    found = columns(tmp_path, (X, port), "csv", "a.csv")
    assert found[name].array.tolist() == [0, 1, 2] and found["x"].array.shape == (3, 2)
    np.savez(tmp_path / "b.npz", x=np.ones((3, 2)))
    assert f"has no array `{name}`" in refusal(tmp_path, (X, port), "npz", "b.npz")
