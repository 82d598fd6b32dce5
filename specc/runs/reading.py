"""The data of a training by several processes: each machine reads them once.

    training = in_turn(ranks, lambda known: prepare(..., known=known))

The first rank looks at the data, learns from them and hashes them. The first ranks of the other
machines then read what they need, and know what was learned. All other ranks read nothing: their
machine's first rank hands them the data in memory that they have in common.
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Mapping
from dataclasses import field, replace
from typing import TYPE_CHECKING, Any, TypeVar

from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.backend.machine.profile import Profile
    from specc.backend.run.ranks import Ranks
    from specc.runs.start import PreparedTraining, RunTraining
    from specc.runtime.data import Data

    Training = TypeVar("Training", bound=PreparedTraining | RunTraining)

Result = TypeVar("Result")


class FirstFailed(Exception):
    """Raised on the other ranks if the first rank reports an error."""


@dataclass(frozen=True, eq=False)
class Known:
    """What other processes have found in the data: by default nothing.

    `data` are those of the machine, if another process has read them.
    """

    is_first: bool = True
    sizes: Mapping[str, int] = field(default_factory=dict)
    vocabularies: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    statistics: Mapping[str, Any] = field(default_factory=dict)
    ends: Mapping[str, str] = field(default_factory=dict)
    hashes: Mapping[str, Mapping[str, str]] = field(default_factory=dict)
    data: Data | None = None

    def loaded(self, load: Callable[..., Data], **settings: Any) -> Data:
        """Return the data: `load(**settings)`, unless another process has read them."""
        if self.data is not None:
            return self.data
        if self.is_first:
            return load(**settings)
        settings["statistics"] = settings.get("statistics") or dict(self.statistics)
        found = load(**settings, vocabularies=dict(self.vocabularies), is_checked=True)
        return replace(found, ends=dict(self.ends))


def in_turn(ranks: Ranks, function: Callable[[Known], Training]) -> Training:
    """Call a function that opens a training: on the first rank, on the first ranks of the other
    machines, and then on all others, which get the data of their machine.

    All plan with the first rank's machine profile. Raises `FirstFailed` on the others if the
    function fails on the first rank, and `RunError` if two machines have other data.
    """
    from specc.backend.machine.chosen import planning_with
    from specc.backend.machine.here import this_profile
    from specc.runtime.data.handed import handed

    training: Training | None = None
    found: tuple[Known, Profile] | None = None
    if ranks.is_first:
        try:
            training = function(Known())
            found = _known(training, ranks.hosts > 1), this_profile()
        finally:
            ranks.agreed(found)
    else:
        found = ranks.agreed(None)
    if found is None:
        raise FirstFailed
    known, profile = found
    with planning_with(profile):
        if ranks.leads and training is None:
            training = function(known)
            _require_same(known, training.data)
        if ranks.neighbours is not None:
            data = handed(ranks.neighbours, None if training is None else training.data)
            if training is None:
                training = function(replace(known, data=data))
            training.data = data
    assert training is not None, "a rank leads its machine or has neighbours; please report this"
    return training


def by_first(ranks: Ranks | None, function: Callable[[], Result], otherwise: Result) -> Result:
    """Call a function on the first rank alone; the others return `otherwise`.

    Raises `FirstFailed` on the others if it fails.
    """
    if ranks is None:
        return function()
    is_done = False
    if ranks.is_first:
        try:
            result = function()
            is_done = True
        finally:
            ranks.agreed(is_done)
        return result
    if not ranks.agreed(None):
        raise FirstFailed
    return otherwise


def _known(training: PreparedTraining | RunTraining, are_others: bool) -> Known:
    """Return what other machines need to know of the data; `are_others`: whether there are any."""
    data = training.data
    hashes = _hashes(data) if are_others else {}
    return Known(
        False, training.record.sizes, data.vocabularies, data.statistics, data.ends, hashes
    )


def _hashes(data: Data) -> dict[str, dict[str, str]]:
    from specc.runtime import pins

    return {name: pins.some(part, data.vocabularies) for name, part in data.parts.items()}


def _require_same(known: Known, data: Data) -> None:
    """Raise `RunError` if the data of this machine differ from those of the first rank's."""
    from specc.runtime.errors import run_error

    own = _hashes(data)
    parts = sorted(
        name for name in {*own, *known.hashes} if own.get(name) != known.hashes.get(name)
    )
    if parts:
        raise run_error(
            f"the data on {socket.gethostname()} differ from those of rank 0: the"
            f" {' and '.join(parts)} part",
            "mpiexec",
            help="copy the files of rank 0's machine, or use a file system that all machines see",
        )
