"""`sample = 300` in `train`: a model writes while it is trained."""

import json
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from specc.runs.writing import samples

MODEL = """
seq time = 8
dim vocab
model char {
  stream text: class(vocab)[time]
  target next_: class(vocab)[time]
  let scores = text -> embed(4) -> rnn(8) -> dense(vocab)
  output scores
  loss cross_entropy(scores, next_)
}
train {
  data text("t.txt") optimizer sgd(lr = 0.5) batch = 4 epochs = 2 clip_norm = 1
  SAMPLE
}
"""
TEXT = "the cat sat on the mat, and the dog sat by the door. " * 80


@pytest.fixture
def train(tmp_path, monkeypatch, specc):
    """Trains the model with lines in `train`: the run's folder, and what was printed."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "t.txt").write_text(TEXT)

    def run(lines: str, *arguments: str, status: int = 0) -> tuple[Path, str]:
        (tmp_path / "c.dl").write_text(MODEL.replace("SAMPLE", lines))
        found, out, err = specc("train", "c.dl", *arguments)
        assert found == status, err
        numbers = sorted(int(each.name) for each in (tmp_path / "runs/char").iterdir())
        return tmp_path / "runs/char" / str(numbers[-1]), out + err

    return run


def test_texts_at_the_start_at_round_steps_and_after_epochs(train):
    folder, out = train('sample = 30  prompt = "the "  temperature = 0.5')
    found = samples(folder)
    steps = (len(TEXT) - 1) // (4 * 8)
    assert [each["step"] for each in found] == [0, 100, steps, 2 * steps]
    assert [each["epoch"] for each in found] == [0, 1, 1, 2]
    assert all(each["text"].startswith("the ") for each in found)
    assert {len(each["text"]) for each in found} == {34}
    assert "step 0: the " in out and "step 100: the " in out
    assert all(len(line) <= 80 for line in out.splitlines())


def test_the_last_text_is_that_of_the_last_weights(train, specc):
    folder, _ = train('sample = 40  prompt = "the "  temperature = 0', "epochs=1")
    status, out, _ = specc("sample", folder, "--prompt", "the ", "--length", 40, "--temperature", 0)
    assert status == 0 and out.rstrip("\n") == samples(folder)[-1]["text"].rstrip("\n")


def test_writing_changes_nothing_of_the_training(train):
    with_texts, _ = train("sample = 20")
    without, _ = train("")
    one, other = load_file(with_texts / "last.safetensors"), load_file(without / "last.safetensors")
    assert one.keys() == other.keys()
    for name, array in one.items():
        if name != "progress.seconds":
            assert array.tobytes() == other[name].tobytes() or "second" in name, name


def test_a_resumed_training_goes_on_with_its_texts(train, specc):
    folder, _ = train("sample = 10", "epochs=1")
    first = (folder / "samples.jsonl").read_text()
    with (folder / "samples.jsonl").open("a") as file:
        file.write(json.dumps({"step": 10**6, "epoch": 9, "text": "from a later future"}) + "\n")
        file.write('{"step": 10')  # a line that a kill cut off
    status, _, err = specc("train", "--resume", folder, "epochs=2")
    assert status == 0, err
    whole = (folder / "samples.jsonl").read_text()
    assert whole.startswith(first) and "later future" not in whole
    steps = [each["step"] for each in samples(folder)]
    assert steps == sorted(set(steps)) and len(steps) == 4


def test_a_prompt_of_unknown_letters(train):
    _, out = train('sample = 10  prompt = "zzz é"', status=1)
    assert "the training data does not contain 'z'" in out and "prompt =" in out


def test_samples_as_a_figure(train, specc):
    folder, _ = train("sample = 30", "epochs=1")
    status, out, _ = specc("plot", folder, "samples", "-o", "s.svg")
    assert status == 0 and "wrote s.svg" in out
    shown = Path("s.svg").read_text()
    texts = samples(folder)
    assert "step 0" in shown and f"step {texts[-1]['step']:,}, epoch 1, loss" in shown
    assert np.all([len(each["text"]) == 30 for each in texts])
