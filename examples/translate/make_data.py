"""Write numbers in figures and in words: numbers.csv, and numbers_val.csv with other numbers.

python make_data.py [FOLDER] [COUNT]      # by default beside this file, the numbers below 10000

A tenth of the numbers is kept for validation. Each text ends in a point, by which the model says
that it is done.
"""

import csv
import random
import sys
from pathlib import Path

ONES = [
    "zero",
    "one",
    "two",
    "three",
    "four",
    "five",
    "six",
    "seven",
    "eight",
    "nine",
    "ten",
    "eleven",
    "twelve",
    "thirteen",
    "fourteen",
    "fifteen",
    "sixteen",
    "seventeen",
    "eighteen",
    "nineteen",
]
TENS = ["-", "-", "twenty", "thirty", "forty", "fifty", "sixty", "seventy", "eighty", "ninety"]


def words(number: int) -> str:
    """A number below 10000 in words: `four thousand one hundred twenty seven`."""
    if number < 20:
        return ONES[number]
    for size, name in ((1000, " thousand"), (100, " hundred")):
        if number >= size:
            rest = number % size
            return ONES[number // size] + name + (f" {words(rest)}" if rest else "")
    return TENS[number // 10] + (f" {ONES[number % 10]}" if number % 10 else "")


def write(path: Path, numbers: list[int]) -> None:
    """A table of numbers."""
    with path.open("w", newline="", encoding="utf-8") as file:
        table = csv.writer(file, lineterminator="\n")
        table.writerow(["figures", "words"])
        table.writerows([f"{number}.", f"{words(number)}."] for number in numbers)


if __name__ == "__main__":
    folder = Path(sys.argv[1] if len(sys.argv) > 1 else Path(__file__).parent)
    numbers = list(range(int(sys.argv[2]) if len(sys.argv) > 2 else 10000))
    random.Random(0).shuffle(numbers)
    cut = len(numbers) // 10
    write(folder / "numbers.csv", numbers[cut:])
    write(folder / "numbers_val.csv", numbers[:cut])
