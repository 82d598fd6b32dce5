"""Commands that the processes of a launcher of MPI run together."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps


def among_ranks(command: Callable[..., None]) -> Callable[..., int | None]:
    """Let the processes of a launcher, if there is one, run a command together.

    The command gets them as `ranks`, or None. All but the first are silent.
    """

    @wraps(command)
    def run(**given: object) -> int | None:
        from specc.cli.main import told
        from specc.runs.reading import FirstFailed
        from specc.runs.together import joined, together

        ranks = joined()
        if ranks is None:
            command(**given, ranks=None)
            return None
        try:
            with together(ranks, told):
                command(**given, ranks=ranks)
        except FirstFailed:
            return 1
        return None

    return run
