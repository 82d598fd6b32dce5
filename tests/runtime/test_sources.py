"""Further sources: tab-separated and JSON lines, parquet, feather, npy, cifar10 and pictures."""

from __future__ import annotations

import gzip
import io
import json
import tarfile
import zipfile

import numpy as np
import pytest
from sources import X, Y, columns, recipe, refusal, write_csv

from specc.recipe import DataCall, Port, Recipe
from specc.runtime.data import load, open_sizes
from specc.runtime.data.sources import delimited
from specc.runtime.errors import DataError

AGE = Port("age", "input", "float", ())
CITY = Port("city", "target", "class", (), 2)
ROWS = [{"age": 31, "city": "Ulm"}, {"age": 4.5, "city": "Bern"}]


def check_rows(found):
    assert found["age"].array.tolist() == [31, 4.5] and found["city"].array.tolist() == [1, 0]


# Tables


def test_a_table_may_be_separated_by_tabs(tmp_path):
    write_csv(tmp_path, "age\tcity, land\tcity\n31\ta, b\tUlm\n4.5\tc\tBern\n", "a.tsv")
    check_rows(columns(tmp_path, (AGE, CITY), "tsv", "a.tsv"))


def test_json_lines(tmp_path):
    text = "\n\n".join(json.dumps(row) for row in ROWS)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(text.encode()))
    check_rows(columns(tmp_path, (AGE, CITY), "jsonl", "a.jsonl.gz"))
    text = '{"x": [1, 2], "y": 0}\n{"x": [3, 4], "y": 2, "z": null}\n'
    write_csv(tmp_path, text, "b.jsonl")
    assert columns(tmp_path, (X, Y), "jsonl", "b.jsonl")["x"].array.tolist() == [[1, 2], [3, 4]]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('{"age": 1}\n{"age": }\n', "line 2: this is not JSON"),
        ("[1]\n", "line 1: this is not an object, but list"),
        ('{"age": {"a": 1}, "city": "a"}\n', "line 1, column `age`: an input cannot be dict"),
        (
            '{"age": 1, "city": "a"}\n\n{"city": "b"}\n',
            "line 3, column `age`: the value is missing",
        ),
        ("", "has no examples"),
    ],
)
def test_what_is_wrong_with_json_lines_is_told_at_its_line(tmp_path, text, said):
    write_csv(tmp_path, text, "a.jsonl")
    assert said in refusal(tmp_path, (AGE, CITY), "jsonl", "a.jsonl")


@pytest.mark.parametrize("word", ["parquet", "feather"])
def test_tables_with_types(tmp_path, word):
    pa = pytest.importorskip("pyarrow")
    from pyarrow import feather, parquet

    write = {"parquet": parquet.write_table, "feather": feather.write_feather}[word]
    write(pa.Table.from_pylist(ROWS), tmp_path / "a")
    check_rows(columns(tmp_path, (AGE, CITY), word, "a"))
    write(pa.Table.from_pylist([*ROWS, {"age": None, "city": "Ulm"}]), tmp_path / "a")
    said = refusal(tmp_path, (AGE, CITY), word, "a")
    assert "`a`, row 3, column `age`: the value is missing" in said
    assert "no column `y`" in refusal(tmp_path, (Y,), word, "a")
    long = pa.table({"x": np.arange(20_000.0), "age": np.arange(20_000.0)})
    write(long, tmp_path / "b")
    part = load(recipe(word, "b"), (AGE,), tmp_path, limit=2**14)
    assert part.partial and len(part.training) < 20_000
    (tmp_path / "c").write_bytes(b"no table")
    assert f"cannot read `{tmp_path / 'c'}` as {word}" in refusal(tmp_path, (AGE,), word, "c")


