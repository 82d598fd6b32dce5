"""The text of numbers in the language.

show_number(0.5)    # "0.5"
show_number(True)   # "true"
"""

from __future__ import annotations

from specc.ir.sizes import Polynomial


def show_number(value: float | Polynomial) -> str:
    """Return a number as the language writes it."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        text = f"{value:g}"
        return f"{text}.0" if text.lstrip("-").isdigit() else text
    return str(value)
