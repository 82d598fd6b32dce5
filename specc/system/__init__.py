"""What specc needs of Python and of the operating system.

folders      the user's folders, and files in them that nobody else can write to
locks        locks for threads that share a model, which a fork leaves usable
records      data classes that are made quickly
lazy         properties that are computed once, without a lock
memory       how much there is
plotter      what draws the figures of a model
collection   no garbage collection while a model is compiled
"""
