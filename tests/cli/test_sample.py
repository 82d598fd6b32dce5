"""`specc sample`: texts that trained models write."""

from __future__ import annotations

import shutil

import numpy as np
import pytest

from specc.cli.main import status_of

CHARS = """seq time = 8
dim vocab
model writer {
  stream text: class(vocab)[time]
  target next_: class(vocab)[time]
  let scores = text -> embed(8) -> lstm(24) -> dense(vocab)
  output scores
  loss cross_entropy(scores, next_)
}
train { data text("a.txt") optimizer adam(lr = 0.02) epochs = 12 batch = 4 }
"""
# an `input`: windows on their own, and yet it writes on and on
WINDOWS = CHARS.replace("stream text", "input text")
WORDS = CHARS.replace('text("a.txt")', 'text("a.txt"; level=word)')


def trained(folder, model, text, *arguments, capfd):
    (folder / "a.txt").write_text(text)
    (folder / "writer.dl").write_text(model)
    status = status_of(
        [
            "train",
            str(folder / "writer.dl"),
            "--quiet",
            "--threads",
            "1",
            "--run",
            str(folder / "runs"),
            *arguments,
        ]
    )
    assert status == 0, capfd.readouterr().err
    capfd.readouterr()
    return str(folder / "runs" / "writer" / "1")


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    folder = tmp_path_factory.mktemp("writer")
    (folder / "a.txt").write_text("hello world, " * 60)
    (folder / "writer.dl").write_text(CHARS)
    assert (
        status_of(
            [
                "train",
                str(folder / "writer.dl"),
                "--quiet",
                "--threads",
                "1",
                "--run",
                str(folder / "runs"),
            ]
        )
        == 0
    )
    return str(folder / "runs" / "writer" / "1")


@pytest.fixture
def sample(capfd):
    def sample(*arguments):
        status = status_of(["sample", *arguments])
        printed = capfd.readouterr()
        return status, printed.out, printed.err

    return sample


def test_the_likeliest_text_is_the_pattern_that_was_learned(run, sample):
    status, out, _ = sample(run, "--prompt", "hello wo", "--length", "31", "--temperature", "0")
    assert (status, out) == (0, "hello world, hello world, hello world, \n")


def test_the_same_seed_writes_the_same_text(run, sample):
    def text(seed):
        return sample(run, "--prompt", "h", "--length", "60", "--temperature", "3", "--seed", seed)[
            1
        ]

    assert text("1") == text("1") != text("2")
    assert len(text("1")) == 1 + 60 + 1


def test_a_draw_among_the_likeliest_one_is_the_likeliest(run, sample):
    arguments = [run, "--prompt", "he", "--length", "20"]
    likeliest = sample(*arguments, "--temperature", "0")[1]
    assert sample(*arguments, "--temperature", "5", "--top-k", "1")[1] == likeliest


GPT = CHARS.replace("stream text", "input text").replace(
    "lstm(24)", "learned_positions -> transformer(heads=2, causal=true)"
)


@pytest.mark.parametrize("model", [CHARS, GPT], ids=["recurrent", "causal"])
def test_several_prompts_are_continued_as_each_alone(model, tmp_path, sample, capfd):
    run = trained(
        tmp_path, model, "hello world, " * 60, "epochs=4", "--dtype", "float64", capfd=capfd
    )
    prompts = ["h", "hello", "o wor", "d, hello world, hello"]
    given = [part for prompt in prompts for part in ("--prompt", prompt)]
    more = "--length", "30", "--temperature", "0.8"
    status, out, err = sample(run, *given, *more, "--seed", "5")
    assert status == 0, err
    texts = out.removesuffix("\n").split("\n---\n")
    assert len(texts) == 4
    for number, (prompt, text) in enumerate(zip(prompts, texts, strict=True)):
        alone = sample(run, "--prompt", prompt, *more, "--seed", str(5 + number))[1]
        assert text + "\n" == alone
        assert len(text) == len(prompt) + 30
    assert sample(run, *given, "--length", "0")[1] == "\n---\n".join(prompts) + "\n"


