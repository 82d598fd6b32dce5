"""Runs: training a model in a folder, resuming, opening, naming, listing and comparing runs.

listener        receives warnings: the command line prints them, Python issues them
programs        the checked program of a file, or of a run with its overrides
provenance      compares the model, data and machine of a run with the present ones
verdict         compares a file with its data before anything is compiled
start           starts or resumes training
starts          the weights that a training begins with
train           training from Python
folds           cross-validation: one run per fold
opened          opens a run or a saved model as a net
run             the Python object of a trained run
display         shows the progress of training
summary         the status and the results of a run
names           finds the folder of a run by its name: `digits/3`, `@last`, `@best`
trials          the trials of a sweep, found by their runs
compare         the differences between two runs
writing         text generation by a run's model, and samples during training
clean           finds old runs to delete
detail          metrics by class and by slice, and the calibration
grading         compares a model with a reference solution
rates           a learning rate range test
log             logs for other tools, such as TensorBoard
lost            reports a rank that was killed
"""
