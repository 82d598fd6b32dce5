"""Parses numbers with decimal and thousands signs of various countries.

NumberForm(",").parsed("11,6")                 # 11.6
NumberForm(",", ".").parsed("1.234,50 €")      # 1234.5
form_of(["11,6", "3"])                         # NumberForm(decimal=",", thousands=None)
form_of(["11,6", "3", "k. A."])                # NumberForm(",", None, empty="k. A.")
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from dataclasses import replace
from functools import cached_property

from specc.system.records import dataclass

SIGNS = r"[$€£¥₹%]?"
SPACE = r"[ \u00a0\u202f]*"


@dataclass(frozen=True)
class NumberForm:
    """How numbers are written: the decimal sign, and the thousands sign if there is one.

    `empty` is a text that stands for a missing number.
    """

    decimal: str = "."
    thousands: str | None = None
    empty: str | None = None

    @property
    def settings(self) -> str:
        """The settings of `number` for this form: `; decimal = ","`, or an empty string."""
        found = [f'decimal = "{self.decimal}"'] if self.decimal != "." else []
        found += [f'thousands = "{self.thousands}"'] if self.thousands is not None else []
        found += [f"empty = {json.dumps(self.empty, ensure_ascii=False)}"] * (
            self.empty is not None
        )
        return "; " * bool(found) + ", ".join(found)

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        digits = r"\d+"
        if self.thousands is not None:
            digits = rf"(?:\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+|\d+)"
        number = rf"(?:{digits}(?:{re.escape(self.decimal)}\d*)?|{re.escape(self.decimal)}\d+)"
        return re.compile(
            rf"{SPACE}(?P<sign>[+-]?){SPACE}{SIGNS}{SPACE}(?P<number>{number})(?P<power>[eE][+-]?\d+)?"
            rf"{SPACE}{SIGNS}{SPACE}",
            re.ASCII,
        )

    def parsed(self, text: str) -> float | None:
        """Parse a number; return None if the text is not one."""
        match = self._pattern.fullmatch(text.replace("\u2212", "-"))
        if match is None:
            return None
        plain = match["number"].replace(self.thousands, "") if self.thousands else match["number"]
        return float(match["sign"] + plain.replace(self.decimal, ".") + (match["power"] or ""))


FEWEST = 10  # least number of distinct numbers beside a text for missing ones
FORMS = (
    NumberForm("."),
    NumberForm(".", ","),
    NumberForm(","),
    NumberForm(",", "."),
    NumberForm(",", " "),
    NumberForm(",", "\u00a0"),
    NumberForm(".", "'"),
)


def form_of(texts: Iterable[str]) -> NumberForm | None:
    """Return the first form in which all texts can be parsed, or None.

    Among at least `FEWEST` numbers, one text that is not a number stands for a missing one.
    """
    given = list(dict.fromkeys(texts))
    for each in FORMS:
        others = [text for text in given if each.parsed(text) is None]
        if given and not others:
            return each
        if len(others) == 1 and len(given) > FEWEST and not re.search(r"\d", others[0]):
            return replace(each, empty=others[0])
    return None
