"""What a run was made of is compared with what is there when it is used again."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from specc.cli.main import status_of
from specc.runs import provenance

MODEL = """use "parts/words.dl"
model flowers {
  input  x: float[2]
  target kind: class(3)
  let scores = x -> double -> dense(3)
  output scores
  loss cross_entropy(scores, kind)
}
train {
  data csv("flowers.csv"; x = "length, width")
  validate split = 0.7
  optimizer sgd(lr = 0.5)
  epochs = 2
  batch = 4
}
"""


def table(rows=40, start=0):
    numbers = np.random.Generator(np.random.PCG64(1)).integers(0, 100, (start + rows, 2))[start:]
    kinds = ("aster", "rose", "tulip")
    return [f"{a / 10},{b / 10},{kinds[(a + b) % 3]}\n" for a, b in numbers]


def write(path, lines):
    Path(path).write_text("length,width,kind\n" + "".join(lines))


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    folder = tmp_path_factory.mktemp("trained")
    (folder / "parts").mkdir()
    (folder / "parts" / "words.dl").write_text("fn double(x) = 2 * x\n")
    (folder / "flowers.dl").write_text(MODEL)
    write(folder / "flowers.csv", table())
    assert (
        status_of(["train", str(folder / "flowers.dl"), "--run", str(folder / "runs"), "-q"]) == 0
    )
    return folder


@pytest.fixture
def folder(trained, tmp_path, monkeypatch):
    """A copy of a folder with a model, its data and the run `run`."""
    place = tmp_path / "work"
    shutil.copytree(trained, place)
    monkeypatch.chdir(place)
    shutil.copytree("runs/flowers/1", "run")
    record = json.loads(Path("run/run.json").read_text())
    record["data"] = str(place)
    Path("run/run.json").write_text(json.dumps(record))
    return place


@pytest.fixture
def figures(folder, specc):
    """What eval says of a run, and its warnings; refusals as a status alone."""

    def figures(run="run", *arguments):
        status, out, err = specc("eval", run, "--json", *arguments)
        return (status if status else json.loads(out)), err

    return figures


def test_the_pins_of_a_run_name_all_it_was_made_of(folder):
    pins = json.loads(Path("run/run.json").read_text())["pins"]
    assert sorted(pins["texts"]) == ["model.dl", "parts/words.dl"]
    assert list(pins["files"]) == ["flowers.csv"]
    assert {part: sorted(ports) for part, ports in pins["parts"].items()} == {
        "training": ["kind", "x"],
        "validation": ["kind", "x"],
    }
    hashes = [
        *pins["texts"].values(),
        *pins["files"].values(),
        *(each for ports in pins["parts"].values() for each in ports.values()),
    ]
    assert all(len(each) == 64 for each in hashes) and len(set(hashes)) == len(hashes)
    assert pins["counts"] == {"data": [40]} and "SPLIT" in pins["split"]
    assert {"specc", "numpy", "llvmlite"} < set(pins["versions"])
    assert sorted(pins["machine"]) == ["processor", "vectors"]


# Data


def test_eval_of_grown_data_is_that_of_the_validation_part_of_then(folder, figures):
    before, err = figures()
    assert err == "" and before["examples"] == 12
    # also a class that the training has not seen
    write("flowers.csv", [*table(), *table(25, 40), "1,2,orchid\n"])
    after, err = figures()
    assert after == before
    assert err == (
        "warning: the data has grown from 40 to 66 examples since the training; its 12"
        " validation examples are evaluated, which have not changed\n"
    )


def changed_kind(lines, row):
    kinds = {"aster": "rose", "rose": "tulip", "tulip": "aster"}
    values, kind = lines[row].rsplit(",", 1)
    return [*lines[:row], f"{values},{kinds[kind.strip()]}\n", *lines[row + 1 :]]


def rows(part):
    """The rows of a part, as the rule of the split gives them."""
    from specc.runtime.order import SPLIT, permutation

    order = permutation(0, SPLIT, 40)
    return order[:28] if part == "training" else order[28:]


def test_a_changed_validation_example_is_refused(folder, figures, specc):
    write("flowers.csv", changed_kind(table(), rows("validation")[3]))
    status, err = figures()
    assert status == 1
    assert (
        "the validation part has changed since the training: `kind` has other values"
        " (changed: `flowers.csv`)"
    ) in err
    status, _, err = specc("train", "--resume", "run", "epochs=3")
    assert status == 1
    assert (
        "the data has changed since the training: `kind` of the validation part has other values"
        " (changed: `flowers.csv`)"
    ) in err


def test_a_changed_training_example_is_refused_where_training_is_resumed(folder, figures, specc):
    before = figures()
    write("flowers.csv", changed_kind(table(), rows("training")[3]))
    assert figures() == before
    status, _, err = specc("train", "--resume", "run", "epochs=3")
    assert status == 1 and "`kind` of the training part has other values (changed: `flo" in err
    assert "restore the data to resume the run, or start a new run" in err
    write("flowers.csv", table())
    assert specc("train", "--resume", "run", "epochs=3")[::2] == (0, "")


@pytest.mark.parametrize("lines", [table()[1:] + table()[:1], table(39)])
def test_examples_in_another_order_or_fewer_are_refused(folder, figures, specc, lines):
    write("flowers.csv", lines)
    status, err = figures()
    assert status == 1
    assert (
        "`x`, `kind` have other values" in err
        or "has 39 examples, but had 40 when the run was made" in err
    )
    assert specc("train", "--resume", "run", "epochs=3")[0] == 1


def test_resume_says_how_many_examples_there_were(folder, specc):
    write("flowers.csv", table(60))
    status, _, err = specc("train", "--resume", "run", "epochs=3")
    assert status == 1
    assert (
        "there were 28 training and 12 validation examples, now there are 42 training and 18"
        " validation examples (changed: `flowers.csv`)"
    ) in err


def test_words_with_other_names_are_other_data(folder, figures, specc):
    Path("flowers.csv").write_text(Path("flowers.csv").read_text().replace("aster", "asters"))
    assert figures()[0] == 1
    status, _, err = specc("train", "--resume", "run", "epochs=3")
    assert status == 1 and "`kind` of the training part has other values" in err


def test_the_same_values_in_another_file_are_the_same_data(folder, figures, specc):
    before = figures()
    text = Path("flowers.csv").read_bytes().replace(b"\n", b"\r\n").replace(b",rose", b', "rose"')
    Path("moved").mkdir()
    Path("moved/flowers.csv").write_bytes(text.replace(b', "', b',"'))
    Path("flowers.csv").unlink()
    assert figures("run", "--data", "moved") == before
    assert specc("train", "--resume", "run", "epochs=3", "--data", "moved")[::2] == (0, "")


def test_arrays_that_grow_or_are_compressed(folder, figures, specc):
    generator = np.random.Generator(np.random.PCG64(2))
    x, kind = generator.normal(size=(50, 2)), generator.integers(0, 3, 50)
    model = MODEL.replace('csv("flowers.csv"; x = "length, width")', 'npz("flowers.npz")')
    Path("arrays.dl").write_text(model)
    np.savez("flowers.npz", x=x[:30], kind=kind[:30])
    assert specc("train", "arrays.dl", "-q")[0] == 0
    before, err = figures("runs/flowers/2")
    np.savez_compressed("flowers.npz", x=x[:30], kind=kind[:30])
    assert figures("runs/flowers/2") == (before, err) and err == ""
    np.savez("flowers.npz", x=x, kind=kind)
    after, err = figures("runs/flowers/2")
    assert after == before and "has grown from 30 to 50 examples" in err
    np.savez("flowers.npz", x=x[::-1], kind=kind[::-1])
    assert figures("runs/flowers/2")[0] == 1


def test_a_validation_file_that_grows_or_changes(folder, figures, specc):
    Path("two.dl").write_text(MODEL.replace("split = 0.7", 'csv("held.csv"; x = "length, width")'))
    write("held.csv", table(20, 40))
    assert specc("train", "two.dl", "-q")[0] == 0
    before, _ = figures("runs/flowers/2")
    assert before["examples"] == 20
    write("held.csv", table(30, 40))
    after, err = figures("runs/flowers/2")
    assert after == before and "has grown from 20 to 30 examples" in err
    write("held.csv", changed_kind(table(20, 40), 7))
    status, err = figures("runs/flowers/2")
    assert status == 1 and "`kind` has other values (changed: `held.csv`)" in err


def test_test_data_may_change_with_a_warning(folder, figures, specc):
    Path("three.dl").write_text(
        MODEL.replace("split = 0.7", 'split = 0.7\n  test csv("test.csv"; x = "length, width")')
    )
    write("test.csv", table(20, 40))
    assert specc("train", "three.dl", "-q")[0] == 0
    before, err = figures("runs/flowers/2")
    assert (before["part"], before["examples"], err) == ("test", 20, "")
    write("test.csv", table(30, 40))
    after, err = figures("runs/flowers/2")
    assert after["examples"] == 30
    assert err == "warning: the test data has changed since the training (changed: `test.csv`)\n"


TEXT = """seq time = 4
dim vocab
model chars {
  stream text: class(vocab)[time]
  target following: class(vocab)[time]
  let scores = text -> embed(3) -> dense(vocab)
  output scores
  loss cross_entropy(scores, following)
}
train {
  data text("a.txt", "b.txt"; unknown = "?")
  validate split = 0.5
  optimizer sgd(lr = 0.1)
  epochs = 1
  batch = 2
}
"""


def test_texts_that_grow(folder, figures, specc):
    Path("chars.dl").write_text(TEXT)
    for name, text in (("a", "to be or not to be, "), ("b", "that is the question. ")):
        Path(f"{name}.txt").write_text(4 * text)
    assert specc("train", "chars.dl", "-q")[0] == 0
    before, err = figures("runs/chars/1")
    assert err == ""
    for name in "ab":
        with Path(f"{name}.txt").open("a") as file:
            file.write("And §§ more of it.")
    after, err = figures("runs/chars/1")
    assert after == before and "has grown from 168 to 204 symbols" in err
    Path("b.txt").write_text("what is a question? " + Path("b.txt").read_text()[20:])
    status, err = figures("runs/chars/1")
    assert status == 1 and "(changed: `a.txt`, `b.txt`)" in err
    Path("b.txt").write_text("that")
    status, err = figures("runs/chars/1")
    assert status == 1 and "`b.txt` has 4 characters, but had 88 when the run was made" in err


# The model


@pytest.mark.parametrize("name", ["model.dl", "parts/words.dl"])
def test_an_edited_model_is_refused_with_its_hashes(folder, specc, name):
    path = Path("run") / name
    text = path.read_text()
    path.write_text(text.replace("lr = 0.5", "lr = 0.05").replace("2 * x", "3 * x"))
    np.savez("x.npz", x=np.zeros((2, 2)))
    for command in (
        ("eval", "run"),
        ("predict", "run", "x.npz", "-o", "y.npz"),
        ("flow", "run"),
        ("train", "--resume", "run", "epochs=3"),
    ):
        status, out, err = specc(*command)
        assert (status, out) == (1, "")
        assert f"`run/{name}` was edited after the training: its SHA-256 was " in err
        assert "undo the edit" in err
    path.write_bytes(text.replace("\n", "\r\n").encode())  # as git may write it
    assert specc("predict", "run", "x.npz", "-o", "y.npz")[::2] == (0, "")
    path.unlink()
    status, _, err = specc("eval", "run")
    assert status == 1 and f"cannot read `run/{name}`: there is no such file" in err


# Surroundings


def test_the_width_of_vectors_is_the_one_that_kernels_use(monkeypatch):
    monkeypatch.setenv("SPECC_VECTOR_BITS", "128")
    assert provenance.machine()["vectors"] == "128 bits"


@pytest.mark.parametrize(
    "changes",
    [
        {"specc": "0.0.1"},
        {"numpy": "0.1", "llvmlite": "0.2"},
        {"processor": "80386"},
        {"vectors": "64 bits"},
    ],
)
def test_other_versions_or_processors_are_a_warning(folder, figures, specc, changes):
    record = json.loads(Path("run/run.json").read_text())
    now = record["pins"]["versions"] | record["pins"]["machine"]
    for name, value in changes.items():
        group = "machine" if name in record["pins"]["machine"] else "versions"
        record["pins"][group][name] = value
    Path("run/run.json").write_text(json.dumps(record))
    expected = ", ".join(f"{name} {value} (now {now[name]})" for name, value in changes.items())
    values, err = figures()
    assert values["examples"] == 12 and err == (
        f"warning: `run` was trained with {expected}: the last bits of results may differ\n"
    )
    status, _, err = specc("train", "--resume", "run", "epochs=3")
    assert status == 0 and expected in err


def test_another_library_is_a_warning(folder, figures):
    record = json.loads(Path("run/run.json").read_text())
    record["pins"]["versions"]["library"] = "0"
    Path("run/run.json").write_text(json.dumps(record))
    assert "in specc's library have changed since `run` was trained" in figures()[1]


def test_another_number_of_threads_changes_no_bit_of_a_run(folder, specc):
    shutil.copytree("run", "other")
    for run, threads in (("run", "1"), ("other", "2")):
        assert specc("train", "--resume", run, "epochs=4", "--threads", threads)[2] == ""
    found, other = (load_file(Path(run, "last.safetensors")) for run in ("run", "other"))
    assert found and {name: array.tobytes() for name, array in found.items()} == {
        name: array.tobytes() for name, array in other.items()
    }


# Runs of older versions


def test_a_run_without_pins_is_used_with_a_warning(folder, figures, specc):
    before, _ = figures()
    record = json.loads(Path("run/run.json").read_text())
    del record["pins"]
    Path("run/run.json").write_text(json.dumps(record))
    write("flowers.csv", [*table(), *table(25, 40)])
    after, err = figures()
    assert after == before  # the split is known: the number of examples is
    assert "`run` was made by specc 0.1.0, which stored no hashes of the model and the data" in err
    assert "has grown from 40 to 65 examples" in err and "the run has no hashes" in err
    write("flowers.csv", table())
    status, _, err = specc("train", "--resume", "run", "epochs=3")
    assert status == 0 and "stored no hashes" in err


@pytest.mark.parametrize("pins", [3, [], {}, {"texts": {}}, {"texts": {"model.dl": 3}}])
def test_pins_of_another_form_are_damage(folder, specc, pins):
    record = json.loads(Path("run/run.json").read_text())
    record["pins"] = (
        pins
        if not isinstance(pins, dict) or len(pins) != 1 or pins["texts"] == {}
        else (record["pins"] | pins)
    )
    Path("run/run.json").write_text(json.dumps(record))
    status, _, err = specc("eval", "run")
    assert status == 1 and "`run/run.json` is damaged: `pins` is " in err
