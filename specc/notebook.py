"""Models in the cells of a notebook: `%load_ext specc.notebook`, and then

    %%specc digits --train epochs=5
    model digits { ... }
    train { ... }

The cell is checked and the model is drawn. With `--train`, the model is trained in a new run. The
name after `%%specc` becomes a variable with the program or the run.
"""

from __future__ import annotations

import argparse
import shlex
from typing import TYPE_CHECKING, Any

from specc.diagnostics import Diagnostic, SpecError
from specc.source import Source

if TYPE_CHECKING:
    from IPython.core.interactiveshell import InteractiveShell

    from specc.ir.program import Program

CELL = "<cell>"
"""The name of a cell's source in messages."""


class _Parser(argparse.ArgumentParser):
    """Raises wrong usage as a ValueError; argparse would end the process."""

    def error(self, message: str) -> Any:
        raise ValueError(f"{message}\n{self.format_usage()}")


def _parser() -> _Parser:
    parser = _Parser("%%specc", add_help=False)
    parser.add_argument("name", nargs="?", default="", help="Variable for the program or the run.")
    parser.add_argument("changes", nargs="*", metavar="KEY=VALUE", help="New sizes and settings.")
    parser.add_argument("--train", action="store_true", help="Train the model in a new run.")
    parser.add_argument("--data", metavar="NAME", help="Variable with a data frame to train on.")
    parser.add_argument("--no-graph", action="store_true", help="Do not draw the model.")
    return parser


def cell(shell: InteractiveShell, line: str, text: str) -> None:
    """Check the model in a cell, draw it, and train it with `--train`."""
    from IPython.display import SVG, display

    from specc.drawing.diagram import diagram
    from specc.drawing.svg import drawing

    given = _parser().parse_intermixed_args(shlex.split(line))
    if "=" in given.name:
        given.name, given.changes = "", [given.name, *given.changes]
    values = dict(each.split("=", 1) for each in given.changes)
    program, found = _checked(text, values)
    if found:
        print("\n".join(each.page() for each in found).rstrip())
    if program is None:
        return
    if not given.no_graph and not program.open_sizes:
        display(SVG(drawing(diagram(program))))
    made: Any = program
    if given.train:
        from specc.runs.train import train

        try:
            data = shell.user_ns[given.data] if given.data else None
            made = train(text, data, quiet=True, **values)
        except SpecError as error:
            print(error)
            return
        display(made.metrics)
    if given.name:
        shell.user_ns[given.name] = made


def _checked(text: str, values: dict[str, str]) -> tuple[Program | None, list[Diagnostic]]:
    from specc import driver

    return driver.check(Source(CELL, text), values)


def load_ipython_extension(shell: Any) -> None:
    """Register the cell magic `%%specc`."""
    shell.register_magic_function(
        lambda line, text: cell(shell, line, text), magic_kind="cell", magic_name="specc"
    )
