"""Mistakes in the use of a word, raised where their place in the file is not known."""

from __future__ import annotations

from collections.abc import Iterable

from specc.ir.sizes import Size, open_names


class Mistake(Exception):
    """A mistake in the use of a word, found where its place is not known; `call` reports it."""

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
        self.open_sizes = sorted(open_sizes)  # the dimensions whose number would decide


class Misfit(Mistake):
    """Values of which one is a sequence, and another is not (`along` mends it), or is another
    one."""

    along: str = ""  # the sequence to whose every step the argument is to be given


def undecided(size: Size) -> Mistake:
    """Return the mistake of a size that must be known, and is open."""
    names = sorted(open_names(size))
    listed = " and ".join(f"`{name}`" for name in names)
    return Mistake(
        "undecided-size", f"this depends on {listed}, whose number is open", open_sizes=names
    )
