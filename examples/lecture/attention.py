"""Where each step looks: attention that has learned to write letters backwards.

    python examples/lecture/attention.py attention.svg

The position of a letter says which letter is wanted, so the weights are large on one diagonal.
"""

import random
import sys
import tempfile
from pathlib import Path

import specc
from specc.plots.attention import attention
from specc.plots.marks import Figure
from specc.plots.subject import of_net
from specc.plots.svg.document import svg

LETTERS, LENGTH, COUNT = "abcdefghijklmnopqrstuvwxyz", 8, 1000
MODEL = """
seq time = 8
dim letters
model backwards {
  input  text: class(letters)[time]
  target answer: class(letters)[time]
  let x      = text -> embed(32) -> learned_positions
  let scores = x -> attention -> dense(letters)
  output scores
  loss   cross_entropy(scores, answer)
  metric accuracy(scores, answer)
}
train {
  optimizer adam(lr = 0.01)
  epochs = 10
  batch  = 16
  seed   = 0
}
"""


def words() -> dict[str, list[str]]:
    """Random words, and each of them backwards."""
    draw = random.Random(0)
    texts = ["".join(draw.choices(LETTERS, k=LENGTH)) for _ in range(COUNT)]
    return {"text": texts, "answer": [each[::-1] for each in texts]}


def figure() -> Figure:
    """The weights for the first word."""
    with tempfile.TemporaryDirectory() as runs:
        run = specc.train(MODEL, data=words(), validate=0.2, runs=runs, quiet=True)
        drawn = attention(of_net(run.net, words()))
    caption = (
        "Each row is a step of the answer, and each column a letter of the text. The first step"
        " takes nearly all from the last letter, the second from the last but one."
    )
    return Figure("attention", "Written backwards", drawn.parts, caption)


if __name__ == "__main__":
    Path(sys.argv[1]).write_text(svg(figure()), encoding="utf-8")
