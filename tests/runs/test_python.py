"""Runs from Python: specc.train, specc.open, and what a net does with tables."""

from __future__ import annotations

import copy
import pickle
from pathlib import Path

import numpy as np
import pytest

import specc
from specc.backend.machine.profile import Profile
from specc.net.answers import meanings, sigmoid
from specc.runs.listener import AsWarnings
from specc.runs.run import Metrics
from specc.runs.start import resume

TEXT = """dim kinds
model flowers {
  input  x: float[2]
  target kind: class(kinds)
  let scores = x -> dense(4) -> tanh -> dense(kinds)
  output scores
  loss cross_entropy(scores, kind)
  metric accuracy(scores, kind)
}
train {
  data csv("flowers.csv"; x = "length, width", scale = 0.5)
  validate split = 0.8
  optimizer sgd(lr = 0.3 * (1 - progress))
  epochs = 4
  batch = 8
}
"""
KINDS = ("aster", "rose", "tulip")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with flowers.dl and flowers.csv."""
    place = tmp_path_factory.mktemp("python")
    generator = np.random.Generator(np.random.PCG64(2))
    lines = ["length,width,kind"]
    for row in range(90):
        a, b = generator.normal(size=2) + np.array([2, -1]) * (row % 3)
        lines.append(f"{a:.3f},{b:.3f},{KINDS[row % 3]}")
    (place / "flowers.csv").write_text("\n".join(lines) + "\n")
    (place / "flowers.dl").write_text(TEXT)
    return place


@pytest.fixture(scope="module")
def run(folder):
    return specc.train(folder / "flowers.dl", runs=folder / "runs", dtype="float64", quiet=True)


@pytest.fixture(scope="module")
def net(run):
    return specc.open(run.folder)


def rows(folder):
    table = [line.split(",") for line in (folder / "flowers.csv").read_text().split()[1:]]
    x = np.array([[float(a), float(b)] for a, b, _ in table])
    return x, np.array([kind for *_, kind in table])


def same(net, other):
    return all(np.array_equal(other.params[path], value) for path, value in net.params.items())


def test_a_run_has_its_figures_as_a_table(run):
    assert run.outcome == "finished" and [row["epoch"] for row in run.metrics] == [1, 2, 3, 4]
    assert run.metrics.columns[:5] == ["epoch", "step", "seconds", "train_loss", "val_loss"]
    assert run.metrics["val_loss"] == [row["val_loss"] for row in run.metrics]
    assert run.metrics[-1]["step"] == 36 and len(run.metrics[1:]) == 3
    with pytest.raises(KeyError, match="the columns are epoch, step"):
        run.metrics["loss"]
    assert str(run.metrics).splitlines()[0].split() == run.metrics.columns
    assert "<Run " in repr(run) and "validation loss" in repr(run)
    assert run._repr_html_().count("<polyline") == 2
    assert run.metrics._repr_html_().count("<tr>") == 5


def test_an_empty_table_of_figures_can_be_shown():
    assert repr(Metrics()) == "" and Metrics().columns == []


def test_the_net_of_a_run_is_that_of_its_best_epoch(run, net, folder):
    assert same(net, run.net)
    best = int(np.argmin(run.metrics["val_loss"]))
    assert run.summary.best_epoch == run.metrics[best]["epoch"]
    last = specc.open(run.folder, which="last")
    assert same(last, net) == (best == 3)
    with pytest.raises(ValueError, match='which is "best" or "last", not \'worst\''):
        specc.open(run.folder, which="worst")


def test_predictions_have_the_classes_by_name_and_their_probabilities(net, folder):
    x, kinds = rows(folder)
    found = net.predict(folder / "flowers.csv")
    assert list(found) == ["kind", *(f"kind_{kind}" for kind in KINDS)]
    scores = net.forward(x=0.5 * x)["scores"]
    chances = np.exp(scores) / np.exp(scores).sum(axis=1, keepdims=True)
    for k, kind in enumerate(KINDS):
        np.testing.assert_allclose(found[f"kind_{kind}"], chances[:, k], rtol=1e-12)
    assert found["kind"].tolist() == [KINDS[k] for k in scores.argmax(axis=1)]
    figures = net.evaluate(folder / "flowers.csv")
    assert figures["accuracy"] == pytest.approx((found["kind"] == kinds).mean())
    right = [KINDS.index(kind) for kind in kinds]
    assert figures["loss"] == pytest.approx(-np.log(chances[np.arange(90), right]).mean())


def test_a_copy_of_a_net_predicts_as_it_does(net, folder, tmp_path):
    wanted = net.predict(folder / "flowers.csv")
    net.save(tmp_path / "saved")
    net.save(tmp_path / "saved")  # in the place of the first
    others = [pickle.loads(pickle.dumps(net)), copy.deepcopy(net), specc.open(tmp_path / "saved")]
    for other in others:
        found = other.predict(folder / "flowers.csv")
        assert all(np.array_equal(found[name], wanted[name]) for name in wanted)
    assert [each.name for each in tmp_path.iterdir()] == ["saved"]
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "mine.txt").write_text("mine")
    with pytest.raises(specc.SpecError, match="holds no saved model"):
        net.save(tmp_path / "other")


def test_fit_trains_in_memory_as_train_does_in_a_folder(run, folder):
    """The schedule reads `progress`: it must go from 0 to 1 there, too."""
    last = specc.open(run.folder, which="last")
    program = specc.load(folder / "flowers.dl", kinds=3)
    net = specc.compile(program, dtype="float64", threads=1)
    seen = []
    epochs = net.fit(folder / "flowers.csv", validate=0.2, callbacks=[seen.append])
    assert [each.training["loss"] for each in epochs] == pytest.approx(run.metrics["train_loss"])
    assert seen == epochs and net.epochs_done == 4
    assert same(net, specc.open(run.folder))
    assert net.encoding.vocabularies == last.encoding.vocabularies == {"kind": KINDS}
    again = net.fit(folder / "flowers.csv", epochs=2, callbacks=[lambda epoch: True])
    assert [each.epoch for each in again] == [5] and net.epochs_done == 5


def test_a_callback_ends_a_training(folder, tmp_path):
    ended = specc.train(
        TEXT,
        folder / "flowers.csv",
        validate=folder / "flowers.csv",
        runs=tmp_path,
        quiet=True,
        callbacks=[lambda epoch: epoch.epoch == 2],
        lr=0.1,
        optimizer="momentum",
    )
    assert ended.outcome == "early" and ended.metrics["epoch"] == [1, 2]
    assert {path.rpartition(".")[2] for path in ended.net.states} == {"v"}


@pytest.mark.parametrize("arguments", [{"epcohs": 3}, {"model.hidden": 3}])
def test_an_unknown_override_is_an_error(folder, tmp_path, arguments):
    with pytest.raises(specc.SpecError) as error:
        specc.train(folder / "flowers.dl", runs=tmp_path, **arguments)
    assert error.value.diagnostics[0].name == "unknown-override"
    assert not list(tmp_path.iterdir())


def test_a_share_to_validate_on_is_checked(folder, tmp_path):
    with pytest.raises(ValueError, match="validate is a share between 0 and 1"):
        specc.train(folder / "flowers.dl", validate=1.5, runs=tmp_path)


@pytest.mark.parametrize("of", ["scores[2]", "loss"])
@pytest.mark.parametrize("by", ["x", "dense1.weight"])
def test_gradients_of_a_number_agree_with_finite_differences(net, folder, of, by):
    x, kinds = rows(folder)
    arrays = {"x": x[:19]}
    if of == "loss":
        arrays["kind"] = np.array([KINDS.index(kind) for kind in kinds[:19]])
    found = net.gradients(of=of, by=by, **arrays)

    def number():
        if of == "loss":
            return np.full(19, net.loss_and_gradients(**arrays)[0])
        return net.forward(x=arrays["x"])["scores"][:, 2]

    step, place = 1e-5, (3, 1)
    array = arrays["x"] if by == "x" else net.params[by]
    before = array[place]
    array[place] = before + step
    high = number()
    array[place] = before - step
    low = number()
    array[place] = before
    slope = (high - low) / (2 * step)
    if by == "x" and of == "loss":
        wanted = slope[0] * 19  # the loss is a mean: an example's own number counts 1/19
    else:
        wanted = slope[3] if by == "x" else slope.mean()
    assert found.shape == (array.shape if by != "x" else x[:19].shape)
    assert found[place] == pytest.approx(wanted, rel=1e-6, abs=1e-9)


@pytest.mark.parametrize(
    ("of", "by", "message"),
    [
        ("scores", "x", r"of` must be one number: `scores` has the shape \[3\], so write"),
        ("scores[3]", "x", r"so write `scores\[0..2\]`"),
        ("score[0]", "x", "did you mean `scores`"),
        ("scores[0]", "dense1.wieght", "did you mean `dense1.weight`"),
        ("scores[0]", "kind", "has no input or parameter of real numbers `kind`"),
    ],
)
def test_gradients_say_what_there_is(net, of, by, message):
    with pytest.raises(ValueError, match=message):
        net.gradients(of=of, by=by, x=np.zeros((1, 2)))


def test_what_an_output_means_follows_from_its_loss():
    found = meanings(
        specc.loads(
            """model m {
              input x: float[3]
              target a: class(2)
              target b: bool
              target c: class(3)
              target d: bool
              let first = x -> dense(2)
              let second = x -> dense(1) -> flatten
              let third = x -> dense(3)
              let fourth = abs(second[0])
              output softmax(first)
              output chance = sigmoid(second[0])
              output third
              output fourth
              loss cross_entropy(first, a)
              loss binary_cross_entropy(second[0], b)
              loss hinge(third, c)
              loss contrast = if d then fourth else max(0, 1 - fourth)
            }
            train { optimizer sgd(lr = 0.1) }"""
        )
    )
    assert {name: (each.target.name, each.holds) for name, each in found.items()} == {
        "softmax": ("a", "probabilities"),
        "chance": ("b", "probabilities"),
        "third": ("c", "values"),
    }


def test_the_probability_of_a_score_never_overflows():
    score = np.array([-1000, -1, 0, 1, 1000], np.float32)
    with np.errstate(over="raise", invalid="raise"):
        found = sigmoid(score)
    np.testing.assert_allclose(found, [0, 1 / (1 + np.e), 0.5, np.e / (1 + np.e), 1], rtol=1e-6)
    assert found.dtype == np.float32


@pytest.mark.parametrize("text", [None, b"model m { }", 3])
def test_loads_takes_a_text(text):
    with pytest.raises(TypeError, match=f"loads takes a text, not {type(text).__name__}"):
        specc.loads(text)


def test_objects_have_short_names(run, net):
    assert repr(net) == "<Net flowers: 27 parameters, float64, batch 8>"
    program = specc.loads(TEXT)
    assert (
        repr(program) == "<Program flowers(x, kind): 5*kinds + 12 parameters, symbolic sizes kinds>"
    )


def test_a_run_goes_on_with_the_machine_that_its_plans_were_made_for(folder, tmp_path, monkeypatch):
    profiles = Path(__file__).resolve().parent.parent / "backend" / "profiles"
    monkeypatch.setenv("SPECC_MACHINE", str(profiles / "zen4.json"))
    ended = specc.train(folder / "flowers.dl", runs=tmp_path, epochs=1, quiet=True)
    profile = Profile.read(profiles / "zen4.json")
    assert Profile.read(ended.folder / "machine.json") == profile
    monkeypatch.setenv("SPECC_MACHINE", str(profiles / "avx2_desktop.json"))
    training = resume(ended.folder, {"epochs": "2"}, AsWarnings())
    try:
        assert training.net.programs.profile == profile
    finally:
        training.release()


def test_a_notebook_shows_a_program_as_a_table_and_a_drawing():
    page = specc.loads(TEXT, kinds=3)._repr_html_()
    assert page.startswith("<pre>") and "dense2" in page and page.count("<svg") == 1
    open_one = specc.loads(TEXT)._repr_html_()
    assert "kinds" in open_one and pickle.loads(pickle.dumps(specc.loads(TEXT))).open_sizes


def test_a_loss_of_the_users_own_takes_raw_scores_if_its_comment_says_so():
    text = """
        ## Cross-entropy by hand.{}
        fn mine(s: float[n], label: class(n)) = log(sum(exp(s))) - s[label]
        ## Its values are from 0 to 1.
        fn squashed(s: float[n]) = 1 / (1 + exp(-s))
        model m {{
          input x: float[3]
          target a: class(2)
          target b: class(4)
          let first = x -> dense(2)
          let second = x -> dense(4)
          output first
          output squashed(second)
          loss mine(first, a)
          loss mine(second, b)
        }}
        train {{ optimizer sgd(lr = 0.1) }}"""
    stated = meanings(specc.loads(text.format(" Takes raw scores, not the result of `softmax`.")))
    assert {name: each.holds for name, each in stated.items()} == {
        "first": "scores",
        "squashed": "probabilities",
    }
    assert meanings(specc.loads(text.format("")))["first"].holds == "values"


def test_the_number_of_ranks_must_be_that_of_the_processes(tmp_path):
    for ranks, said in (
        (3, "`ranks = 3` needs as many processes, but no launcher has started any"),
        (0, "`ranks` is"),
        ("many", "`ranks` is"),
        (True, "`ranks` is"),
    ):
        with pytest.raises(ValueError, match=said):
            specc.train("models/linear.dl", runs=tmp_path, quiet=True, ranks=ranks)
    assert not list(tmp_path.iterdir())
    for ranks in (1, None, "auto"):
        run = specc.train("models/linear.dl", runs=tmp_path, quiet=True, ranks=ranks, epochs=1)
        assert run.metrics["epoch"] == [1]


def test_columns_that_a_table_lacks_are_named_together(tmp_path):
    text = """model m {
      input a: float[2]
      input word: class(2)
      target y: class(2)
      let s = concat(a, embed(word; 2)) -> dense(2)
      output s
      loss cross_entropy(s, y)
    }
    train {
      column a = concat(standardize(fill(age; median)), missing(age) + 0 * income)
      optimizer sgd(lr = 0.1) epochs = 1 batch = 2
    }"""
    frame = {"age": [1.0, 2, 4], "income": [3.0, 4, 5], "word": ["p", "q", "p"], "y": [0, 1, 0]}
    net = specc.train(text, data=frame, runs=tmp_path, quiet=True).net
    assert len(net.predict(frame)["y"]) == 3
    with pytest.raises(specc.SpecError) as caught:
        net.predict({"aje": [1.0], "wort": ["p"]})
    (found,) = caught.value.diagnostics
    assert "has no columns `word`, `age`, `income`, which the model needs" in found.message
    with pytest.raises(specc.SpecError) as caught:
        net.predict({"age": [1.0], "word": ["p"]})
    (found,) = caught.value.diagnostics
    assert "`income`" in found.message and "`age`" not in found.message
