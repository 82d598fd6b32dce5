"""Options and fixtures that all tests share."""

from __future__ import annotations

import gc
import os
from pathlib import Path

import hypothesis
import pytest

if "PYTEST_XDIST_WORKER" in os.environ:
    # One thread for the libraries that tests compare with: their idle threads keep the processor.
    for _name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
        os.environ.setdefault(_name, "1")

from specc.backend.toolchain import workers
from specc.system.folders import private

_bytecode = private("bytecode") if "PYTEST_XDIST_WORKER" in os.environ else None
if _bytecode and os.environ.pop("PYTHONDONTWRITEBYTECODE", ""):
    # else each process that a test starts compiles all its modules anew, which takes 0.5 s
    os.environ["PYTHONPYCACHEPREFIX"] = str(_bytecode.resolve())

# A busy machine may take any time for an example.
hypothesis.settings.register_profile("specc", deadline=None)
hypothesis.settings.load_profile("specc")

# Each process keeps the compiler and all kernels that its tests have loaded in memory.
MOST_PROCESSES = 4
LONG_LIMIT = 12 * 3600  # seconds for a test that is marked `long`


def pytest_configure(config):
    """Compile with one thread in a process that runs tests beside others.

    There is no idle processor for a helper.

    A worker that starts for each compilation anew would cost about a second of both.
    """
    if hasattr(config, "workerinput"):
        assert workers.processors, "compile_all asks it for the number of processes"
        workers.processors = lambda: 1


@pytest.hookimpl(wrapper=True)
def pytest_collection():
    """Keep the modules and the tests, which all stay, out of the garbage collection.

    It took a quarter of the time of their collection, and seconds at the end.
    """
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.unfreeze()  # now they are old; frozen ones would be counted after each compilation
        gc.enable()


def pytest_addoption(parser):
    parser.addoption("--update-golden", action="store_true", help="write expected outputs anew")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers(config) -> int:
    """Return the number of processes that run the tests; 0 without xdist.

    Whole folders are worth several processes. A few files are not, and with `-s` the output of the
    tests is to be seen, which a worker of xdist does not pass on.
    """
    chosen = [each.split("::")[0] for each in config.args]
    if config.option.capture == "no" or not any(Path(each).is_dir() for each in chosen):
        return 0
    if hasattr(os, "sched_getaffinity"):
        return min(len(os.sched_getaffinity(0)), MOST_PROCESSES)
    return min(os.cpu_count() or 1, MOST_PROCESSES)


@pytest.hookimpl(optionalhook=True)
def pytest_handlecrashitem(crashitem, report) -> None:
    """Report the two possible reasons for the crash of a worker."""
    report.longrepr = (
        f"{report.longrepr}: it crashed, or the test ran past its time limit"
        f" (`python -m pytest -n 0 {crashitem}` shows the stacks)"
    )


def pytest_collection_modifyitems(config, items):
    for item in items:
        if item.get_closest_marker("long") and not item.get_closest_marker("timeout"):
            item.add_marker(pytest.mark.timeout(LONG_LIMIT))
    # what takes long begins first, so that no process is left with it at the end
    items.sort(key=lambda item: item.get_closest_marker("slow") is None)
    if "long" in config.option.markexpr.split():
        return
    long = [item for item in items if item.get_closest_marker("long")]
    if len(long) == len(items):
        for item in items:
            item.add_marker(pytest.mark.skip(reason="long: python -m pytest -m long"))
        return
    config.hook.pytest_deselected(items=long)
    items[:] = [item for item in items if not item.get_closest_marker("long")]


@pytest.fixture
def golden(request):
    """Compare a text with a file of the expected text, which --update-golden writes."""

    def compare(path: Path, text: str) -> None:
        if request.config.getoption("--update-golden"):
            path.write_text(text, encoding="utf-8")
        assert path.is_file(), f"there is no {path}; write it with pytest --update-golden"
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(autouse=True)
def no_reports(monkeypatch):
    """Switch off the report at the end of training, which few tests need."""
    from specc.cli import train

    monkeypatch.setattr(train, "REPORT_SECONDS", 0.0)


@pytest.fixture
def specc(capfd):
    """Run a command; return its exit status, standard output and standard error."""
    from specc.cli.main import status_of

    def run(*arguments):
        status = status_of([str(each) for each in arguments])
        printed = capfd.readouterr()
        assert "Traceback" not in printed.err, printed.err
        return status, printed.out, printed.err

    return run


@pytest.fixture(autouse=True)
def no_kept_plans(monkeypatch):
    """Check each file and make each plan anew, because a test may change how that is done.

    Plans are made by estimates.
    """
    from specc.backend.contraction import remembered
    from specc.ir import stored

    for module in (stored, remembered):
        monkeypatch.setattr(module, "private", lambda name: None)
    remembered._known.cache_clear()
