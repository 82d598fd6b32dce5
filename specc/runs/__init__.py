"""Runs: a model is trained in a folder, resumed, opened again, named, listed and compared.

listener        who is told of warnings: the command line prints them, Python warns
programs        the checked program of a file, or of a run with the changes it was trained with
provenance      compares what a run was made of with what is there now
verdict         compares a file with its data before anything is compiled
start           a training: a new one, or one that goes on
train           training from Python
folds           cross-validation: a run for each fold
opened          a run or a saved model as a net
run             a trained run as Python sees it
display         what is seen of a training
summary         what came of a run, at a glance
names           the folders of runs by their names: `digits/3`, `@last`, `@best`
trials          the trials of a sweep, as their runs tell of them
compare         what differs between two runs
writing         a model that writes, and the texts of a training
clean           the runs that nobody needs any more
detail          figures by class and by slice, and the calibration
grading         compares a model with a reference, as an exercise asks for
rates           a sweep of learning rates
log             logs for other tools
"""
