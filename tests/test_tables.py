"""From a table to an answer: a new project on a messy table, and results next to scikit-learn's."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

SHOPS = ("north", "south", "east", "west", "online")


def orders(rows: int, seed: int) -> list[dict[str, str]]:
    """Made-up orders with numbers, words, dates and gaps, and whether they came back.

    The rule is known; one order in twenty goes against it.
    """
    draw = np.random.Generator(np.random.PCG64(seed))
    found = []
    for number in range(rows):
        price, weight = draw.gamma(2, 30), draw.normal(5, 2)
        shop, day, gift = int(draw.integers(5)), int(draw.integers(730)), draw.random() < 0.3
        date = np.datetime64("2023-01-01") + day
        december = str(date)[5:7] == "12"
        score = 0.04 * price - 1.5 * (shop == 4) - 2 * gift + 2.5 * december + 0.3 * weight - 3
        back = ("kept", "swapped", "returned")[int(score > 0) + int(score > 2)]
        if draw.random() < 0.05:
            back = "kept"
        found.append(
            {
                "order id": f"A{seed}-{number}",
                "price": "" if draw.random() < 0.03 else f"{price:.2f}",
                "weight": "?" if draw.random() < 0.03 else f"{weight:.1f}",
                "shop": SHOPS[shop],
                "gift": "yes" if gift else "no",
                "ordered": str(date),
                "outcome": back,
            }
        )
    return found


def write(path: str, rows: list[dict[str, str]]) -> None:
    with open(path, "w", newline="") as file:
        table = csv.DictWriter(file, list(rows[0]))
        table.writeheader()
        table.writerows(rows)


@pytest.mark.slow
@pytest.mark.timeout(120)
def test_a_messy_table_leads_to_predictions_with_names(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    write("orders.csv", orders(20_000, 1))
    new = orders(500, 2)
    write("new.csv", [{name: row[name] for name in row if name != "outcome"} for row in new])
    assert specc("new", "back", "--from", "orders.csv")[0] == 0
    assert (
        "order id  20000 words: left out: it identifies the row" in Path("back/back.dl").read_text()
    )
    status, _, err = specc("train", "back/back.dl", "epochs=6", "-q")
    assert (status, err) == (0, "")
    status, _, err = specc("predict", "@last", "new.csv", "-o", "out.csv", "--keep", "order id")
    assert (status, err) == (0, "")
    with open("out.csv", newline="") as file:
        found = list(csv.DictReader(file))
    assert [row["order id"] for row in found] == [row["order id"] for row in new]
    assert {row["outcome"] for row in found} <= {"kept", "swapped", "returned"}
    right = sum(a["outcome"] == b["outcome"] for a, b in zip(found, new, strict=True)) / len(new)
    assert right > 0.85  # of at most 0.97
    chances = [float(row[f"outcome_{each}"]) for row in found for each in ("kept", "returned")]
    assert all(0 <= each <= 1 for each in chances)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["breast_cancer", "wine", "diabetes"])
def test_a_network_without_a_file_is_as_good_as_gradient_boosting(name):
    """On held-out rows, within one point: of accuracy, or of the share of the variance."""
    pytest.importorskip("sklearn")
    from sklearn import datasets
    from sklearn.ensemble import GradientBoostingClassifier, GradientBoostingRegressor
    from sklearn.model_selection import KFold, cross_val_score

    from specc.sklearn import SpecClassifier, SpecRegressor

    X, y = getattr(datasets, f"load_{name}")(return_X_y=True)
    own, other = SpecClassifier(random_state=0), GradientBoostingClassifier(random_state=0)
    if name == "diabetes":
        own, other = SpecRegressor(random_state=0), GradientBoostingRegressor(random_state=0)
    folds = KFold(3, shuffle=True, random_state=0)
    scores = [cross_val_score(each, X, y, cv=folds).mean() for each in (own, other)]
    assert scores[0] > scores[1] - 0.01, scores
