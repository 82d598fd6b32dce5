"""The plugin of pytest that tries mutants: it collects the tests once, and forks for each mutant.

A mutant runs only tests that execute its line, the quickest of each test function first, until one
fails. A mutant that takes many times the processor time that its tests took before has hung.
"""

from __future__ import annotations

import faulthandler
import json
import os
import random
import resource
import shutil
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest
from _pytest.runner import runtestprotocol

from tests.code_mutants.changes import Change, changes
from tests.code_mutants.swap import swap
from tests.code_mutants.trace import ROOMS, ROOT, Trace

MOST_TESTS = 120  # of a mutant
LEAST_SECONDS, FACTOR = 20, 4  # of the processor, for all tests of a mutant
COMPILED_TESTS, COMPILED_SECONDS = 6, 120  # where all kernels are compiled anew
WALL = 20  # times the processor seconds are allowed, for a mutant that waits for ever
FREE_MEMORY = 12 << 30  # bytes of address space beyond which an allocation fails

# Sources that are part of kernels' keys: a change in them needs another cache folder.
SHAPING = "specc/backend/numba"
# Code that only compiled kernels run is seen by no trace: the tests of these files try it.
COMPILED = {
    "crew": "backend/test_executor.py",
    "memory": "backend/test_executor.py",
    "vectormath": "backend/test_vectormath.py",
    "winograd": "backend/test_winograd.py",
}


