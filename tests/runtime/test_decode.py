"""Sequences that a model writes, step by step, from what it has written so far."""

from __future__ import annotations

import csv
import json
import shutil

import numpy as np
import pytest
from sequences import randomized

import specc
from specc import driver
from specc.cli.main import status_of
from specc.recipe import Column
from specc.runtime.decode import decode, draw
from specc.source import Source

MODEL = """seq length = 6 dim kinds dim letters
model names {
  input  kind: class(kinds)
  target word: class(letters)[<= length]
  let h = kind -> embed(16)
  let scores = previous(word) -> embed(8) -> gru(h=h; 16) -> dense(letters)
  output scores
  loss cross_entropy(scores, word)
  metric exact = 1 - min(1, sum(if argmax(scores) == word then 0 else 1; over=length))
}
train { data csv("names.csv") optimizer adam(lr = 0.02) epochs = 25 batch = 8 }
"""
WORDS = {"red": "rot", "green": "gruen", "blue": "blau"}


def net_of(text=MODEL, batch=4, **sizes):
    program = driver.load(Source("x.dl", text), sizes)
    net = specc.compile(program, batch=batch, dtype="float64", threads=1)
    randomized(net)
    return net


@pytest.fixture(scope="module")
def net():
    return net_of(kinds=3, letters=5)


def test_the_likeliest_symbol_follows_from_those_before(net):
    kinds = np.arange(3).repeat(2)
    found = net.decode(kind=kinds)["word"]
    assert found.shape == (6, 6) and found.dtype == np.int32
    # the scores of a pass over what was written have their maxima there
    scores = net.forward(kind=kinds, word=found)["scores"]
    assert np.array_equal(scores.argmax(-1), found)
    assert np.array_equal(found[0], found[1])
    assert len({tuple(row) for row in found}) > 1


def test_drawn_symbols_follow_the_seed(net):
    kinds = np.zeros(20, int)
    one = net.decode(1.0, 1, kind=kinds)["word"]
    assert np.array_equal(one, net.decode(1.0, 1, kind=kinds)["word"])
    assert not np.array_equal(one, net.decode(1.0, 2, kind=kinds)["word"])
    assert len({tuple(row) for row in one}) > 1  # each example draws for itself
    cold = net.decode(1e-6, 1, kind=kinds)["word"]
    assert np.array_equal(cold, net.decode(kind=kinds)["word"])


def test_draws_have_the_probabilities_of_the_scores():
    random, scores = np.random.Generator(np.random.Philox(0)), np.log([0.5, 0.3, 0.2])
    counts = np.bincount([draw(scores, 1.0, None, random) for _ in range(4000)]) / 4000
    np.testing.assert_allclose(counts, [0.5, 0.3, 0.2], atol=0.03)
    assert {draw(scores, 1.0, 2, random) for _ in range(100)} == {0, 1}
    assert {draw(scores, 0.05, None, random) for _ in range(100)} == {0}


def test_writing_stops_when_all_have_ended(net):
    calls = []

    def predict(data):
        calls.append(1)
        return net.predict_rows(data)

    data = {"kind": Column(np.zeros(2, np.int32))}
    whole = decode(predict, net.written, net.ports, data)["word"]
    assert len(calls) == 6
    calls.clear()
    end = int(whole[0, 2])
    at = whole[0].tolist().index(end)
    found = decode(predict, net.written, net.ports, data, ends={"word": end})["word"]
    assert len(calls) == at + 1
    assert np.array_equal(found[:, : at + 1], whole[:, : at + 1]) and not found[:, at + 1 :].any()


GPT = """seq length = 6 dim letters = 7
model names {
  input  kind: class(3)
  target word: class(letters)[LENGTH]
  let k = along(embed(kind; 8); length)
  let scores = (previous(word) -> embed(8)) + k -> learned_positions
    -> transformer(heads=2, causal=true) -> dense(letters)
  output scores
  loss cross_entropy(scores, word)
}
"""
AHEAD = GPT.replace("causal=true", "causal=false")


