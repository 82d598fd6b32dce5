"""`specc check`: its formats agree, it applies safe fixes, and checks again when files change."""

from __future__ import annotations

import io
import json
import random
import re
from pathlib import Path

import numpy as np
import pytest

from specc import driver
from specc.cli.main import status_of
from specc.cli.render import render
from specc.cli.watch import watch
from specc.diagnostics import Report
from specc.drawing.diagram import diagram
from specc.drawing.svg import drawing
from specc.frontend.fix.apply import fixed_source
from specc.frontend.syntax.lex import lex
from specc.frontend.syntax.reading import read_source
from specc.source import Source

ROOT = Path(__file__).resolve().parents[2]
WRONG = """model m {
  input x: float[3]
  let y = x -> dens(2 ** 3)
  let spare = y
  output maxpol(y, size=2)
}
"""


@pytest.fixture
def wrong(tmp_path):
    path = tmp_path / "wrong.dl"
    path.write_text(WRONG)
    return path


def test_all_formats_tell_the_same_mistakes(wrong, capsys):
    places = {}
    for name in ("full", "concise", "json", "sarif", "github"):
        assert status_of(["check", str(wrong), "--format", name]) == 1
        out = capsys.readouterr().out
        assert "\x1b" not in out
        if name == "full":
            places[name] = re.findall(
                r"^error\[(.*?)\].*\n +--> .*?:(\d+):(\d+)", out, re.MULTILINE
            )
        elif name == "concise":
            places[name] = [
                (n, a, b) for a, b, n in re.findall(r":(\d+):(\d+): error\[(.*?)\]", out)
            ]
        elif name == "json":
            places[name] = [(d["name"], str(d["line"]), str(d["column"])) for d in json.loads(out)]
        elif name == "sarif":
            results = json.loads(out)["runs"][0]["results"]
            regions = [r["locations"][0]["physicalLocation"]["region"] for r in results]
            places[name] = [
                (r["ruleId"], str(g["startLine"]), str(g["startColumn"]))
                for r, g in zip(results, regions, strict=True)
            ]
        else:
            found = re.findall(
                r"^::error .*?,line=(\d+),.*?,col=(\d+),.*?,title=(.*?)::", out, re.MULTILINE
            )
            places[name] = [(n, a, b) for a, b, n in found]
    assert len(places["json"]) == 3
    assert all(each == places["json"] for each in places.values()), places


def test_many_files_are_checked_in_one_call(wrong, capsys):
    files = sorted(str(path) for path in (ROOT / "models").glob("*.dl"))
    assert status_of(["check", *files, "--no-data"]) == 0
    assert capsys.readouterr().out == f"{len(files)} files checked, without data: no errors\n"
    assert status_of(["check", files[0], str(wrong), files[1], "--no-data"]) == 1
    assert capsys.readouterr().out.endswith("3 files checked, without data: 3 errors\n")


FLOWERS = """model flowers {
  input  size: float[2]
  target kind: class(3)
  let scores = size -> dense(3)
  output scores
  loss   cross_entropy(scores, kind)
}
train { data csv("flowers.csv") optimizer adam(lr = 0.01) batch = 2 }
"""


@pytest.fixture
def flowers(tmp_path):
    """A sound program, whose data have a class too many; and a folder with sound data."""
    path = tmp_path / "flowers.dl"
    path.write_text(FLOWERS)
    (tmp_path / "flowers.csv").write_text("size_1,size_2,kind\n1,2,0\n3,4,3\n")
    (tmp_path / "sound").mkdir()
    (tmp_path / "sound" / "flowers.csv").write_text("size_1,size_2,kind\n1,2,0\n3,4,2\n")
    return path


def test_the_data_are_part_of_the_verdict_unless_they_are_left_out(flowers, capsys):
    assert status_of(["check", str(flowers)]) == 1
    out = capsys.readouterr().out
    assert "error[data]: `flowers.csv`, line 3, column `kind`: `3` is out of range" in out
    assert status_of(["check", str(flowers), "--data", str(flowers.parent / "sound")]) == 0
    assert status_of(["check", str(flowers), "--no-data"]) == 0
    assert status_of(["check", str(flowers), "--no-data", "--data", "."]) == 2


