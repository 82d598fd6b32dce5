"""Examples from files or frames, bound to the ports of a model and checked before anything runs.

    data = load(program.recipe, program.ports, folder)
    data.training.columns["image"]       # Column(uint8 [60000, 1, 28, 28], scale=1/255)
    data.validation.rows                 # which rows of its columns belong to it

A `DataCall("frame", (table,))` has an object of Python in the place of a file.

sources     one file for each form of data: what a `DataCall` names as a `Table` of columns
frames      objects of Python as a `Table`
table       columns by name, before they are bound to ports
match       which column belongs to which port
cells       the cells of a column against the kind of a port
columns     formulas: `column NAME = formula`
fields      the fields of all ports
parts       training, validation and test
bind        fields to columns as kernels read them
load        all of it; `sizes` for open dimensions, `survey` for `specc check`
"""

from specc.runtime.data.frames import table_of
from specc.runtime.data.load import load
from specc.runtime.data.part import Data, DataPart
from specc.runtime.data.sizes import open_sizes

__all__ = ["Data", "DataPart", "load", "open_sizes", "table_of"]
