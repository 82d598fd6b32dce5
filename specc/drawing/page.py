"""The HTML of a model for notebooks: the table of its layers, and a drawing.

page(program)      # HTML
"""

from __future__ import annotations

from html import escape
from typing import TYPE_CHECKING

from specc.drawing.diagram import diagram
from specc.drawing.svg import drawing
from specc.drawing.table import layer_table

if TYPE_CHECKING:
    from specc.ir.program import Program


def page(program: Program) -> str:
    """Return the table and the drawing of a model as HTML."""
    svg = drawing(diagram(program))
    svg = svg[svg.index("<svg") :]  # without the XML declaration
    return f"<pre>{escape(layer_table(program))}</pre>{svg}"
