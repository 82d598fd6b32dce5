"""How many tokens a model takes in specc, PyTorch and Keras.

python -m benchmarks.tokens        # the table of README.md

`pytorch/NAME.py` and `keras/NAME.py` are the same models as `models/NAME.dl`, as users of these
libraries write them, with data, training and validation. Comments, blank lines, line ends and
indentation do not count.
"""

from __future__ import annotations

import io
import tokenize
from pathlib import Path
from statistics import median

from specc.diagnostics import Report
from specc.frontend.syntax.lex import lex
from specc.source import Source

HERE = Path(__file__).parent
MODELS = HERE.parents[1] / "models"
OTHERS = ("pytorch", "keras")
LAYOUT = {
    tokenize.COMMENT,
    tokenize.NL,
    tokenize.NEWLINE,
    tokenize.INDENT,
    tokenize.DEDENT,
    tokenize.ENCODING,
    tokenize.ENDMARKER,
}
"""Tokens of Python that do not count."""


def tokens(path: Path) -> int:
    """Return the number of tokens of a .dl or .py file."""
    text = path.read_text(encoding="utf-8")
    if path.suffix == ".dl":
        return len(lex(Source(path.name, text), Report()).tokens) - 1  # the end is one
    read = tokenize.generate_tokens(io.StringIO(text).readline)
    return sum(each.type not in LAYOUT for each in read)


def counts() -> dict[str, tuple[int, ...]]:
    """Return the tokens of each model: specc, and the others in their order."""
    return {
        path.stem: (
            tokens(path),
            *(tokens(HERE / other / f"{path.stem}.py") for other in OTHERS),
        )
        for path in sorted(MODELS.glob("*.dl"))
    }


def shares(found: dict[str, tuple[int, ...]]) -> tuple[float, ...]:
    """Return the median over the models of specc's tokens, as a share of each of the others."""
    columns = zip(*found.values(), strict=True)
    own, *others = map(list, columns)
    return tuple(median(a / b for a, b in zip(own, each, strict=True)) for each in others)


def table() -> str:
    """Return the table of README.md."""
    found = counts()
    lines = ["| model | specc | PyTorch | Keras |", "|---|--:|--:|--:|"]
    for name, (own, *others) in found.items():
        cells = [f"{each} ({own / each:.2f})" for each in others]
        lines.append(f"| {name} | {own} | {' | '.join(cells)} |")
    middle = " | ".join(f"{each:.2f}" for each in shares(found))
    lines.append(f"| median of the shares | | {middle} |")
    return "\n".join(lines) + "\n"
