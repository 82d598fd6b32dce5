"""The machine that programs are planned and compiled for.

system      the processor's name, number and caches, as the operating system reports them
processor   the instruction set: vector width, vector registers, features
profile     the speed of a machine: multiply-adds and loads per cycle, caches, bandwidths
measure     this machine's profile, measured with small loops of machine code
chosen      a profile from a file or from a run, in place of this machine's
here        the profile to plan with: chosen, from the cache folder, or measured
"""

from specc.backend.machine.processor import WIDTHS, Machine, this_machine

__all__ = ["WIDTHS", "Machine", "this_machine"]
