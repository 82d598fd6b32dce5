"""Compare the model that `specc new` writes for a table with scikit-learn, on tables of many kinds.

    python -m benchmarks.tables [NAME...] [--seeds 2]

For each table and seed, a quarter of the rows is held out. `specc new --from` writes a model for
the rest, which is trained as it is. scikit-learn gets histogram gradient boosting and an MLP, both
with standardized numbers, filled gaps and one-hot words. It prints the accuracy, the mean of the
classes' recall (balanced) and of their F1, or for numbers R2.
"""

from __future__ import annotations

import argparse
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

Table = tuple[dict[str, Any], bool]
"""Columns by name, the target last; and whether it is a class."""


def _columns(X: np.ndarray, y: np.ndarray, is_class: bool = True) -> Table:
    found: dict[str, Any] = {f"c{k}": X[:, k] for k in range(X.shape[1])}
    return {**found, "outcome": y}, is_class


def _made(maker: str, *, is_class: bool = True, **settings: Any) -> Callable[[int], Table]:
    def table(seed: int) -> Table:
        from sklearn import datasets

        return _columns(*getattr(datasets, maker)(random_state=seed, **settings), is_class)

    return table


def _loaded(name: str, is_class: bool = True, target: int | None = None) -> Callable[[int], Table]:
    def table(seed: int) -> Table:
        from sklearn import datasets

        X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
        return _columns(X, y if target is None else y[:, target], is_class)

    return table


def _people(seed: int, rare: float = 0.0) -> Table:
    """People with numbers, words and gaps, and what they choose; with `rare`, few choose c."""
    draw = np.random.default_rng(seed)
    count = 3000
    age, income = draw.integers(18, 80, count).astype(float), draw.lognormal(10, 0.6, count)
    job = draw.choice(["nurse", "clerk", "cook", "smith", "farmer", "judge"], count)
    town = draw.choice([f"town {k}" for k in range(40)], count)
    smokes = draw.choice(["yes", "no"], count)
    by_job = {"nurse": 1.0, "clerk": -0.5, "cook": 0.3, "smith": -1.0, "farmer": 0.0, "judge": 1.5}
    score = 0.04 * (age - 45) + np.log(income / 20_000) + np.array([by_job[each] for each in job])
    score += np.where((smokes == "yes") & (age > 50), -1.5, 0.2)
    score += np.array([(int(each[5:]) % 5) * 0.2 for each in town]) + draw.normal(0, 0.5, count)
    bounds = [0.35, 0.75, 0.95] if not rare else [1 - 3 * rare, 1 - rare]
    kind = np.searchsorted(np.quantile(score, bounds), score)
    gaps = draw.random((2, count)) < 0.1
    return {
        "age": np.where(gaps[0], np.nan, age),
        "income": np.where(gaps[1], np.nan, income),
        "job": job,
        "town": town,
        "smokes": smokes,
        "choice": np.array(list("abcd"))[kind],
    }, True


def _steps(seed: int) -> Table:
    """A number that jumps at thresholds of three of twelve columns, with noise."""
    draw = np.random.default_rng(seed)
    X = draw.uniform(size=(2000, 12))
    y = 3.0 * (X[:, 0] > 0.6) + 2.0 * (X[:, 1] > 0.3) * (X[:, 2] < 0.5) + draw.normal(0, 0.3, 2000)
    return _columns(X, y, False)


def _heavy(seed: int) -> Table:
    """A number that follows columns with long tails."""
    draw = np.random.default_rng(seed)
    X = draw.lognormal(0, 1.5, size=(2000, 6))
    y = np.log1p(X[:, 0]) * 2 + np.sqrt(X[:, 1]) - X[:, 2] / (1 + X[:, 3])
    return _columns(X, y + draw.normal(0, 0.2, 2000), False)


