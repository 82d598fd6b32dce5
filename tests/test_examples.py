"""The examples: each command in their READMEs is run, and comes to the figures behind it.

A command is an indented line; `# accuracy 0.97 ± 0.02`, behind it or under it, is what it prints,
and so is `# "it vanishes"`, word for word. $DATA is the folder of data sets beside the repository:
what needs it is skipped where it is missing. Each run of the tests trains the slow examples for one
epoch, and `python -m pytest -m long` to their figures.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from specc.cli.main import status_of

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = ROOT / "examples"
FOLDERS = sorted(path.parent for path in EXAMPLES.glob("*/README.md"))
DATA = ROOT.parent / "shared" / "data"
LARGE = {
    "numbers.csv",
    "numbers_val.csv",
    "reviews.csv",
}  # tables that are not kept with the project
SLOW = {
    "depth",
    "fine_tuning",
    "flow",
    "frames",
    "lecture",
    "sentiment",
    "shakespeare",
    "translate",
}
CHARACTERS = 100_000  # of a text that a slow example is trained on each time
EXPECTED = re.compile(r"(\w+) (\d[\d.]*) ± (\d[\d.]*)")
SAID = re.compile(r'"([^"]+)"')


@dataclass
class Command:
    words: list[str]
    figures: dict[str, tuple[float, float]] = field(default_factory=dict)  # name -> value, margin
    said: list[str] = field(default_factory=list)


def commands(readme: str) -> list[Command]:
    """The commands of a README, with the figures that each must come to."""
    found: list[Command] = []
    is_output = False
    for line in readme.splitlines():
        is_output ^= line.startswith("```")
        if is_output or not line.startswith("    "):
            continue
        command, _, comment = line.partition("#")
        if command.strip():
            found.append(Command(shlex.split(command.replace("$DATA", str(DATA)))))
        for name, value, margin in EXPECTED.findall(comment):
            found[-1].figures[name] = float(value), float(margin)
        found[-1].said += SAID.findall(comment)
    return found


@pytest.fixture
def run(tmp_path, monkeypatch, capfd):
    """Runs a command with all that is written going to `tmp_path`; what it printed."""
    monkeypatch.chdir(ROOT)
    made: set[str] = set()

    def specc(words: list[str]) -> str:
        if words[-2:-1] == ["--data"] and words[-1] in made:
            words = [*words[:-1], str(tmp_path)]
        if words[0] == "train":
            words = [each.replace("=runs/", f"={tmp_path}/runs/") for each in words]
            words = [*words, "--run", str(tmp_path / "runs"), "--quiet"]
        status = status_of([*words, "--threads", "1"])
        printed = capfd.readouterr()
        assert status == 0, printed.out + printed.err
        return printed.out

    def python(words: list[str]) -> str:
        script, *rest = words
        if script.endswith("/make_data.py"):
            made.add(script.removesuffix("/make_data.py"))
            rest = [*rest, str(tmp_path)]
        own = [each.startswith("runs/") or each.endswith(".svg") for each in rest]
        rest = [
            str(tmp_path / each) if is_own else each for each, is_own in zip(rest, own, strict=True)
        ]
        done = subprocess.run(
            [sys.executable, script, *rest], capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        return done.stdout

    return lambda words: {"specc": specc, "python": python}[words[0]](words[1:])


def _marked(folder: Path, is_full: bool = True):
    """The folder as a parameter of a test."""
    marks = [pytest.mark.long] if is_full and folder.name in SLOW else []
    if "$DATA" in (folder / "README.md").read_text(encoding="utf-8"):
        missing = pytest.mark.skipif(not DATA.is_dir(), reason="the data sets are not there")
        marks += [pytest.mark.data, missing]
    return pytest.param(folder, id=folder.name, marks=marks)


@pytest.mark.slow
@pytest.mark.parametrize("folder", [_marked(folder) for folder in FOLDERS])
def test_an_example_comes_to_what_its_readme_says(folder, run):
    found = commands((folder / "README.md").read_text(encoding="utf-8"))
    assert any(each.figures for each in found)
    for command in found:
        printed = run(command.words)
        assert command.figures or command.said or not printed, f"{command.words} printed {printed}"
        for words in command.said:
            assert words in printed, command.words
        for name, (value, margin) in command.figures.items():
            reached = re.search(rf"\b{name} (\S+)", printed)
            assert reached is not None, f"{command.words} prints no {name}: {printed}"
            assert float(reached[1]) == pytest.approx(value, abs=margin), command.words


def _shortened(words: list[str], folder: Path) -> list[str]:
    """A command that trains for one epoch, on the beginning of a text."""
    if words[1] == "train":
        words = [each for each in words if not each.startswith("epochs=")]
        words.insert(3, "epochs=1")
    if words[-1] == str(DATA):
        for path in DATA.glob("*.txt"):
            text = path.read_text(encoding="utf-8")
            (folder / path.name).write_text(text[:CHARACTERS], encoding="utf-8")
        words[-1] = str(folder)
    return words


@pytest.mark.slow
@pytest.mark.parametrize(
    "folder", [_marked(folder, False) for folder in FOLDERS if folder.name in SLOW]
)
def test_a_slow_example_runs(folder, run, tmp_path):
    for command in commands((folder / "README.md").read_text(encoding="utf-8")):
        makes_data = command.words[1].endswith("/make_data.py")
        if not (command.figures or command.said or makes_data):
            continue  # `tests/plots/test_lecture.py` runs the scripts
        printed = run(_shortened(command.words, tmp_path))
        assert all(name in printed for name in command.figures), command.words
        assert all(words in printed for words in command.said), command.words


def test_the_list_of_examples_names_each_folder():
    listed = re.findall(r"^- `(\w+)`", (EXAMPLES / "README.md").read_text(), re.MULTILINE)
    assert sorted(listed) == [folder.name for folder in FOLDERS]


@pytest.mark.parametrize(
    "table",
    [each for each in sorted(EXAMPLES.glob("*/*.csv")) if each.name not in LARGE],
    ids=lambda table: table.name,
)
def test_a_table_is_what_its_script_writes(table, tmp_path):
    subprocess.run([sys.executable, table.parent / "make_data.py", tmp_path], check=True)
    assert (tmp_path / table.name).read_bytes() == table.read_bytes()
