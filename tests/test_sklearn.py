"""Estimators of scikit-learn: its own checks, and what a file makes of X and y."""

from __future__ import annotations

import pickle
import warnings

import numpy as np
import pytest

pytest.importorskip("sklearn")

from sklearn.base import clone
from sklearn.datasets import load_iris, make_regression
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.neural_network import MLPClassifier, MLPRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator, estimator_checks_generator

import specc
from specc.sklearn import SpecClassifier, SpecRegressor

FLOWERS = """dim features
dim kinds
dim hidden = 6
model flowers {
  input  x: float[features]
  target kind: class(kinds)
  let scores = x -> dense(hidden) -> tanh -> dense(kinds)
  output scores
  loss   cross_entropy(scores, kind)
}
train { optimizer adam(lr = 0.02)  epochs = 20  batch = 16 }
"""
LINE = """dim features
model line {
  input  x: float[features]
  target y: float
  let guess = x -> dense(1) -> flatten
  output guess
  loss   mse(guess[0], y)
}
train { optimizer sgd(lr = 0.1)  epochs = 200  batch = 1000 }
"""


def name_of(check) -> str:
    return getattr(check, "func", check).__name__


@pytest.mark.slow
@pytest.mark.parametrize(
    ("own", "other"),
    [
        (SpecClassifier(epochs=30), MLPClassifier()),
        pytest.param(SpecRegressor(epochs=50), MLPRegressor(), marks=pytest.mark.long),
    ],
    ids=["classifier", "regressor"],
)
def test_the_checks_of_scikit_learn_pass(own, other, monkeypatch):
    """All checks that its own perceptron is put to, none of them excluded."""
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = check_estimator(own, on_fail=None, on_skip=None)
        checks = [name_of(check) for _, check in estimator_checks_generator(other)]
    assert {each["check_name"] for each in found} >= set(checks) and len(found) >= len(checks)
    failed = [each for each in found if each["status"] not in ("passed", "skipped")]
    assert not failed, failed[0]["check_name"]
    # there is no decision function, and the other check needs what may not be installed
    assert sum(each["status"] == "skipped" for each in found) <= 2


def test_the_checks_that_only_regressors_are_put_to_pass(monkeypatch):
    monkeypatch.setenv("SCIPY_ARRAY_API", "1")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        known = {name_of(check) for _, check in estimator_checks_generator(SpecClassifier())}
        own = [
            (estimator, check)
            for estimator, check in estimator_checks_generator(SpecRegressor(epochs=50))
            if name_of(check) not in known
        ]
        assert len(own) >= 3
        for estimator, check in own:
            check(estimator)


@pytest.mark.parametrize("kind", [SpecClassifier, SpecRegressor])
def test_an_estimator_with_overrides_has_no_attributes_but_its_parameters(kind):
    from sklearn.utils.estimator_checks import (
        check_no_attributes_set_in_init,
    )

    own = kind(epochs=2, hidden=8, lr=0.01)
    check_no_attributes_set_in_init(kind.__name__, own)
    assert (own.hidden, own.lr) == (8, 0.01) and not hasattr(own, "units")
    own.hidden = 9
    copied = pickle.loads(pickle.dumps(own))
    assert copied.get_params() == clone(own).get_params() == own.get_params()
    assert copied.get_params()["hidden"] == 9 and copied.set_params(lr=0.1).lr == 0.1


@pytest.fixture(scope="module")
def iris():
    X, y = load_iris(return_X_y=True)
    return X, np.array(["setosa", "versicolor", "virginica"])[y]


def test_a_file_gets_its_sizes_from_x_and_y(iris, tmp_path):
    X, y = iris
    (tmp_path / "flowers.dl").write_text(FLOWERS)
    model = SpecClassifier(tmp_path / "flowers.dl", random_state=0).fit(X, y)
    assert model.net_.params["dense1.weight"].shape == (6, 4)
    assert model.classes_.tolist() == ["setosa", "versicolor", "virginica"]
    assert model.score(X, y) > 0.9 and model.n_iter_ == 20
    chances = model.predict_proba(X)
    np.testing.assert_allclose(chances.sum(axis=1), 1, rtol=1e-12)
    assert (model.classes_[chances.argmax(axis=1)] == model.predict(X)).all()
    other = SpecClassifier(FLOWERS, random_state=0).fit(X, y)
    assert np.array_equal(other.predict_proba(X), chances)


def test_anything_of_the_file_is_a_parameter(iris):
    X, y = iris
    model = SpecClassifier(FLOWERS, epochs=2, lr=0.5, hidden=3, optimizer="sgd", random_state=0)
    assert model.get_params()["hidden"] == 3 and clone(model).get_params() == model.get_params()
    assert "lr=0.5" in repr(model)
    model.fit(X, y)
    assert model.net_.params["dense1.weight"].shape == (3, 4) and not dict(model.net_.states)
    with pytest.raises(specc.SpecError, match="did you mean `hidden`"):
        SpecClassifier(FLOWERS, hiden=3).fit(X, y)
    with pytest.raises(ValueError, match="is not a parameter"):
        model.set_params(net_=3)


