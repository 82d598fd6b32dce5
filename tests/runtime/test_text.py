"""Texts as sequences of classes: windows, streams, and their vocabulary."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from sources import recipe, refusal

from specc.cli.main import status_of
from specc.recipe import DataCall, Port
from specc.runtime.data import load, open_sizes, tokens

TEXT = Port("text", "input", "class", (3,), 30, sequence="time")
NEXT = Port("next_", "target", "class", (3,), 30, sequence="time")
BEGIN = Port("text.begin", "input", "bool", (), begin_of="text")
WINDOWS = (TEXT, NEXT)
STREAM = (TEXT, BEGIN, NEXT)


def written(folder, *texts):
    """The names of files with these texts."""
    names = [f"{number}.txt" for number in range(len(texts))]
    for name, text in zip(names, texts, strict=True):
        (folder / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    return names


def loaded(folder, ports, *texts, batch=32, validate=None, **settings):
    found = recipe("text", *written(folder, *texts), validate=validate, **settings)
    return load(replace(found, batch=batch), ports, folder)


def texts_of(part, data, name):
    """The rows of a column as texts again."""
    symbols = data.vocabularies[name]
    return ["".join(symbols[each] for each in row) for row in part.columns[name].array[part.rows]]


def test_an_input_gets_windows_and_the_target_is_one_step_on(tmp_path):
    data = loaded(tmp_path, WINDOWS, "abcdefghij")
    assert texts_of(data.training, data, "text") == ["abc", "def", "ghi"]
    assert texts_of(data.training, data, "next_") == ["bcd", "efg", "hij"]
    assert not data.training.is_stream


def test_a_window_without_a_step_behind_it_is_left_out(tmp_path):
    data = loaded(tmp_path, WINDOWS, "abcdef")
    assert texts_of(data.training, data, "text") == ["abc"]


def test_each_slot_of_a_stream_goes_on_where_it_stopped(tmp_path):
    # six windows in two slots: the first three, and the last three
    data = loaded(tmp_path, STREAM, "abcdefghijklmnopqrs", batch=2)
    assert data.training.is_stream
    assert texts_of(data.training, data, "text") == ["abc", "jkl", "def", "mno", "ghi", "pqr"]
    assert texts_of(data.training, data, "next_") == ["bcd", "klm", "efg", "nop", "hij", "qrs"]
    begins = data.training.columns["text.begin"].array
    assert begins.tolist() == [True, True, False, False, False, False]


def test_what_is_less_than_a_window_for_each_slot_is_not_used(tmp_path):
    data = loaded(tmp_path, STREAM, "abcdefghijklmnop", batch=2)  # five windows
    assert texts_of(data.training, data, "text") == ["abc", "ghi", "def", "jkl"]


def test_a_stream_begins_anew_with_each_document(tmp_path):
    data = loaded(tmp_path, STREAM, "abcdefg", "hijklmn", batch=1)
    assert texts_of(data.training, data, "text") == ["abc", "def", "hij", "klm"]
    assert data.training.columns["text.begin"].array.tolist() == [True, False, True, False]
    # no window reaches from one document into another
    assert texts_of(data.training, data, "next_") == ["bcd", "efg", "ijk", "lmn"]


def test_the_end_of_the_text_is_kept_for_validation(tmp_path):
    text = "abcabdabe" * 10
    data = loaded(tmp_path, WINDOWS, text, validate=0.2)
    whole = "".join(texts_of(data.training, data, "text"))
    held_out = "".join(texts_of(data.validation, data, "text"))
    assert text.startswith(whole) and held_out in text[72:]
    assert len(whole) == 69 and len(held_out) == 15


def test_the_end_of_several_documents_is_the_end_of_the_last_ones(tmp_path):
    data = loaded(tmp_path, WINDOWS, "abcabcab", "cbacbacb", "abababab", validate=0.5)
    assert len(data.training) == 2 + 1 and len(data.validation) == 1 + 2


def test_the_vocabulary_is_that_of_the_training_part_alone(tmp_path):
    ports = tuple(replace(port, classes="vocab") for port in WINDOWS)
    text = "abc\nabcabcab\nabcaxcxyzx"
    (name,) = written(tmp_path, text)
    call = recipe("text", name, validate=0.25)
    assert open_sizes(call, ports, tmp_path) == {"vocab": 4}
    assert refusal_of(tmp_path, call) == (
        "`0.txt`, line 3, column 5: the character 'x' does not occur in the training part"
    )
    data = load(recipe("text", name, validate=0.25, unknown="a"), WINDOWS, tmp_path)
    assert data.vocabularies["text"] == ("a", "\n", "b", "c")
    assert texts_of(data.validation, data, "text") == ["aca"]


def refusal_of(folder, call, ports=WINDOWS):
    from specc.runtime.errors import DataError

    with pytest.raises(DataError) as caught:
        load(call, ports, folder)
    (found,) = caught.value.diagnostics
    return found.message


def test_an_unknown_character_is_shown_with_its_file_and_line(tmp_path):
    written(tmp_path, "abc\nabc\nabc\n")
    (tmp_path / "other.txt").write_text("abc\nab\nbaXab\n")
    other = DataCall("text", ("other.txt",))
    message = refusal_of(tmp_path, recipe("text", "0.txt", validate=other))
    assert message.startswith("`other.txt`, line 3, column 3: the character 'X'")


def test_one_more_symbol_may_stand_for_unknown_ones(tmp_path):
    written(tmp_path, "abcabcabc")
    (tmp_path / "other.txt").write_text("aXbYcZa")
    found = recipe(
        "text", "0.txt", validate=DataCall("text", ("other.txt",), {"unknown": "?"}), unknown="?"
    )
    data = load(found, WINDOWS, tmp_path)
    assert data.vocabularies["text"] == ("?", "a", "b", "c")
    assert texts_of(data.validation, data, "text") == ["a?b", "?c?"]


def test_words_are_lower_cased_and_the_frequent_ones_stay(tmp_path):
    data = loaded(
        tmp_path, WINDOWS, "The cat, the dog; the cat's bed. The cat!", level="word", limit=4
    )
    # the most frequent of equals is the first one in the alphabet; the unknown one counts
    assert data.vocabularies["text"] == ("<unk>", "!", "cat", "the")
    assert [
        data.vocabularies["text"][each] for each in data.training.columns["text"].array.flat
    ] == (
        [
            "the",
            "cat",
            "<unk>",
            "the",
            "<unk>",
            "<unk>",
            "the",
            "<unk>",
            "<unk>",
            "<unk>",
            "the",
            "cat",
        ]
    )


def test_symbols_of_both_levels():
    assert tokens.symbols("It's 3 o'clock!", "word") == ["it's", "3", "o'clock", "!"]
    assert tokens.symbols("a b", "char") == ["a", " ", "b"]
    assert tokens.alphabet("abca", "char") == ("a", "b", "c")


def test_line_ends_of_other_systems_are_read_as_one_character(tmp_path):
    data = loaded(tmp_path, WINDOWS, b"\xef\xbb\xbfab\r\nab\r\nab\r\n")
    assert data.vocabularies["text"] == ("\n", "a", "b")


def test_a_text_may_be_compressed(tmp_path):
    import gzip

    data = loaded(tmp_path, WINDOWS, gzip.compress(b"abcdefghij"))
    assert len(data.training) == 3


@pytest.mark.parametrize(("text", "ports", "settings", "said"), [
    ("abc", WINDOWS, {}, "shorter than one window of 3 steps"),
    ("", WINDOWS, {}, "shorter than one window of 3 steps"),
    ("abcdefghij", STREAM, {}, "the text is too short: 3 windows of 3 steps cannot fill a batch"
                               " of 32"),
    (b"ab\nc\xff", WINDOWS, {}, "`0.txt`, line 2: this is not UTF-8 text"),
    ("abcdefghij", (replace(TEXT, classes=9), NEXT), {},
     "the text has 10 different characters, but `text` is class(9)[3]"),
    ("abcdefghij", (TEXT, replace(NEXT, shape=(4,))), {}, "`text` and `next_` must be equally"
                                                          " long"),
    ("abcdefghij", (TEXT, Port("y", "target", "class", (), 3)), {},
     "`text` provides one sequence of classes, and the next symbols as target, but nothing for"
     " `y: class(3)`"),
    ("abcdefghij", (TEXT, replace(TEXT, name="other")), {}, "nothing for `other: class(30)[3]`"),
    ("abcdefghij", (Port("x", "input", "float", (3,)),), {}, "nothing for `x: float[3]`"),
    ("abcdefghij", WINDOWS, {"level": "line"}, "`level` of `text`"),
])  # fmt: skip
def test_what_does_not_fit_is_refused(tmp_path, text, ports, settings, said):
    assert said in refusal(tmp_path, ports, "text", *written(tmp_path, text), **settings)


def test_a_model_without_a_target_gets_the_text_alone(tmp_path):
    data = loaded(tmp_path, (TEXT,), "abcdefghij")
    assert set(data.training.columns) == {"text"} and len(data.training) == 3


# The commands.

MODEL = """seq time = 4
dim vocab
model m {
  stream text: class(vocab)[time]
  target next_: class(vocab)[time]
  let scores = text -> embed(3) -> gru(5) -> dense(vocab)
  output scores
  loss cross_entropy(scores, next_)
}
train { data text("a.txt") validate split = 0.8 optimizer adam(lr = 0.01) epochs = 1 batch = 4 }"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "m.dl").write_text(MODEL)
    (tmp_path / "a.txt").write_text("abcdefghij" * 40)
    return tmp_path


