"""Sweeps: many runs of one file with different values for its searches, using Optuna.

Optuna stores the study and draws the values. Its storage is a file, or a database that several
machines share. A trial is an ordinary run of the file, with the values written into it.

plan      the options of a sweep, and its study
kept      the file beside the runs that says what a sweep was asked to do
values    draws the values of a trial, and lists the trials that count
trial     runs one trial and reports its result
worker    a process that runs trials until there are enough
result    the result of a sweep: the trials, the best text, the importance of each search
run       runs the whole sweep, with its processes

    result = sweep(SweepPlan(...), shown)
    result.best.run, result.text()
"""