@pytest.mark.parametrize("most", ["length", "<= length"])
@pytest.mark.parametrize("model", [MODEL, GPT, AHEAD], ids=["recurrent", "causal", "ahead"])
def test_beginnings_of_different_lengths_are_continued_as_each_alone(model, most):
    model = model.replace("[<= length]", "[LENGTH]").replace("LENGTH", most)
    sizes = {"kinds": 3, "letters": 5} if model.count("kinds") else {}
    net = net_of(model, batch=32, **sizes)
    kinds = np.arange(7) % 3
    words = [[], [1], [4, 0], [2, 2, 3], [0, 1, 2, 3], [1, 2, 3, 4, 0], [3, 1, 0, 2, 4, 1]]
    found = net.decode(kind=kinds, word=words)["word"]
    assert found.shape == (7, 6)
    for row, (kind, word) in enumerate(zip(kinds, words, strict=True)):
        assert found[row, : len(word)].tolist() == word
        alone = net.decode(kind=[kind], word=[word])["word"]
        assert np.array_equal(found[row], alone[0])
        scores = net.forward(kind=[kind], word=found[row : row + 1])["scores"][0]
        if model.find("causal=false") < 0:
            assert np.array_equal(scores.argmax(-1)[len(word) :], found[row, len(word) :])
    assert np.array_equal(net.decode(kind=kinds)["word"][0], found[0])
    padded = np.array([word + [0] * (6 - len(word)) for word in words])
    given = {"word": padded, "word.length": [len(word) for word in words]}
    assert np.array_equal(net.decode(kind=kinds, **given)["word"], found)
    square = net.decode(0.7, 3, kind=kinds, word=padded[:, :2])["word"]
    assert np.array_equal(square[:, :2], padded[:, :2])


def test_what_is_wrong_with_a_beginning_is_said(net):
    for given, message in (
        ({"word": [[1, 2]]}, "equally many examples, but there are 1 and 2"),
        ({"word": [[1] * 7, []]}, "word has at most 6 steps, but example 0 has 7"),
        ({"word": [[5], [0]]}, "word must be integers 0 to 4, but goes from 0 to 5"),
        ({"word": [[1.5], [0.5]]}, "word must be integers 0 to 4, not float64"),
        ({"word": [1, 2]}, "word must be .steps. for each example"),
        ({"word": np.ones((2, 3), int), "word.length": [1]}, "word.length must be an integer"),
    ):
        with pytest.raises(ValueError, match=message):
            net.decode(kind=[0, 1], **given)
    with pytest.raises(TypeError, match="word must be an array, or a list"):
        net.decode(kind=[0, 1], word="ab")


def test_a_model_without_inputs_writes_on_from_beginnings():
    net = net_of("""seq n = 5 model m { target a: class(4)[n]
        let s = previous(a) -> embed(3) -> gru(5) -> dense(4) output s
        loss cross_entropy(s, a) }""")
    words = [[], [2], [1, 1, 3]]
    found = net.decode(a=words)["a"]
    scores = net.forward(a=found)["s"].argmax(-1)
    for row, word in enumerate(words):
        assert found[row].tolist() == [*word, *scores[row, len(word) :]]


def test_nothing_is_written_for_no_examples(net):
    assert net.decode(kind=np.zeros(0, int))["word"].shape == (0, 6)


def test_an_output_that_reads_a_target_needs_it(net):
    with pytest.raises(
        ValueError, match="the outputs of names read its target `word`: give it too, or let"
    ):
        net.forward(kind=[1])
    assert net.forward(kind=[1], word=[[1, 2]])["scores"].shape == (1, 6, 5)
    with pytest.raises(ValueError, match=r"names takes kind: class\(3\) here; missing: kind"):
        net.decode()


def test_a_model_that_writes_nothing_says_so():
    net = net_of("""model m { input x: float[2] target y: float[2] let w = dense(x; 2)
        output w loss mse(w, y) }""")
    with pytest.raises(ValueError, match="no output of m reads a target of classes"):
        net.decode(x=np.zeros((1, 2)))


@pytest.mark.parametrize(
    ("outputs", "said"),
    [
        ("output mean(w; over=time)", "no output is that"),
        ("output w output p = softmax(w)", "any of the outputs w, p could be that"),
    ],
)
def test_a_target_without_scores_of_its_own_cannot_be_written(outputs, said):
    net = net_of(f"""seq time = 3 model m {{ input x: float[2] target y: class(4)[time]
        let w = previous(y) -> embed(3) -> rnn(h=dense(x; 4); 4) -> dense(4) {outputs}
        loss cross_entropy(w, y) }}""")
    with pytest.raises(
        ValueError,
        match=f"to generate `y` step by step, one output must score its 4 classes.*{said}",
    ):
        net.decode(x=np.zeros((1, 2)))


def test_a_target_that_is_no_sequence_of_classes_is_never_written():
    net = net_of("""model m { input x: float[2] target a: class(3) let s = dense(x; 3)
        output hit = s[a] loss cross_entropy(s, a) }""")
    with pytest.raises(ValueError, match="missing: a"):
        net.forward(x=np.zeros((1, 2)))
    with pytest.raises(ValueError, match="no output of m reads a target of classes"):
        net.decode(x=np.zeros((1, 2)))


