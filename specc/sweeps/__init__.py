"""Sweeps: many runs of one file, each with other values for its searches, on Optuna.

Optuna keeps the study and draws the values; its storage is a file, or a database that several
machines share. A trial is a run like any other, of the file with its values written in.

plan      what a sweep was asked to do, and the study that belongs to it
values    how a search draws a value from a trial, and which trials there are
trial     one trial: its run, its reports, its end
worker    a process that takes trials until there are enough
result    what came of it: the table, the best text, the importance of each search
run       the whole sweep, with its processes

    result = sweep(SweepPlan(...), shown)
    result.best.run, result.text()
"""
