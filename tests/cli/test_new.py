"""`specc new`: projects that train at once, and models that follow from a table."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import pytest

from specc.projects.look import looked_at, raw_name
from specc.projects.table import identifier, is_classes, model_for, parts_of, target_of
from specc.projects.templates import TEMPLATES, flats


@pytest.mark.slow
@pytest.mark.parametrize("template", TEMPLATES)
def test_a_project_trains_at_once(template, tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    status, out, _ = specc("new", "first", "--template", template)
    assert status == 0 and out.endswith("next: cd first && specc train first.dl\n")
    monkeypatch.chdir("first")
    assert specc("check", "first.dl")[:2] == (0, "1 file checked: no errors\n")
    text = Path("first.dl").read_text()
    assert specc("fmt", "--check", "first.dl")[0] == 0, text
    status, out, err = specc("train", "first.dl", "epochs=1")
    assert (status, err) == (0, "")
    command = next(
        line
        for line in Path("README.md").read_text().splitlines()
        if "@best" in line or "sample" in line
    )
    words = command.split()[1:4] if template != "text" else ["sample", "@last", "--length", "20"]
    status, out, err = specc(*words, *([] if template == "text" else ["-o", "out.csv"]))
    assert (status, err) == (0, "") and out


TABLE = (
    "id,name,city,born,likes,visits,score,note,const,class\n"
    + "".join(
        f"{k},p{k},{['Ulm', 'Bern', ''][k % 3]},20{k % 20:02}-0{k % 9 + 1}-11,"
        f"{['yes', 'no'][k % 2]},{k % 7},{'' if k % 5 == 0 else k / 3:.4},"
        f"a longer text about the number {k} of them all,1,{['low', 'high'][(k % 7) > 3]}\n"
        for k in range(1, 61)
    )
).replace("nan", "")


@pytest.fixture
def table(tmp_path):
    path = tmp_path / "people.csv"
    path.write_text(TABLE)
    return path


def test_each_column_is_used_for_what_it_holds(table):
    look = looked_at(table)
    assert {each.name: (each.holds, each.role) for each in look.columns} == {
        "id": ("numbers", "names"),
        "name": ("words", "names"),
        "city": ("words", "input"),
        "born": ("dates", "input"),
        "likes": ("truth", "input"),
        "visits": ("numbers", "input"),
        "score": ("numbers", "input"),
        "note": ("words", "text"),
        "const": ("numbers", "constant"),
        "class": ("words", "input"),
    }
    assert look.rows == 60 and target_of(look, None).name == "class"
    parts = {each.name: parts_of(each) for each in look.columns}
    assert parts["score"] == ["standardize(fill(score; median))", "missing(score)"]
    assert parts["likes"] == ["truth(likes)"] and parts["city"] == ["onehot(city; least = 5)"]
    assert parts["born"][0] == "standardize(days(born))"


def test_a_column_with_an_awkward_name_is_named_in_quotes():
    assert raw_name("age") == "age"
    assert raw_name("Age (years)") == 'columns("Age (years)")'
    assert raw_name("class") == 'columns("class")' and raw_name("hash") == 'columns("hash")'
    assert identifier("Age (years)") == "age_years" and identifier("data") == "the_data"
    assert identifier("Größe") == "grosse" and identifier("Ort (é)") == "ort_e"
    assert identifier("2nd") == "the_2nd" and identifier("%") == "value"
    assert identifier("x", ["x", "x_2"]) == "x_3"


def test_a_table_becomes_a_model_that_trains(table, monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert specc("new", "people", "--from", "people.csv")[0] == 0
    assert Path("people/people.csv").read_text() == TABLE
    assert specc("check", "people/people.dl")[0] == 0
    assert specc("train", "people/people.dl", "epochs=3", "-q")[0] == 0
    status, _, err = specc("predict", "@last", "people.csv", "-o", "out.csv", "--keep", "name")
    assert (status, err) == (0, "")
    with open("out.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert rows[0]["name"] == "p1" and {row["class"] for row in rows} <= {"low", "high"}
    # a number is predicted by its value, from the columns that are left
    assert specc("new", "scores", "--from", "people.csv", "--target", "score")[0] == 0
    assert 'missing = "drop"' in Path("scores/scores.dl").read_text()
    assert specc("check", "scores/scores.dl")[0] == 0


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["there"], "`there` exists and is not an empty folder"),
        (["x", "--from", "people.csv", "--target", "scor"], "did you mean `score`?"),
        (["x", "--target", "score"], "--target needs a table given with --from"),
        (["x", "--from", "one.csv"], "has no column to predict `a` from"),
        (["x", "--from", "said.csv", "--target", "a"], "if `b` has sentences, start with models/"),
    ],
)
def test_wrong_usage_is_explained(table, tmp_path, monkeypatch, specc, arguments, message):
    monkeypatch.chdir(tmp_path)
    Path("there").mkdir()
    Path("there/file").write_text("")
    Path("one.csv").write_text("a\n1\n2\n")
    Path("said.csv").write_text("a,b\n" + "".join(f"{k % 2},this is {k}\n" for k in range(40)))
    status, out, err = specc("new", *arguments)
    assert (status, out) == (2, "") and message in err
    assert not Path("x").exists()


def test_words_in_great_number_have_an_embedding(tmp_path):
    path = tmp_path / "shops.csv"
    generator = np.random.Generator(np.random.PCG64(0))
    shops = generator.integers(0, 30, 400)
    path.write_text("shop,sales\n" + "".join(f"shop {k},{k * 2.5}\n" for k in shops))
    text = model_for(looked_at(path), "shops", "shops.csv")
    assert "input  shop: class(shop_words)" in text and "embed(shop; 8) -> 2 *" in text
    assert "input  x" not in text


@pytest.mark.parametrize(("name", "quoted"), [("kind", "kind"), ("the kind", '"the kind"')])
def test_rare_classes_are_noticed(tmp_path, monkeypatch, specc, name, quoted):
    monkeypatch.chdir(tmp_path)
    generator = np.random.Generator(np.random.PCG64(0))
    kinds = np.array(["common"] * 380 + ["rare"] * 20)
    x = generator.normal(size=400) + 2 * (kinds == "rare")
    rows = "".join(f"{a:.3f},{b}\n" for a, b in zip(x, kinds, strict=True))
    Path("a.csv").write_text(f"x,{name}\n{rows}")
    assert specc("new", "own", "--from", "a.csv", "--target", name)[0] == 0
    text = Path("own/own.dl").read_text()
    assert f"stratify = {quoted} " in text and "`rare`" in text and "0.05 of the rows" in text
    status, out, err = specc("train", "own/own.dl", "epochs=3", "-q")
    assert (status, err) == (0, "") and "macro_f1" in out
    even = "".join(f"{a:.3f},{'ab'[k % 2]}\n" for k, a in enumerate(x))
    Path("b.csv").write_text(f"x,{name}\n{even}")
    assert "balance" not in model_for(looked_at(Path("b.csv")), "own", "b.csv", name)


@pytest.mark.parametrize("written", ["{}.0", "{}", "{},5"])
def test_classes_may_be_any_whole_numbers(tmp_path, monkeypatch, specc, written):
    monkeypatch.chdir(tmp_path)
    generator = np.random.Generator(np.random.PCG64(0))
    x = generator.normal(size=200)
    marks = np.clip(np.round(1.5 * x + 6), 3, 8).astype(int)
    cells = [written.format(each) for each in marks]
    rows = "".join(f"{a:.3f};{b}\n" for a, b in zip(x, cells, strict=True))
    Path("a.csv").write_text(f"x;the mark\n{rows}")
    assert specc("new", "own", "--from", "a.csv", "--target", "the mark")[0] == 0
    status, out, err = specc("train", "own/own.dl", "epochs=2", "-q")
    assert (status, err) == (0, ""), Path("own/own.dl").read_text()
    assert ("accuracy" in out) == ("5" not in written)
    look = looked_at(Path("a.csv")).columns[1]
    assert is_classes(look, 200) == ("5" not in written) and not is_classes(look, 20)


def test_numbers_with_long_tails_become_logarithms(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    generator = np.random.Generator(np.random.PCG64(0))
    income, age = generator.lognormal(8, 1.5, 300), generator.normal(50, 9, 300)
    loss = -generator.lognormal(0, 1.5, 300)
    cells = [f"{x:.2f}" if k % 9 else "" for k, x in enumerate(income)]
    rows = "".join(
        f"{a},{b:.1f},{c:.3f},{np.log(d) + 0.1 * b:.3f}\n"
        for a, b, c, d in zip(cells, age, loss, income, strict=True)
    )
    Path("a.csv").write_text(f"income,age,loss,price\n{rows}")
    assert specc("new", "own", "--from", "a.csv")[0] == 0
    text = Path("own/own.dl").read_text()
    assert "standardize(log(1 + fill(income; median)))" in text
    assert "log(1 + age" not in text and "log(1 + loss" not in text
    assert specc("train", "own/own.dl", "epochs=2", "-q")[0] == 0


def test_flats_are_the_same_for_a_seed():
    assert flats(20, 1) == flats(20, 1) != flats(20, 2)


def test_dates_and_numbers_of_other_countries(monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = ["day;warm;income;rent;sold"]
    for k in range(1, 80):
        warm = "" if k % 9 == 0 else f"-{k},5" if k % 2 else f"{k},25"
        rent = (
            "" if k == 7 else f"{k * 30 // 1000}.{k * 30 % 1000:03},50 €" if k > 40 else f"{k},5 €"
        )
        rows.append(f"{k % 28 + 1:02}.{k % 12 + 1:02}.2023;{warm};$ {k},000;{rent};{k % 3}/{k}/20")
    Path("flats.csv").write_text("\n".join(rows) + "\n")
    look = {each.name: each for each in looked_at(Path("flats.csv")).columns}
    assert look["day"].form == 'format = "%d.%m.%Y"'
    assert look["warm"].form == 'number(warm; decimal = ",")'
    assert look["rent"].form == 'number(rent; decimal = ",", thousands = ".")'
    assert look["income"].form == 'number(income; thousands = ",")'
    assert look["income"].center == np.mean([1000 * k for k in range(1, 80)])
    assert specc("new", "flats", "--from", "flats.csv", "--target", "rent")[0] == 0
    assert specc("check", "flats/flats.dl")[:2] == (0, "1 file checked: no errors\n")
    assert specc("train", "flats/flats.dl", "epochs=2", "-q")[0] == 0


@pytest.mark.parametrize("values", [("ja", "nein"), ("3", "4"), ("yes", "no")])
def test_predictions_are_called_like_the_column(values, monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k};{k * 7 % 31},5;{values[k % 2]}\n" for k in range(60))
    Path("a.csv").write_text(f"Nr;Größe in m;Rückgabe\n{rows}")
    assert specc("new", "own", "--from", "a.csv")[0] == 0
    assert "target ruckgabe: " in Path("own/own.dl").read_text()
    assert specc("train", "own/own.dl", "epochs=2", "-q")[0] == 0
    status, out, err = specc("predict", "@last", "a.csv", "--keep", "Nr")
    assert (status, err) == (0, "")
    found = list(csv.DictReader(out.splitlines()))
    assert {row["Rückgabe"] for row in found} <= {*values}
    assert list(found[0])[:2] == ["Nr", "Rückgabe"] and "ruckgabe" not in out
    assert {f"Rückgabe_{each}" for each in values} < {*found[0]}


def test_a_target_that_is_computed_keeps_its_name(tmp_path, monkeypatch, specc):
    monkeypatch.chdir(tmp_path)
    rows = "".join(f"{k},2024-01-{k % 28 + 1:02}\n" for k in range(60))
    Path("a.csv").write_text(f"x,sold\n{rows}")
    Path("m.dl").write_text("""model m { input x: float[1] target day: class(7)
        let scores = x -> dense(7) output scores loss cross_entropy(scores, day) }
        train { data csv("a.csv") column x = standardize(x) column day = weekday(sold)
        optimizer adam(lr = 0.01) epochs = 1 }""")
    status, _, err = specc("train", "m.dl", "-q")
    assert (status, err) == (0, "")
    assert specc("predict", "@last", "a.csv")[1].startswith("day,day_0,")


def test_one_word_among_numbers_is_a_gap(monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = [
        f"{'k. A.' if k % 7 == 0 else f'{k},5'};{'?' if k % 9 == 0 else k * k % 31 / 4};{k % 2}"
        for k in range(1, 90)
    ]
    Path("a.csv").write_text("Gewicht in kg;size;kind\n" + "\n".join(rows) + "\n")
    look = looked_at(Path("a.csv")).columns[0]
    assert (look.holds, look.role, round(look.gaps, 3)) == ("numbers", "input", round(12 / 89, 3))
    assert look.said == "numbers, 13% missing or `k. A.`"
    assert look.center == pytest.approx(np.mean([k + 0.5 for k in range(1, 90) if k % 7]))
    made = 'number(columns("Gewicht in kg"); decimal = ",", empty = "k. A.")'
    assert parts_of(look) == [f"standardize(fill({made}; median))", f"missing({made})"]
    assert specc("new", "own", "--from", "a.csv", "--target", "kind")[0] == 0
    status, _, err = specc("train", "own/own.dl", "epochs=2", "-q")
    assert (status, err) == (0, "")
    Path("b.csv").write_text("Gewicht in kg;size\nk. A.;3\n4,5;?\n")
    status, out, err = specc("predict", "@last", "b.csv")
    assert (status, err) == (0, "") and len(out.splitlines()) == 3
    status, _, err = specc("new", "other", "--from", "a.csv", "--target", "Gewicht in kg")
    assert status == 2 and "`k. A.` in place of some: remove these rows" in err


def test_gaps_that_a_formula_fills_do_not_leave_rows_out(monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    rows = [f"{'' if k % 3 == 0 else f'{k},5'};{'' if k == 5 else k}" for k in range(60)]
    Path("a.csv").write_text("the size;y\n" + "\n".join(rows) + "\n")
    assert specc("new", "own", "--from", "a.csv", "--target", "y")[0] == 0
    text = Path("own/own.dl").read_text()
    assert 'missing = "drop"' in text and 'fill(number(columns("the size")' in text
    status, _, err = specc("train", "own/own.dl", "epochs=1", "-q")
    assert (status, err) == (0, "`a.csv`: left out 1 of 60 rows, which has missing values\n")


def test_a_folder_of_pictures_becomes_a_model_that_trains(monkeypatch, specc, tmp_path):
    image = pytest.importorskip("PIL.Image")
    monkeypatch.chdir(tmp_path)
    random = np.random.default_rng(0)
    for kind in ("dark", "light"):
        Path("photos", kind).mkdir(parents=True)
        for k in range(20):
            pixels = random.integers(0, 120, (20 + k, 24), np.uint8) + 120 * (kind == "light")
            image.fromarray(pixels.astype(np.uint8)).save(f"photos/{kind}/{k}.png")
    assert specc("new", "shades", "--from", "photos")[0] == 0
    text = Path("shades/shades.dl").read_text()
    assert 'images("../photos"; size = 16)' in text and "float[1, 16, 16]" in text
    assert "20 to 39 pixels per side" in text and "dim classes = 2" in text
    status, out, _ = specc("check", "shades/shades.dl")
    assert status == 0, out
    assert specc("train", "shades/shades.dl", "epochs=3", "-q")[0] == 0
    status, out, err = specc("predict", "@best", "photos", "-o", "out.csv")
    assert status == 0, err
    assert len(Path("out.csv").read_text().splitlines()) == 41
    assert specc("report", "@best", "-o", "report.html")[0] == 0


def test_digits_as_pictures_are_told_apart_as_well_as_by_scikit_learn(monkeypatch, specc, tmp_path):
    image = pytest.importorskip("PIL.Image")
    datasets = pytest.importorskip("sklearn.datasets")
    from sklearn.ensemble import HistGradientBoostingClassifier
    from sklearn.neural_network import MLPClassifier

    monkeypatch.chdir(tmp_path)
    digits = datasets.load_digits()
    order = np.random.default_rng(0).permutation(len(digits.target))
    test, train = order[:450], order[450:]
    for name, part in (("train", train), ("test", test)):
        for k in part:
            folder = Path(name, str(digits.target[k]))
            folder.mkdir(parents=True, exist_ok=True)
            pixels = (digits.images[k] * 255 / 16).astype(np.uint8)
            image.fromarray(pixels).save(folder / f"{k:04}.png")
    assert specc("new", "digits", "--from", "train")[0] == 0
    assert specc("train", "digits/digits.dl", "-q")[0] == 0
    assert specc("predict", "@best", "test", "-o", "out.csv")[0] == 0
    found = [line.split(",")[0] for line in Path("out.csv").read_text().splitlines()[1:]]
    wanted = [file.parent.name for file in sorted(Path("test").rglob("*.png"))]
    accuracy = np.mean([a == b for a, b in zip(found, wanted, strict=True)])

    def of(method) -> float:
        rows = digits.images.reshape(-1, 64) / 16
        method.fit(rows[train], digits.target[train])
        return method.score(rows[test], digits.target[test])

    boosting = of(HistGradientBoostingClassifier(max_iter=50, random_state=0))
    assert accuracy >= boosting - 0.01 or accuracy > of(MLPClassifier(random_state=0))


def test_a_text_becomes_a_model_that_writes(monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    Path("rhymes.txt").write_text("the cat sat on the mat, and that was that.\n" * 60)
    assert specc("new", "poet", "--from", "rhymes.txt")[0] == 0
    assert specc("check", "poet/poet.dl")[:2] == (0, "1 file checked: no errors\n")
    status, out, _ = specc("train", "poet/poet.dl", "epochs=1", "--quiet")
    assert status == 0, out
    assert specc("sample", "@last", "--prompt", "the")[0] == 0


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Path("given").mkdir(), "needs at least two folders with images"),
        (lambda: Path("given.txt").write_text("short"), "needs at least 1,000"),
        (lambda: Path("given.txt").write_bytes(b"\xff\xfe" * 999), "is not UTF-8 (byte 0)"),
    ],
)
def test_data_that_makes_no_model_is_explained(make, message, monkeypatch, specc, tmp_path):
    monkeypatch.chdir(tmp_path)
    make()
    (given,) = Path().iterdir()
    status, _, err = specc("new", "x", "--from", str(given))
    assert status == 2 and message in err
    assert not Path("x").exists()