def test_a_data_file_that_does_not_exist_is_an_error_unless_data_is_left_out(flowers, capsys):
    (flowers.parent / "flowers.csv").rename(flowers.parent / "flower.csv")
    for arguments in ([], ["--data", str(flowers.parent)]):
        assert status_of(["check", str(flowers), *arguments]) == 1
        out = capsys.readouterr().out
        assert (
            "error[missing-data]: there is no file" in out and "did you mean `flower.csv`?" in out
        )
    assert status_of(["check", str(flowers), "--no-data"]) == 0
    assert capsys.readouterr().out == "1 file checked, without data: no errors\n"


def test_all_files_that_do_not_exist_are_told_and_nothing_that_follows_from_it(flowers, capsys):
    text = FLOWERS.replace(
        'data csv("flowers.csv")',
        'data csv("no.csv") validate csv("words.csv") test csv("none.csv")',
    )
    flowers.write_text(text)
    (flowers.parent / "words.csv").write_text("size_1,size_2,kind\n1,2,a\n3,4,b\n")
    assert status_of(["check", str(flowers), "--format", "json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [each["name"] for each in found] == ["missing-data", "missing-data"]
    both = text.replace('csv("no.csv")', 'idx("a", "b")').replace(' validate csv("words.csv")', "")
    flowers.write_text(both.replace(' test csv("none.csv")', ""))
    assert status_of(["check", str(flowers), "--format", "json"]) == 1
    assert [each["column"] for each in json.loads(capsys.readouterr().out)] == [18, 23]


def test_all_of_the_data_is_read_if_there_is_time_and_else_the_check_says_how_much(
    flowers, capsys, monkeypatch
):
    rows = 300_000  # some eight samples
    lines = ["1,2,0"] * rows
    lines[-2] = "1,2,3"
    (flowers.parent / "flowers.csv").write_text("\n".join(["size_1,size_2,kind", *lines, ""]))
    monkeypatch.setattr("specc.runs.verdict.SECONDS", 1e9)
    assert status_of(["check", str(flowers)]) == 1
    out = capsys.readouterr()
    assert f"line {rows}, column `kind`: `3` is out of range" in out.out and out.err == ""
    monkeypatch.setattr("specc.runs.verdict.SECONDS", 0)
    assert status_of(["check", str(flowers)]) == 0
    part = r"the data was read in part: `flowers.csv`: the first (\d\d),\d{3} examples\n"
    assert re.fullmatch(f"{re.escape(str(flowers))}: {part}", capsys.readouterr().err)


def test_the_check_says_how_many_examples_of_arrays_and_characters_of_texts_it_read(
    tmp_path, capsys, monkeypatch
):
    monkeypatch.setattr("specc.runs.verdict.SECONDS", 0)
    np.savez(tmp_path / "a.npz", size=np.zeros((300_000, 2)), kind=np.zeros(300_000, np.int32))
    path = tmp_path / "a.dl"
    path.write_text(FLOWERS.replace('csv("flowers.csv")', 'npz("a.npz")'))
    assert status_of(["check", str(path)]) == 0
    assert "`a.npz`: the first 32,768 of 300,000 examples" in capsys.readouterr().err
    (tmp_path / "a.txt").write_text("to be or not\n" * 100_000)
    path.write_text(WRITER)
    assert status_of(["check", str(path)]) == 0
    assert re.search(r"`a.txt`: the first 524,2\d\d characters", capsys.readouterr().err)


WRITER = """seq time = 8
dim vocab
model writer {
  stream text: class(vocab)[time]
  target after: class(vocab)[time]
  let scores = text -> embed(4) -> rnn(8) -> dense(vocab)
  output scores
  loss   cross_entropy(scores, after)
}
train { data text("a.txt") optimizer adam(lr = 0.01) batch = 2 clip_norm = 1 }
"""


def test_mistakes_of_data_are_told_in_all_formats(flowers, capsys):
    found = {}
    for name in ("full", "concise", "json", "sarif", "github"):
        assert status_of(["check", str(flowers), "--format", name]) == 1
        found[name] = capsys.readouterr().out
        assert "line 3, column `kind`: `3` is out of range" in found[name]
    (record,) = json.loads(found["json"])
    assert (record["name"], record["line"], record["column"]) == ("data", 8, 18)
    assert record["labels"][0] == {
        "message": "`kind` is declared here",
        "file": str(flowers),
        "line": 3,
        "column": 3,
        "end_line": 3,
        "end_column": 24,
    }
    assert "class(3) means 0 .. 2; here are 0 .. 3" in found["github"]


def test_mistakes_of_the_file_and_of_its_data_are_told_in_one_run(flowers, capsys):
    def names(text: str) -> list[str]:
        flowers.write_text(text)
        assert status_of(["check", str(flowers), "--format", "json"]) == 1
        return [each["name"] for each in json.loads(capsys.readouterr().out)]

    wrong = FLOWERS.replace("-> dense(3)", "-> dens(3)")
    assert names(wrong) == ["unknown-name", "data"]
    assert names(wrong.replace("adam", "adm")) == ["unknown-name", "unknown-name", "data"]
    assert names(wrong.replace("batch = 2", "batch = 99")) == ["unknown-name", "data"]
    assert names(FLOWERS.replace("-> dense(3)", "-> dense(4)")) == ["shape-mismatch", "data"]
    # an error in a port or in the call has no further consequences
    assert names(FLOWERS.replace("class(3)", "clas(3)")) == ["unknown-name"]
    assert names(FLOWERS.replace('csv("flowers.csv")', 'csv("flowers.csv"; sep = ";")')) == [
        "unknown-setting"
    ]
    assert names(FLOWERS.replace("output scores", "output scores +")) == ["syntax"]


def test_the_standard_input_is_checked(flowers, capsys, monkeypatch):
    def given(text: str, *arguments: str) -> int:
        monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))
        return status_of(["check", "-", *arguments])

    assert given(FLOWERS, "--data", str(flowers.parent / "sound")) == 0
    assert given(FLOWERS, "--data", str(flowers.parent)) == 1
    assert given(WRONG, "--format", "concise") == 1
    assert "standard input:3:16: error[unknown-name]" in capsys.readouterr().out
    monkeypatch.chdir(flowers.parent)
    assert given(FLOWERS) == 1
    assert given("", "--fix") == given("", "--watch") == 2


