"""Notice a rank that ends without a word: it was killed, or its machine has failed.

    lookout = Lookout(ranks, sys.stderr, tell)
    lookout.where = lambda: "after step 120"
    ...
    lookout.leave()             # before a rank ends in any way that the others know of

Every rank keeps a connection to the first one. A connection that breaks before the other side has
said goodbye means that a rank is lost. The first rank says which one, where it was and what to do;
the second one does so if it is the first that is lost. Then all end, as none can go on alone.
"""

from __future__ import annotations

import hmac
import os
import secrets
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from specc.runtime.errors import RunError, run_error
from specc.system.records import dataclass

if TYPE_CHECKING:
    from specc.backend.run.ranks import Ranks

GOODBYE = b"."
SECONDS = 5.0  # for which a rank tries to reach the first one
TOLD = 0.2  # seconds in which a launcher passes a message on before this process ends
TOKEN = 32  # bytes of the word by which the first rank knows the others


@dataclass(frozen=True)
class _Process:
    """Who a rank is."""

    rank: int
    host: str
    number: int

    def said(self, count: int) -> str:
        return f"rank {self.rank} of {count} ({self.host}, process {self.number})"


class Lookout:
    """The connections of this rank. `where` returns how far the training is, for a message."""

    def __init__(self, ranks: Ranks, report: Callable[[RunError], None]) -> None:
        self._ranks, self._report = ranks, report
        self.where: Callable[[], str] = lambda: ""
        self.help: Callable[[], str] = lambda: "start again, or resume the run"
        own = _Process(ranks.rank, socket.gethostname(), os.getpid())
        self._all: list[_Process] = ranks.comm.allgather(own)
        self._killed = _killed_for_memory()
        self._others: list[tuple[socket.socket, _Process]] = []
        self._left = threading.Event()
        self._meet()
        for connection, process in self._others:
            threading.Thread(
                target=self._watch, args=(connection, process), name="specc-lookout", daemon=True
            ).start()

    def leave(self) -> None:
        """Say goodbye: this rank ends, and the others know why."""
        self._left.set()
        for connection, _ in self._others:
            with suppress(OSError):
                connection.sendall(GOODBYE)

    def _meet(self) -> None:
        """Connect all ranks to the first one; a rank that cannot reach it goes without."""
        ranks, first = self._ranks, self._all[0]
        if ranks.is_first:
            is_one_machine = len({each.host for each in self._all}) == 1
            with socket.create_server(("127.0.0.1" if is_one_machine else "", 0)) as server:
                token = secrets.token_bytes(TOKEN)
                addresses = [("127.0.0.1", True), *((each, False) for each in _addresses())]
                ranks.agreed((addresses, server.getsockname()[1], token))
                self._accept(server, token)
            return
        addresses, port, token = ranks.agreed(None)
        for address, is_local in addresses:
            if is_local and socket.gethostname() != first.host:
                continue
            with suppress(OSError):
                connection = socket.create_connection((address, port), timeout=SECONDS)
                connection.sendall(token + ranks.rank.to_bytes(4, "little"))
                connection.settimeout(None)
                _keep_alive(connection)
                self._others = [(connection, first)]
                return

    def _accept(self, server: socket.socket, token: bytes) -> None:
        deadline = time.monotonic() + SECONDS
        while len(self._others) < self._ranks.count - 1:
            server.settimeout(max(deadline - time.monotonic(), 0.001))
            try:
                connection, _ = server.accept()
                connection.settimeout(SECONDS)
                greeting = connection.recv(TOKEN + 4, socket.MSG_WAITALL)
            except OSError:
                return  # some are not watched; the launcher still notices that they end
            if hmac.compare_digest(greeting[:TOKEN], token):
                connection.settimeout(None)
                _keep_alive(connection)
                number = int.from_bytes(greeting[TOKEN:], "little")
                self._others.append((connection, self._all[number]))
            else:
                connection.close()

    def _watch(self, connection: socket.socket, process: _Process) -> None:
        with suppress(OSError):
            if connection.recv(1) == GOODBYE:
                return
        if self._left.is_set():
            return
        self._left.set()
        if self._ranks.rank == (1 if process.rank == 0 else 0):
            self._report(self._error(process))
            time.sleep(TOLD)
        else:
            time.sleep(1.0)  # the one that tells of it has the time to do so
        os._exit(1)

    def _error(self, process: _Process) -> RunError:
        where = self.where()
        message = (
            f"{process.said(self._ranks.count)} has ended without a word{where and ' '}{where}"
        )
        if process.host == socket.gethostname() and _killed_for_memory() > self._killed:
            why = "the system has ended a process because memory ran out"
        else:
            why = "it was killed, or its machine or network has failed"
        return run_error(f"{message}: {why}", "mpiexec", help=self.help())


def _addresses() -> list[str]:
    """Return the addresses at which other machines may reach this one."""
    found = []
    with suppress(OSError):
        for *_, address in socket.getaddrinfo(socket.gethostname(), None, socket.AF_INET):
            found.append(str(address[0]))
    return list(dict.fromkeys(found))


def _keep_alive(connection: socket.socket) -> None:
    """Let a connection break within seconds if the other machine is gone."""
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, seconds in (("TCP_KEEPIDLE", 2), ("TCP_KEEPINTVL", 1), ("TCP_KEEPCNT", 4)):
        if hasattr(socket, name):
            connection.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), seconds)


def _killed_for_memory() -> int:
    """Return how many processes the system has ended since it started, as memory ran out."""
    with suppress(OSError, ValueError):
        for line in Path("/proc/vmstat").read_text().splitlines():
            if line.startswith("oom_kill "):
                return int(line.split()[1])
    return 0
