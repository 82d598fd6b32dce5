"""The machine that programs are planned and compiled for.

processor   the instruction set: vector width, vector registers, features
profile     what the machine can do, as figures: products and loads a cycle, caches, bandwidths
measure     these figures, measured with small loops of machine code
chosen      a profile from a file, or that of a run, in the place of this machine's
here        the profile of this machine: from a file, from the cache folder, or measured
"""

from specc.backend.machine.processor import WIDTHS, Machine, this_machine

__all__ = ["WIDTHS", "Machine", "this_machine"]
