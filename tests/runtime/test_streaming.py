"""Data larger than memory: pieces, statistics, parts, windows, and what a stopped training does."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

import specc
from specc.runtime.data import load, open_sizes
from specc.runtime.data.part import DataPart
from specc.runtime.data.stream import learn, pieces
from specc.runtime.data.stream.split import RowSplit
from specc.runtime.errors import DataError
from specc.runtime.order import numbers_of_rows, permutation
from specc.runtime.supply import FromDisk

MODEL = """
model houses {
  input  x: float[n]
  target sold: class(2)
  let s = x -> dense(2)
  output s
  loss cross_entropy(s, sold)
}
train {
  data csv("houses.csv")
  column x = concat(standardize(fill(area; mean)), scale(rooms; -1, 1), onehot(city),
                    fill(area; median), days(when))
  validate split = 0.75
  optimizer adam(lr = 0.01)
  epochs = 2
  batch = 16
  seed = 3
}
dim n
"""


@pytest.fixture(autouse=True)
def small(monkeypatch, tmp_path):
    """Small pieces, and a cache of the test's own."""
    monkeypatch.setattr(pieces, "BYTES", 3000)
    monkeypatch.setattr(pieces, "ROWS", 100)
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)


def table(rows: int, seed: int = 0) -> dict[str, list]:
    """A messy table: gaps, dates, quoted line breaks, whole numbers that become fractions late."""
    rng = np.random.default_rng(seed)
    city = rng.choice(["Ulm", 'Bad\n"Ems"', "Köln, Süd"], rows)
    area = rng.normal(80, 20, rows).round(3)
    area[: rows // 2] = area[: rows // 2].round()
    return {
        "area": [
            None if gap else each for each, gap in zip(area, rng.random(rows) < 0.1, strict=True)
        ],
        "rooms": rng.integers(1, 9, rows).tolist(),
        "city": city.tolist(),
        "when": [f"2024-{1 + k % 12:02}-{1 + k % 28:02}" for k in range(rows)],
        "sold": np.where(rng.random(rows) < 0.3, "yes", "no").tolist(),
    }


def write(name: str, columns: dict[str, list], start: int = 0, stop: int | None = None) -> None:
    import csv

    with open(name, "w", encoding="utf-8", newline="") as file:
        out = csv.writer(file)
        out.writerow(columns)
        for row in list(zip(*columns.values(), strict=True))[start:stop]:
            out.writerow("" if each is None else each for each in row)


def program(text: str = MODEL, **changes):
    changes.setdefault("n", 7)
    return specc.loads(text, **changes)


def both(tmp_path, text: str = MODEL, **changes):
    """The data in memory as one part, and as it is streamed."""
    found = program(text, **changes)
    whole = replace(found.recipe, validate=None)
    streamed = load(replace(found.recipe, memory=0.01), found.ports, tmp_path)
    known = {"vocabularies": streamed.vocabularies, "statistics": streamed.statistics}
    return load(whole, found.ports, tmp_path, **known), streamed


def rows_of(part, port: str) -> np.ndarray:
    array = part.columns[port].array[part.numbers]
    return array.reshape(len(array), -1)


def test_the_values_are_those_of_memory_and_each_row_is_in_one_part(tmp_path):
    write("houses.csv", table(1500))
    memory, streamed = both(tmp_path)
    parts = [streamed.training, streamed.validation]
    assert sum(map(len, parts)) == 1500 and abs(len(parts[1]) - 375) < 60
    found = np.concatenate([rows_of(each, "x") for each in parts])
    wanted = rows_of(memory.training, "x")
    order = [np.lexsort(each.T) for each in (found, wanted)]
    np.testing.assert_array_equal(found[order[0]], wanted[order[1]])


def test_statistics_are_those_of_all_training_rows(tmp_path):
    write("houses.csv", table(1500))
    text = MODEL.replace("validate split = 0.75", "")
    found = program(text)
    memory = load(found.recipe, found.ports, tmp_path).statistics
    streamed = load(replace(found.recipe, memory=1), found.ports, tmp_path).statistics
    flat = [{(a, b, c): v for a, x in each.items() for b, y in x.items() for c, v in y.items()}
            for each in (memory, streamed)]  # fmt: skip
    assert flat[0].keys() == flat[1].keys() and len(flat[0]) == 7
    for key, value in flat[0].items():
        if isinstance(value[0], str):
            assert flat[1][key] == value
        else:
            np.testing.assert_allclose(flat[1][key], value, rtol=1e-12)


def test_rest_learns_the_same_from_pieces(tmp_path):
    columns = table(900)
    columns["sunny"] = [("yes", "no", "")[k % 3] for k in range(900)]
    columns["empty"] = [None] * 900
    columns["id"] = [f"h{k}" for k in range(900)]
    write("houses.csv", columns)
    text = MODEL.split("column x")[0] + "column x = rest\n optimizer adam(lr = 0.1) }\ndim n"
    found = program(text, n=7)
    memory = load(found.recipe, found.ports, tmp_path).statistics["x"]["rest1"]["columns"]
    streamed = load(replace(found.recipe, memory=1), found.ports, tmp_path)
    learned = streamed.statistics["x"]["rest1"]["columns"]
    assert {name: each["kind"] for name, each in learned.items()} == {
        "area": "numbers", "rooms": "numbers", "city": "words", "when": "dates", "sunny": "truth",
    }  # fmt: skip
    for name, each in memory.items():
        assert each["kind"] == learned[name]["kind"]
        for key in ("mean", "deviation"):
            np.testing.assert_allclose(learned[name].get(key, 0), each.get(key, 0), rtol=1e-12)
        assert learned[name].get("words") == each.get("words")


def test_medians_of_many_rows_are_those_of_a_sample(monkeypatch, tmp_path):
    monkeypatch.setattr(learn, "SAMPLE", 400)
    write("houses.csv", table(4000))
    _, streamed = both(tmp_path)
    found = streamed.statistics["x"]["fill2"]["value"][0]
    assert abs(found - 80) < 5  # the deviation of a median of 400 is 1.3
    again = load(replace(program().recipe, memory=0.01), program().ports, tmp_path).statistics["x"][
        "fill2"
    ]["value"][0]
    assert again == found


@pytest.mark.parametrize("word", ["csv", "tsv", "jsonl", "parquet", "feather", "gz", "several"])
def test_every_source_gives_the_same_rows(tmp_path, word):
    import gzip
    import json

    columns = table(400)
    write("houses.csv", columns)
    memory, _ = both(tmp_path)
    frames = pytest.importorskip("pandas").DataFrame(columns)
    call = f'{word}("a.{word}")'
    if word == "tsv":
        frames.to_csv("a.tsv", sep="\t", index=False)
    elif word == "jsonl":
        with open("a.jsonl", "w") as file:
            for row in zip(*columns.values(), strict=True):
                print(json.dumps(dict(zip(columns, row, strict=True))), file=file)
    elif word == "gz":
        call = 'csv("a.csv.gz")'
        with open("houses.csv", "rb") as plain, gzip.open("a.csv.gz", "wb") as packed:
            packed.write(plain.read())
    elif word == "several":
        call = 'csv("part-*.csv")'
        write("part-1.csv", columns, 0, 150)
        write("part-2.csv", columns, 150)
    elif word != "csv":
        pytest.importorskip("pyarrow")
        getattr(frames, f"to_{word}")(f"a.{word}")
    else:
        call = 'csv("houses.csv")'
    other, streamed = both(tmp_path, MODEL.replace('csv("houses.csv")', call))
    for data in (other, streamed):
        parts = [each for each in data.parts.values() if each is not None]
        found = np.concatenate([rows_of(each, "x") for each in parts])
        wanted = rows_of(memory.training, "x")
        order = [np.lexsort(each.T) for each in (found, wanted)]
        np.testing.assert_allclose(found[order[0]], wanted[order[1]], rtol=1e-12, atol=1e-12)


def test_arrays_and_batches_of_python_are_read_in_pieces(tmp_path):
    rng = np.random.default_rng(1)
    x, y = rng.normal(size=(500, 3)).astype(np.float32), rng.integers(0, 2, 500)
    np.save("x.npy", x)
    np.save("y.npy", y)
    text = """model m { input x: float[3] target y: class(2) let s = x -> dense(2) output s
      loss cross_entropy(s, y) }
      train { data npy("x.npy", "y.npy") optimizer sgd(lr = 0.1) memory = 0.001 batch = 10 }"""
    found = specc.loads(text)
    part = load(found.recipe, found.ports, tmp_path).training
    np.testing.assert_array_equal(part.columns["x"].array, x)
    np.testing.assert_array_equal(part.columns["y"].array, y)

    def batches():
        for start in range(0, 500, 90):
            yield {"x": x[start : start + 90], "y": y[start : start + 90]}

    run = specc.train(text, data=batches, validate=0.2, epochs=1, quiet=True)
    assert run.outcome == "finished" and run.metrics["val_loss"][0] > 0


def test_a_column_of_numbers_with_one_word_in_a_late_piece_is_one_of_words(tmp_path):
    columns = table(600)
    columns["rooms"] = [*map(str, columns["rooms"][:-40]), *["many"] * 40]
    write("houses.csv", columns)
    text = MODEL.replace("scale(rooms; -1, 1)", "onehot(rooms)")
    memory, streamed = both(tmp_path, text, n=15)
    assert streamed.statistics["x"]["onehot1"]["words"][-1] == "many"
    assert memory.training.columns["x"].array.shape[1] == rows_of(streamed.training, "x").shape[1]


def test_a_mistake_in_a_late_piece_names_its_line(tmp_path):
    columns = table(700)
    columns["city"] = ["Ulm"] * 700
    columns["rooms"][650] = "x3"
    write("houses.csv", columns)
    with pytest.raises(DataError, match=r"line 652, column `rooms`.*`x3` is not a number"):
        both(tmp_path)


def test_open_sizes_follow_from_all_pieces(tmp_path):
    columns = table(600)
    columns["city"][-1] = "Zell"
    write("houses.csv", columns)
    found = specc.loads(MODEL)
    recipe = replace(found.recipe, memory=1, validate=None)
    assert open_sizes(recipe, found.ports, tmp_path) == {"n": 8}


def test_a_group_is_in_one_part_and_strata_are_shared_out(tmp_path):
    columns = table(2000)
    columns["owner"] = [f"p{k % 90}" for k in range(2000)]
    write("houses.csv", columns)
    names = np.array(columns["owner"])
    for rule in ("group = owner", "stratify = sold"):
        found = program(MODEL.replace("seed = 3", f"seed = 3 {rule}"))
        recipe = replace(found.recipe, memory=1)
        data = load(recipe, found.ports, tmp_path)
        if rule.startswith("stratify"):
            shares = [np.mean(rows_of(each, "sold")) for each in data.parts.values()]
            assert abs(shares[0] - shares[1]) < 0.005
            continue
        from specc.runtime.data.readers import request_of
        from specc.runtime.data.table import coded

        split = RowSplit(request_of(recipe.data, found.ports, tmp_path), recipe)
        parts = split.parts(np.arange(2000), coded(names.tolist()))
        own = [set(names[each]) for each in parts.values()]
        assert not own[0] & own[1] and 10 < len(own[0]) < 40
        assert len(data.validation) == len(parts["validation"])


def test_folds_take_each_row_once(tmp_path):
    write("houses.csv", table(700))
    found = program(MODEL.replace("validate split = 0.75", "folds = 3"))
    sizes = []
    for fold in (1, 2, 3):
        data = load(replace(found.recipe, memory=1, fold=fold), found.ports, tmp_path)
        assert len(data.training) + len(data.validation) == 700
        sizes.append(len(data.validation))
    assert sum(sizes) == 700 and min(sizes) > 180


def test_a_split_by_time_and_sources_that_come_whole_are_refused(tmp_path):
    write("houses.csv", table(50))
    found = program(MODEL.replace("seed = 3", "seed = 3 time = when"))
    with pytest.raises(DataError, match="because it sorts all rows"):
        load(replace(found.recipe, memory=1), found.ports, tmp_path)
    digits = specc.loads(
        """model m { input image: float[8, 8] target label: class(10)
        let s = image -> flatten -> dense(10) output s loss cross_entropy(s, label) }
        train { data digits() optimizer sgd(lr = 0.1) memory = 5 }"""
    )
    with pytest.raises(DataError, match="`digits` cannot be read in pieces"):
        load(digits.recipe, digits.ports, tmp_path)


def test_numbers_of_rows_are_those_of_the_whole_permutation():
    raw = numbers_of_rows(5, 9, np.arange(1003))
    np.testing.assert_array_equal(np.argsort(raw, kind="stable"), permutation(5, 9, 1003))
    some = np.array([3, 4, 77, 1002])
    np.testing.assert_array_equal(numbers_of_rows(5, 9, some), raw[some])


@pytest.mark.parametrize(("count", "batch"), [(1000, 16), (999, 7), (5, 16), (64, 64), (1, 1)])
def test_windows_hold_each_row_once_in_an_order_of_the_epoch(tmp_path, count, batch):
    np.save("x.npy", np.arange(count, dtype=np.float64))
    text = f"""model m {{ input x: float target y: float loss mse(x -> dense(1) -> flatten, y) }}
      train {{ data npy("x.npy", "y.npy") optimizer sgd(lr = 0.1) memory = 1 batch = {batch} }}"""
    np.save("y.npy", np.zeros(count))
    text = text.replace("x -> dense(1) -> flatten", "x * w").replace(
        "target", "param w: float = 1 target"
    )
    found = specc.loads(text)
    stored = load(found.recipe, found.ports, tmp_path).training.stored
    supply = FromDisk(stored, seed=1, batch=batch, window_bytes=stored.row_bytes * 200)
    orders = []
    for epoch in (0, 1):
        supply.begin(epoch)
        seen = []
        steps = -(-count // batch)
        step = 0
        while step < steps:
            columns, rows = supply.take(step, 3)
            seen.append(columns["x"].array[rows].copy())
            step += -(-len(rows) // batch)
        assert all(len(each) % batch == 0 for each in seen[:-1])
        orders.append(np.concatenate(seen))
        assert sorted(orders[-1]) == list(range(count))
    supply.begin(0)
    columns, rows = supply.take(0, 1)
    np.testing.assert_array_equal(columns["x"].array[rows], orders[0][:batch])
    supply.close()
    if count > 100:
        assert not np.array_equal(*orders)
        middle = orders[0][: min(150, count // 2)]
        assert middle.max() - middle.min() > count / 2  # blocks of the whole file


def test_a_training_that_stops_within_an_epoch_goes_on_with_the_same_bits(tmp_path):
    from specc.net.fitting import Callbacks
    from specc.runs.listener import AsWarnings
    from specc.runs.start import prepare, resume
    from specc.source import Source

    write("houses.csv", table(900))
    source = Source("m.dl", MODEL)
    changes = {"memory": "0.02", "epochs": "3"}

    def begun(place):
        return prepare(source, MODEL.encode(), tmp_path, changes, AsWarnings()).begun(
            tmp_path / place
        )

    class Steps(Callbacks):
        count = 0

        def steps(self, epoch, step, *rest):
            self.count += 1

    whole = begun("whole")
    assert len({*map(str, whole.data.training.columns)}) and whole.data.training.stored is not None
    whole.carry_out(Callbacks())
    wanted = {name: each.copy() for name, each in whole.net.params.items()}
    whole.release()

    watch = Steps()
    stopped = begun("stopped")
    assert stopped.carry_out(watch, lambda: watch.count >= 5) == "interrupted"
    place = stopped.run.folder
    assert 0 < stopped.net.steps_done < 3 * stopped.steps_per_epoch
    stopped.release()
    again = resume(place, {}, AsWarnings())
    assert again.carry_out(Callbacks()) == "finished"
    for name, each in again.net.params.items():
        np.testing.assert_array_equal(each, wanted[name])
    again.release()


def test_no_list_of_all_rows_is_made_while_it_trains(tmp_path, monkeypatch):
    write("houses.csv", table(500))
    monkeypatch.setattr(DataPart, "numbers", property(lambda part: pytest.fail("all rows")))
    run = specc.train(MODEL, memory=0.02, epochs=2, runs=tmp_path / "runs", quiet=True)
    assert run.outcome == "finished" and len(run.metrics["val_loss"]) == 2


def test_a_file_that_has_changed_is_read_anew(tmp_path):
    write("houses.csv", table(300))
    _, before = both(tmp_path)
    write("houses.csv", table(420, seed=1))
    _, after = both(tmp_path)
    assert before.counts == {"data": [300]} and after.counts == {"data": [420]}
