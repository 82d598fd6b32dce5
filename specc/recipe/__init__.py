"""The content of a `train` block as plain data, and the sources and functions that it may use.

recipe          a `Recipe`: a model's ports, calls of sources, formulas of columns
settings        the types of the settings of sources and of column functions
sources         the data sources: their files and settings
binding         the field of the data for each port
call_errors     errors in calls of data sources
data_warnings   warnings about readable data
words           the functions of `column` formulas: their inputs and results
datasets        the data sets that can be downloaded
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
