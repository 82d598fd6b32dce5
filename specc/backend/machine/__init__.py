"""The machine that programs are planned and compiled for.

processor   the instruction set: vector width, vector registers, features
"""

from specc.backend.machine.processor import WIDTHS, Machine, this_machine

__all__ = ["WIDTHS", "Machine", "this_machine"]
