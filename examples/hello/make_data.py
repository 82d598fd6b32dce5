"""Write hello.csv: the letters of "hello", and behind each the one that follows.

python make_data.py [FOLDER]      # by default beside this file

A letter is its place in the alphabet of the word: e 0, h 1, l 2, o 3.
"""

import sys
from pathlib import Path

WORD = "hello"

if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    alphabet = sorted(set(WORD))
    numbers = [str(alphabet.index(letter)) for letter in WORD]
    steps = range(1, len(WORD))
    names = [f"letter_{step}" for step in steps] + [f"following_{step}" for step in steps]
    rows = [names, numbers[:-1] + numbers[1:]]
    text = "".join(",".join(row) + "\n" for row in rows)
    (folder / "hello.csv").write_text(text, encoding="utf-8", newline="")
