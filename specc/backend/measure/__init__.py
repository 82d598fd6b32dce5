"""Measurements of the time of programs on this machine.

clock         the processor's clock, read between calls
timing        the time of every call in a step
limits        the most multiply-adds and bytes per second
"""
