"""Cases in a process of their own, which may crash or hang.

with Child() as child:
    child.ask(case)           # Answer("ok", "", 3, 0), or a stage, "crash" or "hang"
"""

from __future__ import annotations

import json
import os
import select
import signal
import subprocess
import sys
import tempfile
import traceback
from dataclasses import asdict, dataclass
from pathlib import Path

from .cases import Case

SECONDS = 240
"""The time that one case may take; most take less than two seconds of a processor."""
PATHS = [str(Path(__file__).resolve().parents[number]) for number in (1, 2)]
"""The folders that a process imports from: of the tests, and of the compiler."""
MOST_CASES = 150
"""Cases of one process: their machine code stays loaded."""


@dataclass(frozen=True)
class Answer:
    """What became of a case. `stage` is "ok", a stage of the comparison, the name of an exception,
    or "crash"
    or "hang"; `message` says more."""

    stage: str
    message: str = ""
    compared: int = 0
    judged: int = 0


class Child:
    """A process that runs cases one after the other, and is started again when one ends it.

    Its kernels are kept in a cache `folder`, by default the user's.
    """

    def __init__(self, folder: Path | None = None, seconds: float = SECONDS):
        self._folder, self._seconds = folder, seconds
        self._process = None
        self._cases = 0

    def __enter__(self) -> Child:
        return self

    def __exit__(self, *_) -> None:
        self.stop()

    def stop(self) -> None:
        if self._process is not None:
            self._process.kill()
            self._process.wait()
            self._process = None

    def ask(self, case: Case) -> Answer:
        if self._process is None or self._cases == MOST_CASES:
            self.stop()
            self._start()
        self._cases += 1
        process = self._process
        try:
            process.stdin.write(case.to_json() + "\n")
            process.stdin.flush()
        except BrokenPipeError:
            return self._ended()
        if not select.select([process.stdout], [], [], self._seconds)[0]:
            self.stop()
            return Answer("hang", f"no answer within {self._seconds} s")
        line = process.stdout.readline()
        if not line:
            return self._ended()
        return Answer(**json.loads(line))

    def _start(self) -> None:
        own = {} if self._folder is None else {"SPECC_CACHE_DIR": str(self._folder)}
        self._errors = tempfile.TemporaryFile("w+")
        self._process = subprocess.Popen(
            [
                sys.executable,
                "-X",
                "faulthandler",
                "-c",
                "from generator.child import serve; serve()",
            ],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._errors,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(PATHS), **own},
        )
        self._cases = 0

    def _ended(self) -> Answer:
        code = self._process.wait()
        self._errors.seek(0)
        told = self._errors.read()[-2000:]
        self._process = None
        name = signal.Signals(-code).name if code < 0 else f"exit status {code}"
        return Answer("crash", f"{name}\n{told}")


def serve() -> None:
    """Answers the cases on the standard input, one a line."""
    from specc.backend.toolchain import workers

    from .verdict import Mismatch, verdict

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    assert workers.processors
    workers.processors = lambda: 1  # other processes have cases of their own
    for line in sys.stdin:
        try:
            outcome = verdict(Case.from_json(line))
            answer = Answer("ok", "", outcome.compared, outcome.judged)
        except Mismatch as error:
            answer = Answer(error.stage, str(error))
        except Exception as error:
            answer = Answer(
                type(error).__name__, "".join(traceback.format_exception(error))[-3000:]
            )
        answers.write(json.dumps(asdict(answer)) + "\n")
        answers.flush()
