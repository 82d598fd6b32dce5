"""Which test executes which lines of the compiler, and how many seconds of the processor it takes.

trace = Trace(folder)
trace.add(items)                       # runs them under coverage, in a process of their own
trace.tests("specc/passes/plan/phases.py", 94)    # {nodeid: seconds}
"""

from __future__ import annotations

import json
import os
import resource
from pathlib import Path

from _pytest.runner import runtestprotocol

ROOT = Path(__file__).resolve().parents[2]
ROOMS = ("ops", "passes", "backend")


class Trace:
    def __init__(self, folder: Path):
        self.folder = folder / "trace"
        self.folder.mkdir(parents=True, exist_ok=True)
        self.seconds: dict[str, float] = {}
        self.lines: dict[tuple[str, int], list[str]] = {}
        for path in sorted(self.folder.glob("*.json")):
            self._read(path)

    def tests(self, file: str, line: int) -> dict[str, float]:
        """The tests that pass and execute a line, and the seconds that they take."""
        return {
            each: self.seconds[each]
            for each in self.lines.get((file, line), ())
            if each in self.seconds
        }

    def tests_of(self, file: str) -> dict[str, float]:
        """The tests that pass and execute any line of a file."""
        found = {each for (name, _), tests in self.lines.items() if name == file for each in tests}
        return {each: self.seconds[each] for each in sorted(found & self.seconds.keys())}

    def add(self, name: str, items: list) -> None:
        """Run the tests of a file under coverage, unless that was done before."""
        path = self.folder / f"{name.replace('/', '-')}.json"
        if path.exists():
            return
        child = os.fork()
        if child == 0:
            status = 1
            try:
                path.with_suffix(".new").write_text(json.dumps(_traced(items)))
                status = 0
            finally:
                os._exit(status)
        if os.waitpid(child, 0)[1] == 0:
            path.with_suffix(".new").rename(path)
            self._read(path)

    def _read(self, path: Path) -> None:
        found = json.loads(path.read_text())
        self.seconds.update(found["seconds"])
        for file, lines in found["lines"].items():
            for line, tests in lines.items():
                self.lines.setdefault((file, int(line)), []).extend(tests)


def _traced(items: list) -> dict:
    from coverage import Coverage

    cover = Coverage(
        data_file=None, config_file=False, source=[str(ROOT / "specc" / room) for room in ROOMS]
    )
    cover.start()
    seconds = {}
    for item, following in zip(items, [*items[1:], None], strict=True):
        cover.switch_context(item.nodeid)
        before = _processor_seconds()
        reports = runtestprotocol(item, nextitem=following, log=False)
        if all(each.passed for each in reports):
            seconds[item.nodeid] = round(_processor_seconds() - before, 3)
    cover.stop()
    data = cover.get_data()
    lines = {}
    for file in data.measured_files():
        by_line = {
            line: [each for each in tests if each]
            for line, tests in data.contexts_by_lineno(file).items()
        }
        lines[str(Path(file).relative_to(ROOT))] = {
            line: tests for line, tests in by_line.items() if tests
        }
    return {"seconds": seconds, "lines": lines}


def _processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(each.ru_utime + each.ru_stime for each in used)
