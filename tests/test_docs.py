"""The pages of docs/: each command is run, and prints what the page says.

A block of commands looks like a terminal. A line with three dots stands for any lines.

    ```console
    $ specc show docs/curve.dl --stage tree
    ...
        body: Let  5:3
    ...
    ```
"""

from __future__ import annotations

import re
import shlex
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)


def commands(text: str) -> list[tuple[str, list[str]]]:
    """The commands of a page, each with the lines that it prints."""
    found = []
    for block in BLOCK.findall(text):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, *lines = part.splitlines()
            found.append((command, lines))
    return found


CASES = [(page, *case) for page in PAGES for case in commands(page.read_text(encoding="utf-8"))]


def missing(lines: list[str], printed: list[str]) -> str | None:
    """The first line of a page that was not printed in its place; None if there is none."""
    at, is_free = 0, False
    for line in lines:
        if line == "...":
            is_free = True
            continue
        ends = len(printed) if is_free else at + 1
        at = next((n + 1 for n in range(at, min(ends, len(printed))) if printed[n] == line), -1)
        if at < 0:
            return line
        is_free = False
    return None if is_free or at == len(printed) else printed[at]


@pytest.mark.parametrize("page, command, lines", CASES, ids=[case[1] for case in CASES])
def test_a_command_prints_what_the_page_says(page, command, lines, monkeypatch, specc):
    monkeypatch.chdir(ROOT)
    program, *arguments = shlex.split(command)
    assert program == "specc"
    status, printed, errors = specc(*arguments)
    assert (status, errors) == (0, "")
    wrong = missing(lines, [each.rstrip() for each in printed.splitlines()])
    assert wrong is None, f"{page.name}: `{command}` does not print it there: {wrong}"


def test_pages_have_commands():
    assert len(CASES) >= 5


def test_the_model_of_the_architecture_page_is_the_file():
    text = (ROOT / "docs" / "architecture.md").read_text(encoding="utf-8")
    assert f"```dl\n{(ROOT / 'docs' / 'curve.dl').read_text(encoding='utf-8')}```" in text


@pytest.mark.parametrize(
    "lines, printed, wrong",
    [
        (["a", "b"], ["a", "b"], None),
        (["a"], ["a", "b"], "b"),
        (["...", "b"], ["a", "b"], None),
        (["a", "...", "d"], ["a", "b", "c", "d"], None),
        (["a", "...", "d"], ["a", "b", "d", "c"], "c"),
        (["a", "c"], ["a", "b", "c"], "c"),
        (["...", "b", "a", "..."], ["a", "b"], "a"),
    ],
)
def test_what_is_missing(lines, printed, wrong):
    assert missing(lines, printed) == wrong
