"""From a syntax tree to a checked program: the model, its training, and all errors of a file.

check           all checks in order
doubt           errors that may only be consequences of a syntax error
whole           checks of a whole model: what its losses depend on, its memory
overrides       values of the command line or a call that replace those of the file
uses            the names of the file and of the files that it imports
model           the statements of the model, its losses and metrics
training        the `train` block
accumulation    steps of several batches: `batch = 32 * 4`
train_settings  the types and descriptions of its settings
sources         its data sources: `data`, `validate`, `test`
columns         inputs computed from columns of the data: `column NAME = formula`
augments        data augmentation of inputs: `augment NAME = formula`
balance         classes with equal weight in the loss: `balance = label`
splits          how the data is divided
objectives      the losses that each optimizer minimizes
optimizers      the update rule of each parameter
again           the gradient that a rule takes a second time: `gradient_at(v)`
schedules       settings that change in training, evaluated ahead to check their bounds
starts          weights from elsewhere: `start = "runs/teacher/1"`
monitor         the value that selects the best epoch
unused          checks of definitions that no model uses
resolve         undefined names in code that is not elaborated
"""
