"""Where a small GPT looks while it writes sums: 3+4=7.

    python examples/lecture/sums.py sums.svg

It reads random sums of two digits, one per line. At each `=` it has to find both digits before.
"""

import random
import sys
import tempfile
from pathlib import Path

import specc
from specc.plots.attention import attention
from specc.plots.marks import Figure
from specc.plots.subject import of_run
from specc.plots.svg.document import svg
from specc.runs.listener import AsWarnings

COUNT = 1500
MODEL = """
seq time = 16
dim vocab
model sums {{
  input  text: class(vocab)[time]
  target next_: class(vocab)[time]
  let h = text -> embed(32) -> learned_positions
    -> 2 * (transformer(heads=2, causal=true)) -> layernorm
  let scores = h -> dense(vocab)
  output scores
  loss   cross_entropy(scores, next_)
}}
train {{
  data      text("{file}")
  optimizer adamw(lr = 0.005 * (1 - progress))
  epochs = 30
  batch  = 8
  seed   = 0
}}
"""


def text() -> str:
    """Random sums of two digits, one per line."""
    draw = random.Random(0)
    pairs = [(draw.randrange(10), draw.randrange(10)) for _ in range(COUNT)]
    return "".join(f"{a}+{b}={a + b}\n" for a, b in pairs)


def figure() -> Figure:
    """The weights of all heads at the first characters of the text."""
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "sums.txt"
        file.write_text(text(), encoding="utf-8")
        run = specc.train(MODEL.format(file=file), runs=folder, quiet=True)
        drawn = attention(of_run(run.folder, AsWarnings()))
    caption = (
        "Each row is a character, and says from which characters it takes. White: characters that"
        " come later, which causal attention cannot see."
    )
    return Figure("sums", "A small GPT reads sums", drawn.parts, caption, columns=2)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
