"""The plugin of pytest that tries mutants: it collects the tests once, and forks for each mutant.

A mutant runs only tests that execute its line, the quickest of each test function first, until one
fails. A mutant that takes many times the processor time that its tests took before has hung.
"""

from __future__ import annotations

import faulthandler
import importlib
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
PROGRAMS = 12  # random programs that come before the tests of other rooms
# A test that takes more seconds of the processor than this has hung; a changed kernel is compiled
# anew, which no test did when it was traced.
LEAST_SECONDS, FACTOR = 40, 5
COMPILED_TESTS, COMPILED_SECONDS = 6, 120  # where all kernels are compiled anew
SHARE = 3  # times the seconds of its tests, after which no further test of a mutant is begun
WALL = 20  # times the processor seconds are allowed, for a mutant that waits for ever
FREE_MEMORY = 12 << 30  # bytes of address space beyond which an allocation fails

# Sources that are part of kernels' keys: a change in them needs another cache folder.
SHAPING = "specc/backend/llvm"
# Code that only compiled kernels run is seen by no trace: the tests of these files try it.
COMPILED = {
    "thread_pool": "backend/test_executor.py",
    "memory": "backend/test_executor.py",
    "vectormath": "backend/test_vectormath.py",
    "winograd": "backend/test_winograd.py",
}


class Mutants:
    """The hook of pytest, registered by `__main__`."""

    def __init__(self, folder: Path, temporary: Path, given):
        self.folder, self._temporary, self._own = folder, temporary, folder / f"own-{os.getpid()}"
        self.count, self.seed, self.seconds = given.count, given.seed, given.seconds
        self.only, self.again, self.most = given.only, given.again, given.most

    @pytest.hookimpl(tryfirst=True)
    def pytest_runtestloop(self, session) -> bool:
        from specc.backend.llvm.compile import warm_up
        from specc.backend.toolchain import workers

        os.environ["SPECC_CACHE_DIR"] = str(self.folder / "cache")
        os.environ["HYPOTHESIS_STORAGE_DIRECTORY"] = str(self.folder / "hypothesis")
        warm_up()
        assert workers.processors
        workers.processors = lambda: 1  # a process for compiling would cost each mutant seconds
        by_file: dict[str, list] = {}
        for item in session.items:
            if not item.get_closest_marker("long"):
                by_file.setdefault(item.nodeid.split("::")[0], []).append(item)
        trace = Trace(self.folder)
        for name, items in by_file.items():
            traced = fewer(items, self.most)
            print(f"tracing {name}: {len(traced)} tests", flush=True)
            trace.add(name, traced)
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
            verdict, test, met = self._try(file, change, chosen, trace)
            found = {
                "name": name,
                "line": change.line,
                "verdict": verdict,
                "test": test,
                "tests": met,
                "seconds": round(time.perf_counter() - started, 1),
            }
            with results.open("a") as out:
                out.write(json.dumps(found) + "\n")
            if verdict != "none":
                done += 1
                print(f"{done:4} {verdict:8} {found['seconds']:6.1f} s  {name}  {test}", flush=True)

    def _try(self, file: str, change: Change, items: list, trace: Trace) -> tuple[str, str, int]:
        """The verdict on a mutant, the test that killed it, and how many tests it met.

        `none`: the change concerns no function of the process, and does not count.
        """
        costs = [trace.seconds[each.nodeid] for each in items]
        limits = [LEAST_SECONDS + FACTOR * cost for cost in costs]
        share = SHARE * max(self.seconds, sum(costs))
        if file.startswith(SHAPING):
            items = items[:COMPILED_TESTS]
            limits = [limit + COMPILED_SECONDS for limit in limits[:COMPILED_TESTS]]
            share += COMPILED_SECONDS
        told, tell = os.pipe()
        child = os.fork()
        if child == 0:
            os.close(told)
            try:
                self._life(file, change, list(zip(items, limits, strict=True)), share, tell)
            finally:
                os._exit(3)
        os.close(tell)
        deadline = time.monotonic() + WALL * (share + max(limits, default=0))
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
            return "timeout", test, len(ran) - 1
        if os.WIFSIGNALED(status):
            return "killed", f"{test} ({signal.Signals(os.WTERMSIG(status)).name})", len(ran) - 1
        code = os.WEXITSTATUS(status)
        verdict = {0: "survived", 2: "none", 3: "none"}.get(code, "killed")
        return verdict, test if code else "", len(ran) - 1

    def _life(self, file: str, change: Change, items: list, share: float, tell: int) -> None:
        """A mutant's process; it ends with 0 where all tests pass, 1 where one fails.

        `items` are tests, each with the seconds of the processor that it may take.
        """
        os.setpgid(0, 0)
        faulthandler.disable()
        nothing = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nothing, 1)
        os.dup2(nothing, 2)
        resource.setrlimit(resource.RLIMIT_AS, (FREE_MEMORY, FREE_MEMORY))
        resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
        is_load = Path(file).stem == "load"
        if file.startswith(SHAPING) or is_load:
            own = self._own
            if is_load:
                shutil.copytree(self.folder / "cache", own, copy_function=os.link)
            os.environ["SPECC_CACHE_DIR"] = str(own)
        module = file.removesuffix(".py").replace("/", ".")
        importlib.import_module(module)  # some are imported when something is compiled
        if not swap(change, module):
            os._exit(2)
        for (item, limit), (following, _) in zip(items, [*items[1:], (None, 0)], strict=True):
            used = time.process_time()
            if used > share:
                break
            resource.setrlimit(resource.RLIMIT_CPU, (int(used + limit), resource.RLIM_INFINITY))
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


def fewer(items: list, most: int) -> list:
    """At most so many tests of each test function, spread over all of its cases."""
    by_function: dict[str, list] = {}
    for each in items:
        by_function.setdefault(each.nodeid.split("[")[0], []).append(each)
    kept = {
        group[i * len(group) // min(most, len(group))].nodeid
        for group in by_function.values()
        for i in range(min(most, len(group)))
    }
    return [each for each in items if each.nodeid in kept]


def choose(trace: Trace, file: str, line: int, seconds: float) -> list[str]:
    """The tests of a mutant, of so many seconds in all.

    Tests of the file that is changed come first, then some random programs, then the other tests.
    In each of these the quickest test of each test function, then the second one of each, etc.
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
    rank = {}
    for function, group in by_function.items():
        for i, each in enumerate(group):
            if f"test_{Path(file).stem}.py" in function:
                nearness = 0
            elif "generated.py" in function:
                nearness = 1 + i // PROGRAMS
            else:
                nearness = 2
            rank[each] = (nearness, 0 if nearness == 1 else i, tests[each])
    chosen: list[str] = []
    left = seconds
    for each in sorted(tests, key=rank.__getitem__):
        if chosen and (left < tests[each] or len(chosen) == MOST_TESTS):
            continue
        chosen.append(each)
        left -= tests[each]
    return chosen
