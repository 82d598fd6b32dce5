"""Write a table of reviews: reviews.csv, from Pang and Lee's movie-review sentences (2005).

python make_data.py FOLDER [OUT]      # FOLDER holds rt-polarity.pos and rt-polarity.neg

The lines are shuffled, always in the same way: label 1 for praise, 0 for blame.
"""

import csv
import random
import sys
from pathlib import Path


def sentences(path: Path) -> list[str]:
    """The sentences of a file, a line each."""
    lines = path.read_text(encoding="latin-1").split("\n")
    return [line.strip() for line in lines if line.strip()]


if __name__ == "__main__":
    source = Path(sys.argv[1])
    folder = Path(sys.argv[2] if len(sys.argv) > 2 else Path(__file__).parent)
    rows = [(text, 1) for text in sentences(source / "rt-polarity.pos")]
    rows += [(text, 0) for text in sentences(source / "rt-polarity.neg")]
    random.Random(0).shuffle(rows)
    with (folder / "reviews.csv").open("w", newline="", encoding="utf-8") as file:
        csv.writer(file, lineterminator="\n").writerows([("words", "label"), *rows])
