"""A page of the documentation as a session: its blocks, and the errors in running them.

    blocks(text)                    # [Block("dl", "iris.dl", "model iris ...", "", 12), ...]
    Session(folder, specc).run(block)

What a block is run as follows from its language:

- `dl` is checked. With a title, `title="iris.dl"`, it is a file of that name for what follows.
- `csv`, `text` and `json` with a title are files, too.
- `console` has commands behind `$`, and what they print; `...` stands for any lines, or within a
  line for any text. Decimals that a training prints may differ a little from the page's.
- `python` is run, if what it imports is installed.

A comment above a block says how it differs: `<!-- wrong: shape-mismatch -->` of a program that has
this error or warning, `<!-- long -->` of a block that takes many seconds, `<!-- not run: WHY -->`.
"""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from textwrap import dedent

from specc import driver
from specc.source import Source

ROOT = Path(__file__).parents[1]
PARTS = ("benchmarks", "docs", "examples", "models", "specc")
"""Folders of the repository that commands on pages name."""
FENCE = re.compile(
    r"^ *(?:<!-- (?P<said>.*?) -->\n\s*)?"
    r'```(?P<language>\w+)(?: title="(?P<title>[^"]+)")?\n(?P<text>.*?)^ *```$',
    re.MULTILINE | re.DOTALL,
)
SNIPPET = re.compile(r'^--8<-- "([^"]+)"$', re.MULTILINE)
MEASURED = ("train", "eval", "predict", "flow", "time", "grade", "sample", "python")
"""Commands whose decimals depend on the processor."""
NUMBER = re.compile(r"(-?\d[\d,]*(?:\.\d+)?(?:e[-+]?\d+)?)")


@dataclass(frozen=True)
class Block:
    language: str
    title: str
    text: str
    said: str  # the comment above it
    line: int

    @property
    def is_long(self) -> bool:
        return self.said == "long"


def blocks(page: str) -> list[Block]:
    """Return the blocks of a page, with included files."""
    return [
        Block(
            each["language"],
            each["title"] or "",
            SNIPPET.sub(_file, dedent(each["text"])),
            each["said"] or "",
            page.count("\n", 0, each.start()) + 1,
        )
        for each in FENCE.finditer(page)
    ]


def _file(match: re.Match[str]) -> str:
    return (ROOT / match[1]).read_text(encoding="utf-8").rstrip("\n")


def commands(text: str) -> list[tuple[str, list[str]]]:
    """Return the commands of a block, each with its expected output."""
    found = []
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        command, *lines = part.rstrip("\n").split("\n")
        found.append((command, lines))
    return found


def missing(lines: list[str], printed: list[str], is_measured: bool = False) -> str | None:
    """Return the first expected line that was not printed; None if there is none."""
    at, is_free = 0, False
    for line in lines:
        if line == "...":
            is_free = True
            continue
        ends = len(printed) if is_free else at + 1
        places = range(at, min(ends, len(printed)))
        at = next((n + 1 for n in places if alike(line, printed[n], is_measured)), -1)
        if at < 0:
            return line
        is_free = False
    return None if is_free or at == len(printed) else printed[at]


def alike(line: str, printed: str, is_measured: bool = False) -> bool:
    """Return whether a line matches the printed one."""
    if line == printed:
        return True
    if "..." in line:
        return re.fullmatch(".*".join(map(re.escape, line.split("..."))), printed) is not None
    if not is_measured:
        return False
    one, other = NUMBER.split(line), NUMBER.split(printed)
    return len(one) == len(other) and all(
        a.split() == b.split() if place % 2 == 0 else _near(a, b, one[place + 1])
        for place, (a, b) in enumerate(zip(one, other, strict=True))
    )


def _near(one: str, other: str, unit: str) -> bool:
    """Return whether two numbers agree; integers must be equal, except for rates."""
    a, b = float(one.replace(",", "")), float(other.replace(",", ""))
    if unit.startswith((" examples/s", " s", " ms")):
        return True
    if "." not in one + other:
        return a == b
    return abs(a - b) <= 0.03 + 0.15 * abs(a)


class Session:
    """A session that runs the blocks of a page in order, in a separate folder."""

    def __init__(self, folder: Path, specc: Callable[..., tuple[int, str, str]]) -> None:
        self.folder, self.specc = folder, specc
        self.names: dict[str, object] = {"__name__": "page"}
        for part in PARTS:
            (folder / part).symlink_to(ROOT / part)

    def run(self, block: Block) -> str | None:
        """Return the error of a block; None if there is none."""
        if block.said.startswith("not run: "):
            return None
        if block.title:
            path = self.folder / block.title
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block.text, encoding="utf-8")
        match block.language:
            case "dl":
                return self._check(block)
            case "console":
                return self._console(block)
            case "python":
                return self._python(block)
        return None

    def _check(self, block: Block) -> str | None:
        text = block.text
        if not re.search(r"^model ", text, re.MULTILINE):  # definitions alone
            text += "\nmodel page {\n  input x: float[8]\n  output x -> relu\n}\n"
        _, found, _ = driver.check_all(Source(block.title or "page.dl", text))
        names = {each.name for each in found}
        if text != block.text:
            names -= {"unused"}
        wanted = set(block.said.removeprefix("wrong: ").split(", ")) - {"", "long"}
        if names != wanted:
            return f"{', '.join(map(str, found)) or 'nothing wrong'}; the page says {wanted}"
        return None

    def _console(self, block: Block) -> str | None:
        for command, lines in commands(block.text):
            program, *arguments = shlex.split(command)
            if program == "specc":
                status, printed, errors = self.specc(*arguments)
                output = printed + errors
                name = arguments[0] if arguments else ""
            elif program == "python":
                done = subprocess.run(
                    [sys.executable, *arguments], capture_output=True, text=True, check=False
                )
                status, output, name = done.returncode, done.stdout + done.stderr, "python"
            elif program == "cat":
                output = "".join(Path(each).read_text(encoding="utf-8") for each in arguments)
                status, name = 0, "cat"
            else:
                return f"`{command}` is not a command that a page can have"
            shown = [each.rstrip() for each in output.rstrip("\n").splitlines()]
            wrong = missing(lines, shown, name in MEASURED)
            if wrong is not None:
                return f"`{command}` does not print it there: {wrong}\nit prints\n{output}"
            is_refused = any(each.startswith(("error", "Error", "  WRONG")) for each in shown)
            if status and not is_refused:
                return f"`{command}` exits with {status}"
        return None

    def _python(self, block: Block) -> str | None:
        code = compile(block.text, f"line {block.line}", "exec")
        modules = re.findall(r"^(?:from|import) (\w+)", block.text, re.MULTILINE)
        if any(find_spec(each) is None for each in modules):
            return None
        exec(code, self.names)
        return None
