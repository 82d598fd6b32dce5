"""What a `train` block says, as plain data, and the words that it may say it with.

recipe      a model's ports, calls of sources, formulas of columns: a `Recipe`
settings    what a setting of a source or of a column's word may be
words       the words of `column` formulas: what each takes and gives
"""

from specc.recipe.recipe import (
    LARGEST_FLOAT,
    PRECISIONS,
    ColumnRule,
    DataCall,
    Formula,
    Monitor,
    Port,
    Recipe,
    Split,
)

__all__ = [
    "LARGEST_FLOAT",
    "PRECISIONS",
    "ColumnRule",
    "DataCall",
    "Formula",
    "Monitor",
    "Port",
    "Recipe",
    "Split",
]