def test_data_are_compared_with_the_sizes_that_the_command_line_gives_to_a_training(
    flowers, capsys, tmp_path
):
    text = (
        flowers.read_text().replace("class(3)", "class(kinds)").replace("dense(3)", "dense(kinds)")
    )
    flowers.write_text("dim kinds = 3\n" + text)
    assert (
        status_of(["train", str(flowers), "kinds=4", "epochs=1", "--run", str(tmp_path / "runs")])
        == 0
    )


def test_safe_fixes_are_written_and_the_rest_is_told(wrong, capsys):
    assert status_of(["check", "--fix", str(wrong)]) == 1
    text = wrong.read_text()
    assert "dense(2 ^ 3)" in text and "maxpool(y; size=2)" in text
    captured = capsys.readouterr()
    assert captured.err.startswith(f"fixed {wrong} (4): ")
    assert "shape-mismatch" in captured.out


def test_what_changes_the_model_is_offered_and_not_applied(tmp_path, capsys):
    path = tmp_path / "a.dl"
    text = "model m {\n  input image: float[1, 8, 8]\n  output image -> dense(3)\n}\n"
    path.write_text(text)
    assert status_of(["check", "--fix", str(path)]) == 1
    captured = capsys.readouterr()
    assert path.read_text() == text and captured.err == "" and "flatten" in captured.out


def test_a_sound_file_is_not_written(tmp_path):
    path = tmp_path / "a.dl"
    path.write_text("dim n = 3\n")
    before = path.stat().st_mtime_ns
    assert status_of(["check", "--fix", str(path)]) == 0
    assert path.stat().st_mtime_ns == before


def test_no_fix_of_a_bad_program_makes_it_worse():
    for path in sorted((ROOT / "tests" / "bad").glob("*/x.dl")):
        source = read_source(path)
        before = driver.check(source, {})[1]
        after, fixes = fixed_source(source, lambda each: driver.check(each, {})[1])
        if not fixes:
            assert after is source
            continue
        syntax = [
            sum(d.name == "syntax" for d in found) for found in (before, driver.check(after, {})[1])
        ]
        assert syntax[1] <= syntax[0]
        assert fixed_source(after, lambda each: driver.check(each, {})[1])[1] == []


