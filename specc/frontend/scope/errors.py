"""Errors that are raised where their location in the file is not known."""

from __future__ import annotations

from collections.abc import Iterable

from specc.ir.sizes import Size, open_names


class OperandError(Exception):
    """An error in a call or an operator, found where its location is not known.

    The caller reports it.
    """

    def __init__(
        self,
        name: str,
        message: str,
        help: str | None = None,
        argument: int | None = None,
        open_sizes: Iterable[str] = (),
    ):
        super().__init__(message)
        self.name = name
        self.message = message
        self.help = help
        self.argument = argument
        self.open_sizes = sorted(open_sizes)  # the dimensions on which the result depends


class Misfit(OperandError):
    """Operands of different sequences, or a sequence and another value (`along` repeats it)."""

    along: str = ""  # the sequence along which the argument could be repeated


def undecided(size: Size) -> OperandError:
    """Return the error for a symbolic size that must be known."""
    names = sorted(open_names(size))
    listed = " and ".join(f"`{name}`" for name in names)
    return OperandError(
        "undecided-size", f"this depends on {listed}, which is symbolic", open_sizes=names
    )