def test_a_zip_of_one_file_is_unpacked(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("folder/a.csv", "age,city\n31,Ulm\n4.5,Bern\n")
    check_rows(columns(tmp_path, (AGE, CITY), "csv", "a.zip"))
    with zipfile.ZipFile(tmp_path / "b.zip", "w") as archive:
        archive.writestr("a.csv", "age")
        archive.writestr("b.csv", "age")
    said = refusal(tmp_path, (AGE, CITY), "csv", "b.zip")
    assert (
        "has 2 files, but specc reads archives of one file" in said and "`a.csv`, `b.csv`" in said
    )


def test_addresses_are_refused_with_a_remedy(tmp_path):
    said = refusal(tmp_path, (AGE,), "csv", "https://example.org/a.csv")
    assert "`csv` reads files, not addresses" in said and "download the file first" in said


# Large tables


@pytest.mark.parametrize("ending", ["", ".gz"])
def test_large_tables_are_read_as_small_ones_are(tmp_path, monkeypatch, ending):
    pytest.importorskip("pyarrow")
    rng = np.random.default_rng(1)
    words = ["a", " b", "été", "c;d", '"q"', "", "NA", "x\ny", "2024-01-31", "true"]
    lines = [
        f"{rng.integers(-9, 9)},{rng.normal():.5g},{'' if rng.random() < 0.1 else rng.random()},"
        + '"'
        + str(rng.choice(words)).replace('"', '""')
        + f'",{rng.integers(3)},{rng.choice(["true", "false"])},{rng.choice(["1", "x"])}'
        for _ in range(3000)
    ]
    content = ("i,f,gap,word,y,ok,mix\n" + "\n".join(lines) + "\n").encode()
    path = tmp_path / f"a.csv{ending}"
    path.write_bytes(gzip.compress(content) if ending else content)
    ports = (Port("y", "target", "class", (), 3),)
    raws = []
    for least in (2**40, 0):
        monkeypatch.setattr("specc.runtime.data.sources.csv.LARGE", least)
        request = request_for(path, ports)
        raws.append(request.read(texts={"mix"}).raw)
    slow, fast = raws
    for name, own in slow.items():
        other = fast[name]
        assert own.kind == other.kind and own.gaps().tolist() == other.gaps().tolist(), name
        if own.kind == "words":
            assert own.texts() == other.texts() and own.words.tolist() == other.words.tolist()
        else:
            assert own.array.dtype == other.array.dtype
            assert np.array_equal(own.array, other.array, equal_nan=own.array.dtype.kind == "f")


def request_for(path, ports):
    from specc.runtime.data.readers import request_of, table_of_source

    return table_of_source(request_of(DataCall("csv", (path.name,)), ports, path.parent))


@pytest.mark.parametrize("block", [97, 1000, 2**20])
def test_line_breaks_within_quotes_are_no_ends_of_rows(tmp_path, monkeypatch, block):
    pytest.importorskip("pyarrow")
    monkeypatch.setattr("specc.runtime.data.sources.csv.LARGE", 0)
    monkeypatch.setattr(delimited, "BLOCK", block)
    rng = np.random.default_rng(block)
    for share in (0, 0.05, 1):
        words = ['"a\nb"' if rng.random() < share else '"c""d"' for _ in range(400)]
        lines = [f"{i},{word}" for i, word in enumerate(words)]
        write_csv(tmp_path, "i,word\n" + "\n".join(lines) + "\n")
        raw = request_for(tmp_path / "a.csv", (Port("i", "input", "float", ()),)).read().raw
        assert raw["i"].array.tolist() == list(range(400))
        plain = [each[1:-1].replace('""', '"') for each in words]
        assert raw["word"].texts() == plain


def test_a_bad_cell_of_a_large_table_is_told_at_its_line(tmp_path, monkeypatch):
    monkeypatch.setattr("specc.runtime.data.sources.csv.LARGE", 0)
    text = 'x_1,x_2,y\n1,2,0\n\n"3",4,1\n5,six,2\n'
    write_csv(tmp_path, text)
    assert "line 5, column `x_2`: `six` is not a number" in refusal(
        tmp_path, (X, Y), "csv", "a.csv"
    )
    write_csv(tmp_path, text.replace("six", "6,7"))
    assert "line 5: there are 4 cells" in refusal(tmp_path, (X, Y), "csv", "a.csv")
    assert delimited.read(tmp_path / "a.csv", ",", ["x_1", "x_2", "y"], ["x_1"], ()) is None


# Arrays


def test_single_arrays_are_columns_called_like_their_files(tmp_path):
    np.save(tmp_path / "x.npy", np.array([[1, 2], [3, 4]], np.float32))
    np.save(tmp_path / "y.npy", np.array([2, 0]))
    found = columns(tmp_path, (X, Y), "npy", "x.npy", "y.npy")
    assert found["x"].array.tolist() == [[1, 2], [3, 4]] and found["y"].array.tolist() == [2, 0]
    assert isinstance(found["x"].array.base, np.memmap) or isinstance(found["x"].array, np.memmap)
    found = columns(tmp_path, (replace_name(X, "a"), Y), "npy", "x.npy", "y.npy", a="x")
    assert found["a"].array.tolist() == [[1, 2], [3, 4]]
    np.save(tmp_path / "y.npy", np.array([2]))
    said = refusal(tmp_path, (X, Y), "npy", "x.npy", "y.npy")
    assert "has 2 examples, but" in said and "has 1" in said


def replace_name(port, name):
    from dataclasses import replace

    return replace(port, name=name)


IMAGE = Port("image", "input", "float", (3, 32, 32))
LABEL = Port("label", "target", "class", (), 10)


def cifar(count, seed=0):
    rng = np.random.default_rng(seed)
    records = rng.integers(0, 256, (count, 3073), dtype=np.uint8)
    records[:, 0] = rng.integers(0, 10, count)
    return records


def test_the_binary_form_of_cifar10(tmp_path):
    one, two = cifar(5), cifar(3, 1)
    (tmp_path / "1.bin").write_bytes(one.tobytes())
    (tmp_path / "2.bin").write_bytes(two.tobytes())
    found = columns(tmp_path, (IMAGE, LABEL), "cifar10", "1.bin", "2.bin")
    both = np.concatenate([one, two])
    assert (found["image"].array == both[:, 1:].reshape(-1, 3, 32, 32)).all()
    assert found["image"].scale == 1 / 255
    assert found["label"].array.tolist() == both[:, 0].tolist()
    with tarfile.open(tmp_path / "cifar.tar.gz", "w:gz") as archive:
        for name, content in (("data_batch_2.bin", two), ("data_batch_1.bin", one),
                              ("test_batch.bin", two)):  # fmt: skip
            member = tarfile.TarInfo(f"cifar-10-batches-bin/{name}")
            member.size = content.nbytes
            archive.addfile(member, io.BytesIO(content.tobytes()))
    found = columns(tmp_path, (IMAGE, LABEL), "cifar10", "cifar.tar.gz")
    assert found["label"].array.tolist() == both[:, 0].tolist()
    found = columns(tmp_path, (IMAGE, LABEL), "cifar10", "cifar.tar.gz", part="test")
    assert found["label"].array.tolist() == two[:, 0].tolist()


def test_other_files_are_not_cifar10(tmp_path):
    (tmp_path / "1.bin").write_bytes(b"abc")
    assert "has 3 bytes, not a multiple of 3,073" in refusal(
        tmp_path, (IMAGE, LABEL), "cifar10", "1.bin"
    )
    wrong = cifar(2)
    wrong[1, 0] = 11
    (tmp_path / "1.bin").write_bytes(wrong.tobytes())
    said = refusal(tmp_path, (IMAGE, LABEL), "cifar10", "1.bin")
    assert "record 2 has the label 11" in said


# Pictures


@pytest.fixture
def pets(tmp_path, monkeypatch):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    folder = tmp_path / "pets"
    for kind, shade in (("cat", 10), ("dog", 200)):
        (folder / kind).mkdir(parents=True)
        for number, size in enumerate(((8, 8), (16, 8), (9, 20))):
            picture = image.new("RGB", size, (shade, shade + number, 0))
            picture.save(folder / kind / f"{number}.png")
    (folder / "README.txt").write_text("no picture")
    return folder


def test_a_folder_of_pictures_for_each_class(pets):
    ports = (Port("image", "input", "float", (3, 8, 8)), Port("kind", "target", "class", (), 2))
    data = load(recipe("images", "pets"), ports, pets.parent)
    image = data.training.columns["image"]
    assert image.array.shape == (6, 3, 8, 8) and image.array.dtype == np.uint8
    assert isinstance(image.array.base, np.memmap) or isinstance(image.array, np.memmap)
    assert image.scale == 1 / 255
    assert (image.array[1] == np.array([10, 11, 0])[:, None, None]).all()
    assert data.vocabularies["kind"] == ("cat", "dog")
    assert data.training.columns["kind"].array.tolist() == [0, 0, 0, 1, 1, 1]
    (cached,) = (pets.parent / "cache" / "images").iterdir()
    before = cached.stat().st_mtime_ns
    load(recipe("images", "pets"), ports, pets.parent)
    assert cached.stat().st_mtime_ns == before


def test_folders_may_be_called_like_numbers(pets):
    (pets / "cat").rename(pets / "7")
    (pets / "dog").rename(pets / "10")
    ports = (Port("image", "input", "float", (3, 8, 8)), Port("kind", "target", "class", (), 2))
    data = load(recipe("images", "pets"), ports, pets.parent)
    assert data.vocabularies["kind"] == ("10", "7")
    assert data.training.columns["image"].array[0, 0, 0, 0] == 200


def test_pictures_are_scaled_cut_and_made_grey(pets):
    from PIL import Image

    picture = np.zeros((10, 20), np.uint8)
    picture[:, 5:15] = 255  # the middle half
    Image.fromarray(picture).save(pets / "cat" / "0.png")
    ports = (Port("image", "input", "float", (1, 5, 5)), Port("kind", "target", "class", (), 2))
    found = columns(pets.parent, ports, "images", "pets")["image"].array
    assert found.shape == (6, 1, 5, 5) and (found[0, 0, :, 1:4] == 255).all()
    sized = (Port("image", "input", "float", ("c", "h", "w")),)
    sizes = open_sizes(recipe("images", "pets", size=6), sized, pets.parent)
    assert sizes == {"c": 1, "h": 6, "w": 6}  # the first picture is grey


def test_a_table_with_the_paths_of_pictures(pets):
    text = "file,age,kind\ncat/0.png,3,cat\ndog/1.png,4,dog\n"
    write_csv(pets, text, "pets.csv")
    ports = (
        Port("picture", "input", "float", (3, 8, 8)),
        AGE,
        Port("kind", "target", "class", (), 2),
    )
    found = columns(pets, ports, "images", "pets.csv", path="file")
    assert found["picture"].array[1, :, 0, 0].tolist() == [200, 201, 0]
    assert found["age"].array.tolist() == [3, 4] and found["kind"].array.tolist() == [0, 1]
    assert "no column `path` with the paths" in refusal(pets, ports, "images", "pets.csv")
    write_csv(pets, text.replace("cat/0", "cat/7"), "pets.csv")
    said = refusal(pets, ports, "images", "pets.csv", path="file")
    assert "line 2, column `file`: there is no file" in said


def test_pictures_that_cannot_be_read(pets):
    ports = (Port("image", "input", "float", (3, 8, 8)),)
    (pets / "cat" / "1.png").write_bytes(b"\x89PNG not really")
    assert "cannot read the image" in refusal(pets.parent, ports, "images", "pets")
    (pets.parent / "empty").mkdir()
    assert "has no images" in refusal(pets.parent, ports, "images", "empty")
    ports = (Port("image", "input", "float", (4, 8, 8)),)
    assert "1 or 3 channels, not 4" in refusal(pets.parent, ports, "images", "pets")


# Frames in the place of a source


def frame(data, **settings):
    return DataCall("frame", (data,), settings)


def test_a_frame_takes_the_place_of_a_source(tmp_path):
    data = Recipe(
        frame({"age": [31, 4.5, 6], "city": ["Ulm", "Bern", "Ulm"]}),
        frame({"age": [1], "city": ["Bern"]}),
    )
    loaded = load(data, (AGE, CITY), tmp_path)
    assert loaded.training.columns["city"].array.tolist() == [1, 0, 1]
    assert loaded.validation.columns["city"].array.tolist() == [0]
    with pytest.raises(DataError) as caught:
        load(Recipe(frame({"city": ["Ulm"]})), (AGE,), tmp_path)
    assert "the data has no column `age`" in caught.value.diagnostics[0].message


def test_settings_of_a_source_hold_for_a_frame(tmp_path):
    named = Recipe(frame({"age": [2.0], "town": ["Ulm"]}, city="town", scale=0.5))
    found = load(named, (AGE, CITY), tmp_path).training.columns
    assert found["age"].scale == 0.5 and found["city"].array.tolist() == [0]
    assert open_sizes(named, (Port("city", "target", "class", (), "k"),), tmp_path) == {"k": 1}