def test_several_targets_are_written_one_after_the_other():
    net = net_of("""seq n = 3 model m { input x: float[2] target a: class(3)[<= n]
        target b: class(4)[<= n]
        let h = dense(x; 5)
        let first = previous(a) -> embed(3) -> gru(h=h; 5) -> dense(3)
        let second = concat(previous(b) -> embed(3), a -> embed(3)) -> gru(h=h; 5) -> dense(4)
        output first output second loss cross_entropy(first, a) loss cross_entropy(second, b) }""")
    x = np.random.default_rng(0).standard_normal((4, 2))
    found = net.decode(x=x)
    scores = net.forward(x=x, **found)
    assert np.array_equal(scores["first"].argmax(-1), found["a"])
    assert np.array_equal(scores["second"].argmax(-1), found["b"])


def test_predict_takes_a_target_from_the_file_that_the_model_does_not_write(tmp_path, capfd):
    (tmp_path / "a.csv").write_text("x,kind\n" + "0,no\n1,yes\n" * 20)
    (tmp_path / "m.dl").write_text("""model m { input x: float[] target kind: class(2)
        let s = concat(x, 1 - x) -> dense(2) output hit = s[kind] loss cross_entropy(s, kind) }
        train { data csv("a.csv") optimizer sgd(lr = 0.1) epochs = 1 }""")
    assert (
        status_of(["train", str(tmp_path / "m.dl"), "--quiet", "--run", str(tmp_path / "runs")])
        == 0
    )
    run, out = str(tmp_path / "runs" / "m" / "1"), tmp_path / "out.csv"
    assert status_of(["predict", run, str(tmp_path / "a.csv"), "-o", str(out)]) == 0
    assert len(out.read_text().splitlines()) == 41
    (tmp_path / "b.csv").write_text("x\n0\n")
    assert status_of(["predict", run, str(tmp_path / "b.csv"), "-o", str(out)]) == 1
    assert "kind" in capfd.readouterr().err


def test_an_input_of_varying_length_is_read_to_its_end():
    net = net_of("""seq read = 5 seq written = 4
        model m { input x: class(5)[<= read] target y: class(3)[<= written]
        let _, h = x -> embed(3) -> gru(4)
        let w = previous(y) -> embed(3) -> gru(h=h; 4) -> dense(3) output w
        loss cross_entropy(w, y) }""")
    alone = net.decode(x=[[1, 2]])["y"]
    among = net.decode(x=[[1, 2], [4, 3, 2, 1, 0]])["y"]
    assert np.array_equal(alone[0], among[0])


# The command.


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("names")
    with (folder / "names.csv").open("w", newline="") as file:
        table = csv.writer(file)
        table.writerow(["kind", "word"])
        table.writerows([(kind, f"{word}.") for kind, word in WORDS.items()] * 12)
    (folder / "names.dl").write_text(MODEL)
    assert (
        status_of(
            [
                "train",
                str(folder / "names.dl"),
                "--quiet",
                "--threads",
                "1",
                "--run",
                str(folder / "runs"),
            ]
        )
        == 0
    )
    return folder / "runs" / "names" / "1"


def predicted(run, folder, *arguments, output="out.csv"):
    (folder / "in.csv").write_text("kind\nblue\nred\ngreen\nblue\n")
    out = folder / output
    return status_of(["predict", str(run), str(folder / "in.csv"), "-o", str(out), *arguments]), out


def test_a_run_records_the_symbol_that_ends_its_texts(run):
    assert json.loads((run / "run.json").read_text())["ends"] == {"word": "."}


def test_predict_writes_texts_up_to_their_end(run, tmp_path, capfd):
    status, out = predicted(run, tmp_path)
    assert status == 0
    assert out.read_text() == "word\nblau.\nrot.\ngruen.\nblau.\n"
    assert "wrote word of 4 examples" in capfd.readouterr().out
    status, out = predicted(run, tmp_path, output="out.npz")
    assert status == 0
    assert np.load(out)["word"].tolist() == ["blau.", "rot.", "gruen.", "blau."]


def test_predict_draws_texts_with_a_temperature(run, tmp_path):
    def texts(seed):
        status, out = predicted(run, tmp_path, "--temperature", "8", "--seed", seed)
        assert status == 0
        return out.read_text()

    assert texts("1") == texts("1") != texts("2")


def test_without_a_common_end_texts_have_all_steps(run, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(run, copy)
    record = json.loads((copy / "run.json").read_text())
    (copy / "run.json").write_text(json.dumps({**record, "ends": {}}))
    status, out = predicted(copy, tmp_path)
    lines = out.read_text().splitlines()
    assert (
        status == 0 and all(len(line) == 6 for line in lines[1:]) and lines[1].startswith("blau.")
    )


def test_eval_measures_a_text_that_is_there(tmp_path, run, capfd):
    status = status_of(["train", "--resume", str(run), "epochs=26", "--quiet"])
    assert status == 0 and "exact 1" in capfd.readouterr().out


def test_a_run_that_writes_targets_is_no_writer_of_texts(run, capfd):
    assert status_of(["sample", str(run)]) == 2
    assert "`names` cannot generate" in capfd.readouterr().err
