"""Texts for each example: columns of tables, and arrays, for sequences of classes."""

from __future__ import annotations

import numpy as np
import pytest
from sources import recipe, refusal, write_csv

from specc.recipe import DataCall, Port
from specc.runtime.data import load, open_sizes

WORD = Port("word", "input", "class", (4,), 9, sequence="time")
LENGTH = Port("word.length", "input", "class", (), 5, length_of="word")
TAGS = Port("tags", "target", "class", (4,), 3, sequence="time")
LABEL = Port("label", "target", "class", (), 2)
VARYING = (WORD, LENGTH, LABEL)
FIXED = (WORD, LABEL)


def table(folder, text, ports=VARYING, **settings):
    return load(recipe("csv", write_csv(folder, text), **settings), ports, folder)


def archive(folder, **arrays):
    np.savez(folder / "a.npz", **arrays)
    return "a.npz"


def mistake(folder, text, ports=VARYING, **settings):
    return refusal(folder, ports, "csv", write_csv(folder, text), **settings)


def test_texts_are_padded_and_their_steps_counted(tmp_path):
    data = table(tmp_path, "word,label\nabc,0\nca,1\nabca,0\n")
    assert data.vocabularies == {"word": ("a", "b", "c")}
    columns = data.training.columns
    assert columns["word"].array.tolist() == [[0, 1, 2, 0], [2, 0, 0, 0], [0, 1, 2, 0]]
    assert columns["word.length"].array.tolist() == [3, 2, 4]


def test_words_of_a_text_are_symbols_too(tmp_path):
    data = table(
        tmp_path,
        'word,label\n"A dog, a cat",0\nthe dog,1\n',
        (Port("word", "input", "class", (6,), 9, sequence="time"), LENGTH, LABEL),
        level="word",
        limit=4,
    )
    assert data.vocabularies["word"] == ("<unk>", ",", "a", "dog")
    assert data.training.columns["word"].array.tolist() == [[2, 3, 1, 2, 0, 0], [0, 3, 0, 0, 0, 0]]


def test_open_sizes_are_those_of_the_texts(tmp_path):
    ports = (Port("word", "input", "class", ("time",), "vocab", sequence="time"), LABEL)
    call = recipe("csv", write_csv(tmp_path, "word,label\nabc,0\nca,1\n"))
    assert open_sizes(call, ports, tmp_path) == {"time": 3, "vocab": 3}
    call = recipe("npz", archive(tmp_path, word=["abc", "xy"], label=[0, 1]))
    assert open_sizes(call, ports, tmp_path) == {"time": 3, "vocab": 5}


def test_a_text_that_is_too_long_is_refused_with_its_line(tmp_path):
    said = mistake(tmp_path, "word,label\nabc,0\nabcab,1\n")
    assert "`a.csv`, line 3, column `word`: 5 characters, but `word` has at most 4 steps" in said
    assert "`seq time = 5` holds the longest" in said


def test_an_empty_text_is_refused(tmp_path):
    said = mistake(tmp_path, "word,label\nabc,0\n,1\n")
    assert (
        "`a.csv`, line 3, column `word`: `word` has 0 steps there\nleave out such examples" in said
    )


def test_texts_of_a_sequence_of_fixed_length_have_that_length(tmp_path):
    data = table(tmp_path, "word,label\nabca,0\ncabc,1\n", FIXED)
    assert data.training.columns["word"].array.tolist() == [[0, 1, 2, 0], [2, 0, 1, 2]]
    said = mistake(tmp_path, "word,label\nabca,0\nab,1\n", FIXED)
    assert "line 3, column `word`: `word` has 2 steps there, and not 4" in said
    assert "`class(..)[<= time]` is a variable-length sequence" in said


def test_texts_over_one_sequence_are_equally_long(tmp_path):
    ports = (WORD, LENGTH, TAGS)
    data = table(tmp_path, "word,tags\nabc,NVN\nca,VN\n", ports)
    assert data.training.columns["tags"].array.tolist() == [[0, 1, 0, 0], [1, 0, 0, 0]]
    said = mistake(tmp_path, "word,tags\nabc,NVN\nca,VNN\n", ports)
    assert "line 3, column `tags`: `tags` has 3 steps there, but `word` has 2" in said
    assert "declare another `seq`" in said


