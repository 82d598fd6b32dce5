"""Examples from files, bound to the ports of a model and checked before anything runs.

    data = load(program.recipe, program.ports, folder)
    data.training.columns["image"]       # Column(uint8 [60000, 1, 28, 28], scale=1/255)
    data.validation.rows                 # which rows of its columns belong to it

One file for each source (`digits`, `idx`, `csv`, `npz`): it reads what a `DataCall` names and says
which field belongs to which port. `bind` checks fields against ports, `load` cuts the parts.
"""

from specc.runtime.data.load import Data, Part, load, open_sizes

__all__ = ["Data", "Part", "load", "open_sizes"]