def test_watching_checks_again_after_a_change(tmp_path):
    path = tmp_path / "a.dl"
    path.write_text("dim n\n")
    runs = []

    def wait(seconds):
        if len(runs) == 3:
            raise KeyboardInterrupt
        if len(runs) == 2:
            path.unlink()
        else:
            path.write_text("dim longer\n")

    watch(lambda: [path], lambda: runs.append(path.exists()), wait)
    assert runs == [True, True, False]


def test_watching_looks_at_files_that_are_used(tmp_path):
    from specc.cli.check import _with_used

    (tmp_path / "words.dl").write_text("fn f(x) = x\n")
    path = tmp_path / "a.dl"
    path.write_text('use "words.dl"\n')
    assert _with_used((path,)) == [path, tmp_path / "words.dl"]
    path.write_text('use "nowhere.dl"\n')
    assert _with_used((path,)) == [path]


def test_watching_looks_at_the_data(flowers):
    from specc.cli.check import _with_used

    assert _with_used((flowers,)) == [flowers, flowers.parent / "flowers.csv"]
    sound = flowers.parent / "sound"
    assert _with_used((flowers,), sound) == [flowers, sound / "flowers.csv"]
    assert [each.name for each in _with_used((ROOT / "models" / "lenet.dl",))] == [
        "lenet.dl", "train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz",
        "t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz",
    ]  # fmt: skip


def test_random_changes_of_programs_are_checked_mended_and_drawn_without_a_crash():
    chance = random.Random(0)
    paths = [
        *(ROOT / "models").glob("*.dl"),
        *(ROOT / "tests" / "good").glob("*.dl"),
        *(ROOT / "tests" / "bad").glob("*/x.dl"),
    ]
    sources = [read_source(path) for path in sorted(paths) if path.stat().st_size < 1500]
    words: dict[str, set[str]] = {}
    for token in (token for source in sources for token in lex(source, Report()).tokens):
        words.setdefault(token.kind, set()).add(token.text)
    passed = 0
    for _ in range(100):
        source = chance.choice(sources)
        tokens = [token for token in lex(source, Report()).tokens if token.text]
        if not tokens:
            continue
        token = chance.choice(tokens)
        other = chance.choice(sorted(words))
        alike, any_ = (chance.choice(sorted(words[kind])) for kind in (token.kind, other))
        new = chance.choice([alike, alike, any_, "", f"({token.text})"])
        mutated = Source("a.dl", f"{source.text[: token.start]}{new} {source.text[token.end :]}")
        program, found = driver.check(mutated)
        render(found)
        fixed_source(mutated, lambda each: driver.check(each)[1])
        if program is not None:
            passed += 1
            drawing(diagram(program))
    assert passed > 5


@pytest.mark.parametrize("part", ["validate", "test"])
def test_data_that_is_the_training_data_is_warned_of(flowers, capsys, part):
    folder, sound = flowers.parent, flowers.parent / "sound" / "flowers.csv"
    (folder / "flowers.csv").write_bytes(sound.read_bytes())
    (folder / "copy.csv").write_bytes(sound.read_bytes())
    (folder / "other.csv").write_bytes(sound.read_bytes() + b"5,6,1\n")

    def names(call: str, *arguments: str) -> list[str]:
        flowers.write_text(FLOWERS.replace("optimizer", f"{part} {call}\noptimizer"))
        assert status_of(["check", str(flowers), "--format", "json", *arguments]) == 0
        return [each["name"] for each in json.loads(capsys.readouterr().out)]

    assert names('csv("flowers.csv")') == names('csv("./flowers.csv"; scale = 2)') == ["same-data"]
    assert names('csv("copy.csv")') == ["same-data"] and names('csv("copy.csv")', "--no-data") == []
    assert names('csv("other.csv")') == []
    assert (
        names('csv("copy.csv")  # allow: same-data')
        == names('csv("flowers.csv") # allow: same-data')
        == []
    )
