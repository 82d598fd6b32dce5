"""`specc grade`: what differs between an answer and a reference, and what does not."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from specc.runs.grading import CHECKS, Wanted, grade

HINGE = """model svm {
  input  x: float[64]
  target label: class(10)
  let scores = x -> dense(10)
  output scores
  loss   hinge(scores, label)
  metric accuracy(scores, label)
}

train {
  data      digits()
  validate  split = 0.8
  optimizer sgd(lr = 0.1)
  epochs    = 2
}
"""
BY_HAND = HINGE.replace("hinge(scores, label)", "sum(max(0, scores - scores[label] + 1)) - 1")
STRUCTURE = Wanted(tuple(each for each in CHECKS if each != "metrics"))


@pytest.fixture
def files(tmp_path):
    def write(answer: str, reference: str = HINGE) -> tuple[Path, Path]:
        paths = tmp_path / "answer.dl", tmp_path / "reference.dl"
        for path, text in zip(paths, (answer, reference), strict=True):
            path.write_text(text, encoding="utf-8")
        return paths

    return write


def verdicts(report) -> dict[str, bool | None]:
    return {each.name: each.passed for each in report.checks}


def test_the_same_formula_in_other_words_passes(files):
    report = grade(*files(BY_HAND), STRUCTURE)
    assert report.passed and verdicts(report) == dict.fromkeys(STRUCTURE.checks, True)
    assert report.checks[-1].found < 1e-12


@pytest.mark.parametrize(
    "old, new, wrong, skipped",
    [
        ("label] + 1)) - 1", "label] + 2)) - 2", "function", ""),
        ("float[64]", "float[32]", "inputs parameters", "function"),
        ("(10)", "(11)", "targets outputs parameters", "function"),
        ("dense(10)", "dense(4) -> relu -> dense(10)", "parameters", "function"),
        ("output scores", "output softmax(scores)", "function", ""),
        ("output scores", "output scores output s = 2 * scores", "outputs", "function"),
    ],
)
def test_what_differs_is_named(files, old, new, wrong, skipped):
    answer = BY_HAND.partition("train {")[0]
    assert old in answer
    report = grade(*files(answer.replace(old, new)), STRUCTURE)
    found = verdicts(report)
    assert not report.passed
    assert {name for name, passed in found.items() if passed is False} == set(wrong.split())
    assert {name for name, passed in found.items() if passed is None} == set(skipped.split())


def test_gradients_are_compared_where_losses_are_equal(files):
    stopped = BY_HAND.replace("scores[label] + 1", "stop_gradient(scores[label]) + 1")
    (check,) = grade(*files(stopped), Wanted(("function",))).checks
    assert check.passed is False and check.message.startswith("gradient 1 differs")


def test_an_answer_with_errors_fails_with_the_first_of_them(files):
    report = grade(*files(HINGE.replace("hinge", "hing")))
    assert verdicts(report) == {"errors": False}
    assert "unknown-name" in report.checks[0].message


def test_open_sizes_and_states_are_compared(files):
    model = """dim n

model m {
  input  x: float[n]
  target y: float[3]
  let z = x -> dense(3) -> batchnorm
  output z
  loss   mse(z, y)
}
"""
    assert (
        grade(*files(model.replace("dim n", "dim k").replace("[n]", "[k]"), model)).passed is False
    )
    assert grade(*files(model.replace("mse(z, y)", "mean((z - y) ^ 2)"), model)).passed


@pytest.mark.slow
def test_both_are_trained_on_the_data_of_the_reference(files):
    other = BY_HAND.replace("data      digits()", 'data      csv("nothing.csv")')
    report = grade(*files(other), Wanted(("metrics",)))
    assert report.passed and report.checks[0].found["accuracy"] > 0.8
    bad = BY_HAND.replace("sgd(lr = 0.1)", "sgd(lr = 1e-5)")
    (check,) = grade(*files(bad), Wanted(("metrics",))).checks
    assert check.passed is False and "`accuracy`" in check.message
    (check,) = grade(*files(BY_HAND.partition("train")[0]), Wanted(("metrics",))).checks
    assert check.passed is False and "cannot be trained" in check.message


def test_the_command_prints_text_or_json_and_exits_with_the_verdict(files, specc):
    answer, reference = files(BY_HAND)
    status, printed, _ = specc("grade", answer, "--against", reference, "--check", "function")
    assert status == 0 and printed.endswith("no difference\n") and "  ok     function " in printed
    wrong, reference = files(BY_HAND.replace("label] + 1)) - 1", "label] + 3)) - 3"))
    status, printed, _ = specc(
        "grade", wrong, "--against", reference, "--check", "function", "--json"
    )
    record = json.loads(printed)
    assert status == 1 and record["passed"] is False
    assert record["checks"][0]["name"] == "function" and record["checks"][0]["expected"]
    assert specc("grade", wrong)[0] == 2


def test_what_was_not_compared_is_said(files, specc):
    """A check alone that cannot be made is no proof that nothing differs."""
    answer, reference = files(BY_HAND.replace("(10)", "(11)"))
    status, printed, _ = specc("grade", answer, "--against", reference, "--check", "function")
    assert status == 0
    assert printed.endswith("no difference, but not compared: function\n")
    report = grade(answer, reference, Wanted(("function",)))
    assert report.skipped == ["function"] == report.to_record()["skipped"]
