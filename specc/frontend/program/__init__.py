"""A syntax tree to a checked program: the model, its training, and all errors of the file in one
run.

check           the whole way
doubt           what an error of syntax leaves in doubt
whole           checks of a whole model: what its losses depend on, its memory
overrides       values that a command or a call gives in place of the file's
uses            the names of the file and of the files that it uses
model           the statements of the model, its losses and metrics
training        the `train` block
train_settings  what each of its settings may be, and what it does
columns         how columns of the data become inputs: `column NAME = formula`
augments        inputs that are changed while training: `augment NAME = formula`
balance         classes that count alike in the loss: `balance = label`
splits          how the data is divided
objectives      the losses that each optimizer minimizes
optimizers      the update rule of each parameter
schedules       settings that change in training, followed ahead to check their bounds
monitor         the value that chooses the best epoch
unused          definitions that no model uses, checked all the same
resolve         names without a meaning in code that is not elaborated
"""
