"""Where time goes, measured on this machine.

clock         the processor's clock, read between calls
timing        every call's share of a step
limits        the most multiply-adds and bytes per second
"""