def test_the_batch_of_the_command_line_is_the_number_of_slots(folder, capfd):
    assert status_of(["train", "m.dl", "batch=3", "--quiet", "--threads", "1"]) == 0
    record = json.loads((folder / "runs/m/1/run.json").read_text())
    assert record["examples"] == {"training": 78, "validation": 18}  # 79 and 19 windows in 3 slots
    capfd.readouterr()
    assert status_of(["eval", "runs/m/1", "--threads", "1", "--json"]) == 0
    values = (folder / "runs/m/1/metrics.csv").read_text().splitlines()[-1].split(",")
    assert json.loads(capfd.readouterr().out)["loss"] == pytest.approx(float(values[4]), rel=1e-6)
    assert status_of(["train", "m.dl", "batch=64", "--quiet"]) == 1
    assert "cannot fill a batch of 64" in capfd.readouterr().err


def test_predict_takes_windows_of_text_from_a_table(folder, capfd):
    assert status_of(["train", "m.dl", "--quiet", "--threads", "1"]) == 0
    (folder / "in.csv").write_text("text\nabcd\njihg\n")
    assert status_of(["predict", "runs/m/1", "in.csv", "-o", "out.npz"]) == 0
    assert np.load("out.npz")["scores"].shape == (2, 4, 10)
    capfd.readouterr()
    assert status_of(["predict", "runs/m/1", "a.txt", "-o", "out.npz"]) == 2
    assert "`m` reads texts: put them into the column `text` of a .csv" in capfd.readouterr().err
    (folder / "in.csv").write_text("text\nabxd\n")
    assert status_of(["predict", "runs/m/1", "in.csv", "-o", "out.npz"]) == 1
    assert (
        "line 2, column `text`: 'x' does not occur in the training part" in capfd.readouterr().err
    )


def test_a_warning_of_a_file_with_open_sizes_is_printed_once(tmp_path, capfd):
    text = """seq time = 20
dim vocab

model m {
  stream letter: class(vocab)[time]
  target following: class(vocab)[time]
  let scores = letter -> embed(4) -> rnn(4) -> dense(vocab)
  output scores
  loss   cross_entropy(scores, following)
}

train {
  data      text("a.txt")
  optimizer adam(lr = 0.001)
  epochs = 1
  batch  = 2
}
"""
    (tmp_path / "a.dl").write_text(text)
    (tmp_path / "a.txt").write_text("to be or not to be\n" * 20)
    assert status_of(["train", str(tmp_path / "a.dl"), "--run", str(tmp_path / "runs")]) == 0
    assert capfd.readouterr().err.count("warning[unclipped]") == 1
