"""A recording of a terminal as SVG, from a session that really runs.

    python -m making.terminal docs/terminal.svg      # with docs/ on PYTHONPATH, in the repository

Each command runs in a pseudo terminal, in a folder of its own, and its output is drawn with the
colours that it has. Lines appear one after the other; without animations all of them are there.
"""

from __future__ import annotations

import os
import pty
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from html import escape
from pathlib import Path

MODEL = """model digits {
  input  image: float[1, 8, 8]
  target label: class(10)
  let scores = image -> conv(32, kernel=3, pad=1) -> relu -> maxpool(2)
    -> flatten -> Dense(10)
  output scores
  loss   cross_entropy(scores, label)
  metric accuracy(scores, label)
}

train {
  data      digits()
  validate  split = 0.8
  optimizer adam(lr = 0.003)
  epochs = 20
}
"""
SESSION = (
    "cat digits.dl",
    "specc check digits.dl",
    "specc check --fix digits.dl",
    "specc train digits.dl --quiet",
    "specc explain patience",
)
COLUMNS = 96
COLOURS = {"31": "#e06c75", "33": "#e5c07b", "34": "#61afef", "32": "#98c379", "36": "#56b6c2"}
TEXT, BACK, PROMPT = "#dcdfe4", "#1e2127", "#98c379"
SIZE, HEIGHT, WIDTH, MARGIN, TOP = 14, 19, 8.43, 18, 40
FONTS = "ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
SECONDS_A_LINE, SECONDS_A_COMMAND = 0.05, 0.9
SGR = re.compile(r"\x1b\[([\d;]*)m")
OTHER = re.compile(r"\x1b\[[\d;?]*[A-Za-ln-z]|\r")


def output(command: str, folder: Path) -> list[str]:
    """The lines that a command writes to a terminal."""
    ours, theirs = pty.openpty()
    environment = {**os.environ, "COLUMNS": str(COLUMNS), "LINES": "50", "TERM": "xterm-256color"}
    environment.pop("NO_COLOR", None)
    with subprocess.Popen(
        ["bash", "-c", command], cwd=folder, stdout=theirs, stderr=theirs, env=environment
    ):
        os.close(theirs)
        pieces = []
        while True:
            try:
                piece = os.read(ours, 65536)
            except OSError:  # the other end is closed
                break
            if not piece:
                break
            pieces.append(piece)
    os.close(ours)
    text = OTHER.sub("", b"".join(pieces).decode("utf-8"))
    return [line.rstrip() for line in text.rstrip("\n").split("\n")]


def spans(line: str) -> Iterator[tuple[str, str, bool]]:
    """The parts of a line: text, colour, and whether it is bold."""
    colour, is_bold = TEXT, False
    for number, part in enumerate(SGR.split(line)):
        if number % 2 == 0:
            if part:
                yield part, colour, is_bold
            continue
        for code in part.split(";"):
            if code in ("", "0"):
                colour, is_bold = TEXT, False
            elif code == "1":
                is_bold = True
            else:
                colour = COLOURS.get(code, colour)


def drawn(session: list[tuple[str, list[str]]]) -> str:
    """The session as SVG."""
    rows, at = [], 0.4
    for command, lines in session:
        rows.append((at, f"\x1b[32m$\x1b[0m \x1b[1m{command}\x1b[0m"))
        at += SECONDS_A_COMMAND
        for line in lines:
            rows.append((at, line))
            at += SECONDS_A_LINE
        rows.append((at, ""))
    height = TOP + HEIGHT * len(rows) + MARGIN
    width = int(2 * MARGIN + WIDTH * COLUMNS)
    shown = []
    for number, (start, line) in enumerate(rows):
        parts = "".join(
            f'<tspan fill="{colour}"{" font-weight=" + chr(34) + "bold" + chr(34) if bold else ""}>'
            f"{escape(text)}</tspan>"
            for text, colour, bold in spans(line)
        )
        y = TOP + HEIGHT * (number + 1)
        shown.append(
            f'<text x="{MARGIN}" y="{y}" xml:space="preserve" style="animation-delay:{start:.2f}s">'
            f"{parts}</text>"
        )
    dots = "".join(
        f'<circle cx="{MARGIN + 18 * n}" cy="18" r="6" fill="{colour}"/>'
        for n, colour in enumerate(("#e06c75", "#e5c07b", "#98c379"))
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}"'
        f' role="img" aria-label="A terminal: specc finds two errors, fixes one, and trains">\n'
        "<style>text { font: "
        f"{SIZE}px {FONTS}; }}\n"
        "@media (prefers-reduced-motion: no-preference) {\n"
        "  text { animation: appear 0.01s both; }\n"
        "  @keyframes appear { from { opacity: 0; } to { opacity: 1; } }\n}</style>\n"
        f'<rect width="{width}" height="{height}" rx="8" fill="{BACK}"/>{dots}\n'
        + "\n".join(shown)
        + "\n</svg>\n"
    )


def main(path: Path) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "digits.dl").write_text(MODEL, encoding="utf-8")
        session = [(command, output(command, folder)) for command in SESSION]
    path.write_text(drawn(session), encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
