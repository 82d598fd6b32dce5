"""Slow and late links between network namespaces, as between machines, for `benchmarks.scale`.

    with Links(hosts=2, rate=100e6, delay=0.005) as links:    # bits per second, seconds
        links.run(["python", "script.py"], seconds=60)        # under `mpiexec`, a rank on each host

Needs Linux and root. Each host is a namespace of its own, with a device `link0` whose packets a
relay passes on: one after the other at the rate, and each after the delay. A further namespace has
the launcher; its traffic goes by other devices, and does not count.
"""

from __future__ import annotations

import ctypes
import fcntl
import heapq
import itertools
import os
import selectors
import signal
import struct
import subprocess
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

NAMES = Path("/var/run/netns")
MTU = 9000
TUNSETIFF, IFF_TUN, IFF_NO_PI = 0x400454CA, 0x1, 0x1000  # linux/if_tun.h
NETWORK = "10.213"
"""Private addresses (RFC 1918), which exist within the namespaces alone."""


class Links:
    """See the module's docstring."""

    def __init__(self, hosts: int, rate: float, delay: float) -> None:
        self.hosts, self.rate, self.delay = hosts, rate, delay
        own = f"specc{os.getpid()}"
        self.hub, self.names = f"{own}hub", [f"{own}host{i}" for i in range(hosts)]
        self._relay: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Links:
        try:
            self._make()
            words = [str(self.rate), str(self.delay), *self.names]
            self._relay = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.links", *words], stdout=subprocess.PIPE
            )
            assert self._relay.stdout is not None
            assert self._relay.stdout.readline() == b"ready\n", "the relay has not started"
            for i, name in enumerate(self.names):
                _ip(name, "addr", "add", f"{NETWORK}.7.{i + 1}/24", "dev", "link0")
                _ip(name, "link", "set", "link0", "mtu", str(MTU), "up")
                # the model has no slow start; a training sends in bursts
                idle = ["sysctl", "-qw", "net.ipv4.tcp_slow_start_after_idle=0"]
                subprocess.run(["ip", "netns", "exec", name, *idle], check=True)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        if self._relay is not None:
            self._relay.send_signal(signal.SIGTERM)
            self._relay.wait()
        for name in (self.hub, *self.names):
            for each in _processes(name):  # a launcher that was killed leaves its ranks behind
                with suppress(ProcessLookupError):
                    os.kill(each, signal.SIGKILL)
            subprocess.run(["ip", "netns", "del", name], stderr=subprocess.DEVNULL, check=False)

    def _make(self) -> None:
        for name in (self.hub, *self.names):
            subprocess.run(["ip", "netns", "add", name], check=True)
            _ip(name, "link", "set", "lo", "up")
        for i, name in enumerate(self.names):
            near = ["link", "add", f"host{i}", "type", "veth", "peer", "name", "launcher"]
            _ip(self.hub, *near, "netns", name)
            for space, device, last in ((self.hub, f"host{i}", 1), (name, "launcher", 2)):
                _ip(space, "addr", "add", f"{NETWORK}.{10 + i}.{last}/24", "dev", device)
                _ip(space, "link", "set", device, "up")
            if i:
                _ip(name, "route", "add", f"{NETWORK}.10.0/24", "via", f"{NETWORK}.{10 + i}.1")

    def run(
        self, command: Sequence[str], seconds: float, **more: str
    ) -> subprocess.CompletedProcess[str]:
        """Run a command on every host, as the ranks of one `mpiexec` (of Open MPI)."""
        apps = [["-n", "1", "ip", "netns", "exec", name, *command, ":"] for name in self.names]
        apps[-1].pop()
        launched = ["ip", "netns", "exec", self.hub, "mpiexec"]
        launched += ["--mca", "btl", "tcp,self", "--mca", "btl_tcp_if_include", "link0"]
        launched += ["--mca", "pml", "ob1", "--bind-to", "none"]
        environment = {
            "PMIX_MCA_ptl_tcp_remote_connections": "1",
            "PMIX_MCA_ptl_tcp_if_include": "host0",
            "SPECC_SHARED_MEMORY": "0",
        }
        return subprocess.run(
            [*launched, *itertools.chain(*apps)],
            env=os.environ | environment | more,
            capture_output=True,
            text=True,
            timeout=seconds,
            check=False,
        )


def _processes(namespace: str) -> list[int]:
    """Return the processes within a namespace, which `Links` has made."""
    asked = ["ip", "netns", "pids", namespace]
    found = subprocess.run(asked, capture_output=True, text=True, check=False)
    return [int(each) for each in found.stdout.split()]


def _ip(namespace: str, *words: str) -> None:
    subprocess.run(["ip", "-n", namespace, *words], check=True)


def _device(namespace: str) -> int:
    """Return the file of a new device `link0` in a namespace."""
    libc = ctypes.CDLL(None, use_errno=True)
    here = os.open("/proc/self/ns/net", os.O_RDONLY)
    there = os.open(NAMES / namespace, os.O_RDONLY)
    try:
        if libc.setns(there, 0):
            raise OSError(ctypes.get_errno(), f"cannot enter the namespace {namespace}")
        device = os.open("/dev/net/tun", os.O_RDWR | os.O_NONBLOCK)
        fcntl.ioctl(device, TUNSETIFF, struct.pack("16sH", b"link0", IFF_TUN | IFF_NO_PI))
    finally:
        libc.setns(here, 0)
        os.close(here)
        os.close(there)
    return device


def relay(rate: float, delay: float, devices: Sequence[int]) -> None:
    """Pass packets on from device to device, at a rate in bits per second, after a delay."""
    free, waiting, numbers = [0.0] * len(devices), [], itertools.count()
    selector = selectors.DefaultSelector()
    for i, device in enumerate(devices):
        selector.register(device, selectors.EVENT_READ, i)
    while True:
        while waiting and waiting[0][0] <= time.monotonic():
            _, _, to, packet = heapq.heappop(waiting)
            os.write(devices[to], packet)
        left = max(0.0, waiting[0][0] - time.monotonic()) if waiting else None
        for key, _ in selector.select(left):
            while (packet := _read(devices[key.data])) is not None:
                to = packet[19] - 1  # the last byte of the address
                if packet[0] >> 4 == 4 and 0 <= to < len(devices):
                    now = max(free[key.data], time.monotonic())
                    free[key.data] = now + 8 * len(packet) / rate
                    heapq.heappush(waiting, (free[key.data] + delay, next(numbers), to, packet))


def _read(device: int) -> bytes | None:
    try:
        return os.read(device, 65536)
    except BlockingIOError:
        return None


def main() -> None:
    rate, delay, *names = sys.argv[1:]
    devices = [_device(name) for name in names]
    print("ready", flush=True)
    relay(float(rate), float(delay), devices)


if __name__ == "__main__":
    main()