def test_weights_of_examples_are_exact(iris):
    """A weight of 2 is the example twice, one of 0 none: in the gradient of the first step."""
    X, y = iris
    weight = np.arange(len(X)) % 3
    rows = np.repeat(np.arange(len(X)), weight)
    settings = {"epochs": 1, "batch": 10_000, "optimizer": "sgd(lr = 1)", "random_state": 1}
    first = SpecClassifier(FLOWERS, **settings).fit(X, y, sample_weight=weight)
    second = SpecClassifier(FLOWERS, **settings).fit(X[rows], y[rows])
    for path, value in first.net_.params.items():
        np.testing.assert_allclose(value, second.net_.params[path], rtol=1e-9, atol=1e-12)
    balanced = SpecClassifier(FLOWERS, class_weight="balanced", **settings).fit(X[20:], y[20:])
    count = {kind: (y[20:] == kind).sum() for kind in balanced.classes_}
    own = np.array([1 / count[kind] for kind in y[20:]])
    by_hand = SpecClassifier(FLOWERS, **settings).fit(X[20:], y[20:], sample_weight=own)
    for path, value in balanced.net_.params.items():
        np.testing.assert_allclose(value, by_hand.net_.params[path], rtol=1e-9)


def test_a_line_is_found():
    X, y = make_regression(60, 3, noise=0.01, random_state=0)
    X = (X - X.mean(axis=0)) / X.std(axis=0)
    model = SpecRegressor(LINE, random_state=0).fit(X, y)
    wanted, *_ = np.linalg.lstsq(np.c_[X, np.ones(60)], y, rcond=None)
    np.testing.assert_allclose(model.net_.params["dense1.weight"][0], wanted[:3], rtol=1e-4)
    assert model.predict(X).shape == (60,)
    both = SpecRegressor(epochs=200, random_state=0).fit(X, np.c_[y, -y])
    assert both.predict(X).shape == (60, 2) and both.score(X, np.c_[y, -y]) > 0.8


def test_training_goes_on(iris):
    X, y = iris
    model = SpecClassifier(FLOWERS, epochs=3, warm_start=True, random_state=0).fit(X, y)
    before = dict(model.net_.params)["dense1.weight"].copy()
    model.fit(X, y)
    assert model.n_iter_ == 6 and not np.array_equal(before, model.net_.params["dense1.weight"])
    piecewise = SpecClassifier(FLOWERS, random_state=0)
    for rows in (slice(0, 50), slice(50, 150)):
        piecewise.partial_fit(X[rows], y[rows], classes=np.unique(y))
    assert piecewise.n_iter_ == 2 and len(piecewise.classes_) == 3
    with pytest.raises(ValueError, match="classes that earlier data did not have: \\['rose'\\]"):
        piecewise.partial_fit(X[:2], ["rose", "rose"])


def test_early_stopping_keeps_the_best_weights(iris):
    X, y = iris
    model = SpecClassifier(
        FLOWERS, early_stopping=True, n_iter_no_change=5, epochs=500, lr=0.05, random_state=0
    ).fit(X, y)
    assert model.n_iter_ < 500 and model.score(X, y) > 0.85


def test_searches_pipelines_and_pickles(iris):
    X, y = iris
    search = GridSearchCV(
        SpecClassifier(FLOWERS, random_state=0), {"hidden": [2, 6], "lr": [0.02]}, cv=2, n_jobs=2
    ).fit(X, y)
    assert search.best_params_["hidden"] in (2, 6) and search.best_score_ > 0.6
    line = make_pipeline(StandardScaler(), SpecClassifier(FLOWERS, epochs=10, random_state=0))
    assert cross_val_score(line, X, y, cv=3).mean() > 0.8
    line.fit(X, y)
    assert np.array_equal(pickle.loads(pickle.dumps(line)).predict_proba(X), line.predict_proba(X))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            FLOWERS.replace("float[features]", "float[7]"),
            r"X has 4 features, but `x` of flowers is",
        ),
        (FLOWERS.replace("target kind", "input z: float\n  target kind"), "has 2 inputs"),
        (FLOWERS[: FLOWERS.index("train")], "cannot be trained: its file has no `train` block"),
    ],
)
def test_a_model_that_does_not_fit_is_an_error(iris, text, message):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        with pytest.raises(ValueError, match=message):
            SpecClassifier(text).fit(*iris)


def test_several_labels_at_once():
    generator = np.random.Generator(np.random.PCG64(0))
    X = generator.normal(size=(200, 3))
    Y = (X[:, :2] > 0).astype(int)
    model = SpecClassifier(random_state=0, epochs=60).fit(X, Y)
    assert (model.predict(X) == Y).mean() > 0.9 and model.predict_proba(X).shape == (200, 2)