TABLES: dict[str, Callable[[int], Table]] = {
    "friedman1": _made("make_friedman1", is_class=False, n_samples=1500, noise=1.0),
    "friedman2": _made("make_friedman2", is_class=False, n_samples=1500, noise=50.0),
    "friedman3": _made("make_friedman3", is_class=False, n_samples=1500, noise=0.1),
    "5 of 20 informative": _made("make_classification", n_samples=2000, n_informative=5),
    "redundant": _made("make_classification", n_samples=2000, n_features=30, n_informative=6,
                       n_redundant=18, n_classes=4),
    "rare 3 %": _made("make_classification", n_samples=3000, n_informative=6, weights=[0.97],
                      flip_y=0),
    "people": _people,
    "people, rare": lambda seed: _people(seed, rare=0.02),
    "steps (number)": _steps,
    "long tails (number)": _heavy,
    "iris": _loaded("iris"),
    "digits": _loaded("digits"),
    "breast_cancer": _loaded("breast_cancer"),
    "wine": _loaded("wine"),
    "diabetes": _loaded("diabetes", is_class=False),
    "linnerud waist": _loaded("linnerud", is_class=False, target=1),
}  # fmt: skip


def compared(table: Table, seed: int, folder: Path) -> dict[str, dict[str, float]]:
    """Return the figures of each method on the rows that are held out."""
    import pandas as pd
    from sklearn.compose import make_column_transformer
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor
    from sklearn.impute import SimpleImputer
    from sklearn.model_selection import train_test_split
    from sklearn.neural_network import MLPClassifier, MLPRegressor
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    import specc
    from specc.projects.look import looked_at
    from specc.projects.table import model_for

    columns, is_class = table
    frame = pd.DataFrame(columns)
    target = frame.columns[-1]
    train, test = train_test_split(
        frame, test_size=0.25, random_state=seed, stratify=frame[target] if is_class else None
    )
    X, y = train.drop(columns=target), train[target]
    held, truth = test.drop(columns=target), test[target].to_numpy()
    numbers = list(X.select_dtypes("number"))
    words = [name for name in X if name not in numbers]
    prepared = make_column_transformer(
        (make_pipeline(SimpleImputer(strategy="median"), StandardScaler()), numbers),
        (OneHotEncoder(handle_unknown="ignore", sparse_output=False), words),
    )
    boosting = HistGradientBoostingClassifier if is_class else HistGradientBoostingRegressor
    perceptron = MLPClassifier if is_class else MLPRegressor
    answers = {}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for name, model in (
            ("boosting", boosting(random_state=seed)),
            ("MLP", perceptron(random_state=seed)),
        ):
            answers[name] = make_pipeline(prepared, model).fit(X, y).predict(held)
    train.to_csv(folder / "table.csv", index=False)
    model_file = folder / "own.dl"
    model_file.write_text(model_for(looked_at(folder / "table.csv"), "own", "table.csv", target))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        run = specc.train(model_file, runs=folder / "runs", quiet=True, seed=seed)
        found = run.net.predict(held)
    answers["specc"] = np.asarray(found[target] if target in found else found["guess"])
    return {name: figures(truth, np.asarray(each), is_class) for name, each in answers.items()}


def figures(truth: np.ndarray, answer: np.ndarray, is_class: bool) -> dict[str, float]:
    """Return the accuracy and the mean F1, or R2."""
    from sklearn.metrics import accuracy_score, balanced_accuracy_score, f1_score, r2_score

    if not is_class:
        return {"R2": float(r2_score(truth.astype(float), answer.astype(float)))}
    truth, answer = truth.astype(str), answer.astype(str)
    return {
        "accuracy": float(accuracy_score(truth, answer)),
        "balanced": float(balanced_accuracy_score(truth, answer)),
        "F1": float(f1_score(truth, answer, average="macro")),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("names", nargs="*", help="tables, by default all")
    parser.add_argument("--seeds", type=int, default=2)
    options = parser.parse_args()
    print("| table | figure | boosting | MLP | specc |\n|---|---|---|---|---|")
    for name in options.names or TABLES:
        found = []
        for seed in range(options.seeds):
            with tempfile.TemporaryDirectory() as folder:
                found.append(compared(TABLES[name](seed), seed, Path(folder)))
        for figure in found[0]["specc"]:
            means = [np.mean([each[method][figure] for each in found]) for method in found[0]]
            cells = " | ".join(f"{each:.3f}" for each in means)
            print(f"| {name} | {figure} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
