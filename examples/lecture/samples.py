"""Noise becomes text: what a character model writes after 0, 100, 1,000, 10,000 steps.

    python examples/lecture/samples.py TEXT samples.svg [STEPS]

A small LSTM reads TEXT, a file such as Karpathy's tinyshakespeare.txt, and writes 200 letters on
the way, each time with the same luck.
"""

import sys
import tempfile
from pathlib import Path

import specc
from specc.plots.marks import Figure, Text
from specc.plots.subject import of_run
from specc.plots.svg.document import svg
from specc.plots.through_time import samples
from specc.runs.listener import AsWarnings

LANES, TIME, STEPS = 16, 32, 10_000  # of the training
MODEL = """
seq time = {time}
dim vocab
model writer {{
  stream text: class(vocab)[time]
  target next_: class(vocab)[time]
  let scores = text -> embed(32) -> lstm(128) -> dense(vocab)
  output scores
  loss   cross_entropy(scores, next_)
}}
train {{
  data text("{file}")
  optimizer adam(lr = 0.004 * (1 - progress))
  batch = {lanes}
  epochs = {epochs}
  clip_norm = 5
  sample = 200
  prompt = "\\n"
  temperature = 0.7
}}
"""


def figure(file: Path, steps: int = STEPS) -> Figure:
    for_an_epoch = len(file.read_text(encoding="utf-8")) // (LANES * TIME)
    epochs = max(1, -(-steps // max(1, for_an_epoch)))
    text = MODEL.format(time=TIME, file=file.resolve(), lanes=LANES, epochs=epochs)
    with tempfile.TemporaryDirectory() as runs:
        run = specc.train(text, runs=runs, quiet=True)
        subject = of_run(run.folder, AsWarnings())
        powers = {0} | {10**k for k in range(9)}
        last = subject.samples[-1]["step"]
        subject.samples[:] = [
            each for each in subject.samples if each["step"] in powers or each["step"] == last
        ]
        drawn = samples(subject)
    (part,) = drawn.parts
    assert isinstance(part, Text)
    caption = (
        "At first all letters are as likely as any other. Then spaces and common letters come in"
        " the right proportion, then words and lines, then names and speeches."
    )
    return Figure("samples", "Noise becomes text", drawn.parts, caption)


if __name__ == "__main__":
    wanted = int(sys.argv[3]) if len(sys.argv) > 3 else STEPS
    Path(sys.argv[2]).write_text(svg(figure(Path(sys.argv[1]), wanted)), encoding="utf-8")
