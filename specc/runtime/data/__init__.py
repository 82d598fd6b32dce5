"""Examples from files or frames, matched to the ports of a model and checked before anything runs.

    data = load(program.recipe, program.ports, folder)
    data.training.columns["image"]       # Column(uint8 [60000, 1, 28, 28], scale=1/255)
    data.validation.rows                 # the rows of its columns that belong to this part

`DataCall("frame", (table,))` uses a Python object instead of a file.

sources     one file for each data format; each returns a `Table` of columns
frames      Python objects as a `Table`
table       columns by name, before they are bound to ports
match       which column belongs to which port
cells       the cells of a column against the kind of a port
columns     formulas: `column NAME = formula`
fields      the fields of all ports
parts       training, validation and test
bind        fields as the columns that kernels read
pending     rows that threads fill in the background
load        all of it; `sizes` for symbolic dimensions, `survey` for `specc check`
"""

from specc.runtime.data.frames import table_of
from specc.runtime.data.load import load
from specc.runtime.data.part import Data, DataPart
from specc.runtime.data.sizes import open_sizes

__all__ = ["Data", "DataPart", "load", "open_sizes", "table_of"]