def test_a_text_may_begin_without_a_prompt_and_be_empty(run, sample):
    assert sample(run, "--length", "0") == (0, "\n", "")
    status, out, _ = sample(run, "--length", "5")
    assert status == 0 and len(out) == 6


def test_a_character_that_was_never_seen_is_refused(run, sample):
    status, out, err = sample(run, "--prompt", "hexagon")
    assert status == 2 and out == ""
    assert "the training data does not contain 'x': its characters are   , d e h l o r w" in err


def test_windows_that_are_independent_write_on_as_well(tmp_path, sample, capfd):
    run = trained(tmp_path, WINDOWS, "hello world, " * 60, capfd=capfd)
    _, out, _ = sample(run, "--prompt", "hello wo", "--length", "18", "--temperature", "0")
    assert out == "hello world, hello world, \n"


def test_words_are_written_with_spaces_between_them(tmp_path, sample, capfd):
    run = trained(tmp_path, WORDS, "the cat sat on a mat . " * 40, capfd=capfd)
    status, out, _ = sample(run, "--prompt", "The cat", "--length", "7", "--temperature", "0")
    assert (status, out) == (0, "The cat sat on a mat . the cat\n")
    assert sample(run, "--prompt", "unicorns", "--length", "1")[0] == 0  # the unknown word


def test_a_declared_symbol_is_read_in_place_of_an_unknown_one(tmp_path, sample, capfd):
    model = CHARS.replace('text("a.txt")', 'text("a.txt"; unknown = "?")').replace(
        "epochs = 12", "epochs = 1"
    )
    run = trained(tmp_path, model, "hello world, " * 40, capfd=capfd)
    arguments = "--length", "20", "--temperature", "0"
    status, out, _ = sample(run, "--prompt", "h!", *arguments)
    assert status == 0 and out[2:] == sample(run, "--prompt", "h?", *arguments)[1][2:]


def test_a_run_that_reads_no_text_does_not_write(tmp_path, sample, capfd):
    (tmp_path / "tiny.dl").write_text("""model tiny {
        input image: float[64] target label: class(10)
        let scores = image -> dense(10) output scores loss cross_entropy(scores, label) }
        train { data digits() optimizer sgd(lr = 0.1) epochs = 1 }""")
    assert (
        status_of(
            [
                "train",
                str(tmp_path / "tiny.dl"),
                "--quiet",
                "--threads",
                "1",
                "--run",
                str(tmp_path / "runs"),
            ]
        )
        == 0
    )
    capfd.readouterr()
    status, _, err = sample(str(tmp_path / "runs" / "tiny" / "1"))
    assert status == 2 and "`tiny` cannot generate" in err


def test_one_step_at_a_time_gives_the_scores_of_a_whole_pass(run):
    """The writer carries its states as a pass over all steps does."""
    from pathlib import Path

    from specc import driver
    from specc.cli.session import run_program
    from specc.runs.writing import Writing
    from specc.runtime.checkpoint import restore
    from specc.runtime.run import open_run

    opened = open_run(Path(run))
    program = run_program(opened, {})
    net = driver.compile(program, batch=1, threads=1)
    restore(opened.best, net, streams=False)
    writing = Writing.of(opened, program)
    writer = writing.writer(net)
    numbers = np.array([[3, 1, 4, 1, 5, 2, 6, 5]])
    wanted = net.forward(text=numbers)["scores"][0]
    found = [writer.read(int(each)) for each in numbers[0]]
    np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-5)


def test_the_best_weights_write_and_not_the_last_ones(run, sample, tmp_path, capfd):
    worse = trained(tmp_path, CHARS, "dlrow ,olleh " * 60, "epochs=3", capfd=capfd)
    own = shutil.copytree(run, tmp_path / "own")
    shutil.copy(f"{worse}/last.safetensors", own / "last.safetensors")
    arguments = "--prompt", "hello wo", "--length", "31", "--temperature", "0"
    assert sample(str(own), *arguments)[1] == "hello world, hello world, hello world, \n"
    assert sample(worse, *arguments)[1] != "hello world, hello world, hello world, \n"
