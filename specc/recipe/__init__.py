"""What a `train` block says, as plain data, and the words that it may say it with.

recipe          a model's ports, calls of sources, formulas of columns: a `Recipe`
settings        what a setting of a source or of a column's word may be
sources         the sources of data: the files and settings that each takes
binding         which field of the data goes to which port
call_errors     what is wrong with the call of a source
data_warnings   warnings about data that can be read
words           the words of `column` formulas: what each takes and gives
datasets        the data sets that can be fetched
column          the values of one port for all examples
"""

from specc.recipe.column import Column
from specc.recipe.recipe import (
    BALANCE,
    LARGEST_FLOAT,
    PRECISIONS,
    ColumnRule,
    DataCall,
    Formula,
    Monitor,
    Port,
    Recipe,
    Split,
    StartingWeights,
)

__all__ = [
    "BALANCE",
    "LARGEST_FLOAT",
    "PRECISIONS",
    "Column",
    "ColumnRule",
    "DataCall",
    "Formula",
    "Monitor",
    "Port",
    "Recipe",
    "Split",
    "StartingWeights",
]