def test_symbols_of_the_training_part_alone_are_known(tmp_path):
    write_csv(tmp_path, "word,label\nab,0\nba,1\n")
    write_csv(tmp_path, "word,label\nab,0\naxb,1\n", "b.csv")
    other = DataCall("csv", ("b.csv",))
    said = refusal_of(recipe("csv", "a.csv", validate=other), tmp_path)
    assert said == "`b.csv`, line 3, column `word`: 'x' does not occur in the training part"
    other = DataCall("csv", ("b.csv",), {"unknown": "?"})
    data = load(recipe("csv", "a.csv", validate=other, unknown="?"), VARYING, tmp_path)
    assert data.validation.columns["word"].array.tolist() == [[1, 2, 0, 0], [1, 0, 2, 0]]


def refusal_of(call, folder):
    from specc.runtime.errors import DataError

    with pytest.raises(DataError) as caught:
        load(call, VARYING, folder)
    return caught.value.diagnostics[0].message


def test_more_symbols_than_classes_are_refused(tmp_path):
    said = mistake(tmp_path, "word,label\nabcd,0\nefgh,1\nijk,0\n")
    assert "`a.csv` holds 11 different characters for `word: class(9)[4]`" in said
    assert "declare class(11)" in said


def test_numbered_columns_are_still_a_sequence_of_numbers(tmp_path):
    data = table(tmp_path, "word_1,word_2,word_3,word_4,label\n1,2,3,4,0\n5,6,7,8,1\n", FIXED)
    assert data.training.columns["word"].array.tolist() == [[1, 2, 3, 4], [5, 6, 7, 8]]


def test_an_array_of_texts_is_read_as_a_column_of_a_table(tmp_path):
    name = archive(tmp_path, word=np.array(["abc", "ca", "abca"]), label=[0, 1, 0])
    data = load(recipe("npz", name), VARYING, tmp_path)
    assert data.vocabularies == {"word": ("a", "b", "c")}
    assert data.training.columns["word"].array.tolist() == [
        [0, 1, 2, 0],
        [2, 0, 0, 0],
        [0, 1, 2, 0],
    ]
    assert data.training.columns["word.length"].array.tolist() == [3, 2, 4]
    name = archive(tmp_path, word=np.array(["a dog", "the dog"]), label=[0, 1])
    assert load(recipe("npz", name, level="word"), VARYING, tmp_path).vocabularies["word"] == (
        "<unk>",
        "a",
        "dog",
        "the",
    )


def test_an_array_of_numbers_is_a_sequence_of_full_length(tmp_path):
    name = archive(tmp_path, word=np.array([[1, 2, 3, 4], [5, 6, 7, 8]]), label=[0, 1])
    columns = load(recipe("npz", name), VARYING, tmp_path).training.columns
    assert columns["word.length"].array.tolist() == [4, 4]


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["abcab", "ab"],
            "`a.npz`, array `word`, row 1: 5 characters, but `word` has at most 4 steps",
        ),
        (["ab", ""], "`a.npz`, array `word`, row 2: `word` has 0 steps there"),
        ([["ab", "c"], ["d", "e"]], "holds examples of shape [2], but `word` is class(9)[4]"),
        ([b"ab", b"c"], "holds examples of shape [], but `word` is class(9)[4]"),
    ],
)
def test_arrays_that_are_no_such_texts_are_refused(tmp_path, words, said):
    assert said in refusal(tmp_path, VARYING, "npz", archive(tmp_path, word=words, label=[0, 1]))


@pytest.mark.parametrize(
    ("texts", "end"),
    [
        (["ab.", "c."], "."),
        (["ab.", "c"], None),
        (["a.b.", "c."], None),  # it stands elsewhere, too
    ],
)
def test_the_symbol_in_which_all_texts_end_is_known(tmp_path, texts, end):
    data = load(recipe("npz", archive(tmp_path, word=texts, label=[0, 1])), VARYING, tmp_path)
    assert data.ends.get("word") == end