class Mutants:
    """The hook of pytest, registered by `__main__`."""

    def __init__(self, folder: Path, temporary: Path, given):
        self.folder, self._temporary, self._own = folder, temporary, folder / f"own-{os.getpid()}"
        self.count, self.seed, self.seconds = given.count, given.seed, given.seconds
        self.only, self.again = given.only, given.again

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session) -> bool:
        from specc.backend.numba.compile import warm_up
        from specc.backend.toolchain import workers

        os.environ["SPECC_CACHE_DIR"] = str(self.folder / "cache")
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
        warm_up()
        workers._processors = lambda: 1  # a process for compiling would cost each mutant seconds
        by_file: dict[str, list] = {}
        for item in session.items:
            if not item.get_closest_marker("long"):
                by_file.setdefault(item.nodeid.split("::")[0], []).append(item)
        trace = Trace(self.folder)
        for name, items in by_file.items():
            print(f"tracing {name}: {len(items)} tests", flush=True)
            trace.add(name, items)
        self._try_all(trace, {item.nodeid: item for items in by_file.values() for item in items})
        return True

    def _try_all(self, trace: Trace, items: dict) -> None:
        results = self.folder / "results.jsonl"
        known = {}
        if results.exists():
            known = {
                each["name"]: each for each in map(json.loads, results.read_text().splitlines())
            }
        done = 0
        for file, change in sample(self.seed):
            if done == self.count:
                return
            name = f"{file.removeprefix('specc/')} {change.name}"
            if self.only not in name:
                continue
            old = known.get(name)
            if old is not None and not (self.again and old["verdict"] == "survived"):
                done += old["verdict"] != "none"
                continue
            chosen = [
                items[each]
                for each in choose(trace, file, change.line, self.seconds)
                if each in items
            ]
            started = time.perf_counter()
            verdict, test = self._try(file, change, chosen, trace)
            found = {
                "name": name,
                "line": change.line,
                "verdict": verdict,
                "test": test,
                "tests": len(chosen),
                "seconds": round(time.perf_counter() - started, 1),
            }
            with results.open("a") as out:
                out.write(json.dumps(found) + "\n")
            if verdict != "none":
                done += 1
                print(f"{done:4} {verdict:8} {found['seconds']:6.1f} s  {name}  {test}", flush=True)

    def _try(self, file: str, change: Change, items: list, trace: Trace) -> tuple[str, str]:
        """The verdict on a mutant, and the test that killed it.

        `none`: the change concerns no function of the process, and does not count.
        """
        limit = LEAST_SECONDS + FACTOR * sum(trace.seconds[each.nodeid] for each in items)
        if file.startswith(SHAPING):
            items, limit = items[:COMPILED_TESTS], limit + COMPILED_SECONDS
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(told)
            try:
                self._life(file, change, items, int(limit), tell)
            finally:
                os._exit(3)
        os.close(tell)
        deadline = time.monotonic() + WALL * limit
        status = None
        while status is None and time.monotonic() < deadline:
            pid, code = os.waitpid(child, os.WNOHANG)
            status = code if pid else time.sleep(0.02)
        with suppress(ProcessLookupError):
            os.killpg(child, signal.SIGKILL)
        if status is None:
            os.waitpid(child, 0)
        with os.fdopen(told) as pipe:
            ran = pipe.read().split("\n")
        test = ran[-2] if len(ran) > 1 else ""
        for each in (self._own, self._temporary):
            shutil.rmtree(each, ignore_errors=True)
        if status is None or (
            os.WIFSIGNALED(status) and os.WTERMSIG(status) in (signal.SIGXCPU, signal.SIGKILL)
        ):
            return "timeout", test
        if os.WIFSIGNALED(status):
            return "killed", f"{test} ({signal.Signals(os.WTERMSIG(status)).name})"
        code = os.WEXITSTATUS(status)
        verdict = {0: "survived", 2: "none", 3: "none"}.get(code, "killed")
        return verdict, test if code else ""

    def _life(self, file: str, change: Change, items: list, limit: int, tell: int) -> None:
        """A mutant's process; it ends with 0 where all tests pass, 1 where one fails."""
        os.setpgid(0, 0)
        faulthandler.disable()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_CPU, (limit, limit + 5))
        resource.setrlimit(resource.RLIMIT_AS, (FREE_MEMORY, FREE_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        is_load = Path(file).stem == "load"
        if file.startswith(SHAPING) or is_load:
            own = self._own
            if is_load:
                shutil.copytree(self.folder / "cache", own, copy_function=os.link)
            os.environ["SPECC_CACHE_DIR"] = str(own)
        if not swap(change, file.removesuffix(".py").replace("/", ".")):
            os._exit(2)
        for item, following in zip(items, [*items[1:], None], strict=True):
            os.write(tell, f"{item.nodeid}\n".encode())
            try:
                reports = runtestprotocol(item, nextitem=following, log=False)
            except BaseException:  # what pytest lets through, such as SystemExit in a fixture
                os._exit(1)
            if any(each.failed for each in reports):
                os._exit(1)
        os._exit(0)


def sample(seed: int) -> Iterator[tuple[str, Change]]:
    """All changes of the three rooms in random order, with the file of each."""
    found = []
    for room in ROOMS:
        for path in sorted((ROOT / "specc" / room).rglob("*.py")):
            found += [
                (str(path.relative_to(ROOT)), each)
                for each in changes(path.read_text(encoding="utf-8"))
            ]
    random.Random(seed).shuffle(found)
    return iter(found)


def choose(trace: Trace, file: str, line: int, seconds: float) -> list[str]:
    """The tests of a mutant, of so many seconds in all.

    The quickest test of each test function comes first, then the second one of each, and so on.
    """
    tests = trace.tests(file, line)
    if not tests:  # only compiled code runs it: the tests that have to do with the file
        ending = COMPILED.get(Path(file).stem) if file.startswith(SHAPING) else None
        if ending:
            tests = {each: cost for each, cost in trace.seconds.items() if ending in each}
        else:
            tests = trace.tests_of(file)
    by_function: dict[str, list[str]] = {}
    for each in sorted(tests, key=tests.__getitem__):
        by_function.setdefault(each.split("[")[0], []).append(each)
    rank = {
        each: (i, tests[each]) for group in by_function.values() for i, each in enumerate(group)
    }
    chosen: list[str] = []
    left = seconds
    for each in sorted(tests, key=rank.__getitem__):
        if chosen and (left < tests[each] or len(chosen) == MOST_TESTS):
            continue
        chosen.append(each)
        left -= tests[each]
    return chosen
