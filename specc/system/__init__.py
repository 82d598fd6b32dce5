"""Helpers on top of Python and the operating system.

folders      the user's folders, and files in them that no other user can write
locks        locks for threads that share a model, usable after a fork
records      data classes that are created quickly
lazy         properties that are computed once, without a lock
memory       the memory of the machine
plotter      a hook for plots of a model
starter      a hook for weights from elsewhere
collection   no garbage collection during compilation
"""
