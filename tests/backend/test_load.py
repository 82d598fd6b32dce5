"""Compiling, keeping and loading kernels."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import warnings

import numpy as np
import pytest
from running import at_address, function

from specc.backend.llvm import compile as compiling
from specc.backend.llvm.compile import KernelError, llvm_text, object_code
from specc.backend.llvm.kernel import Kernel
from specc.backend.toolchain import load as loading
from specc.backend.toolchain import workers
from specc.backend.toolchain.load import load

SCALED = """
def scaled(x: "float[rows, 2*width]", y: "float[rows, 2*width]", factors: "float[rows]",
           rows: "int", width: "int"):
    for i in range(rows):
        for j in range(2 * width):
            y[i, j] = max(x[i, j] * factors[i] + 0.5, 0.0)
"""


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """A cache folder of its own, and a process that has loaded nothing."""
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(loading, "_addresses", {})
    return tmp_path / "kernels"


def check_scaled(address: int, dtype: str = "float32") -> None:
    x = np.arange(24, dtype=dtype).reshape(3, 8) - 10
    y, factors = np.zeros_like(x), np.array([1, -2, 0.5], dtype)
    at_address(address)(x, y, factors, 3, 4)
    np.testing.assert_array_equal(y, np.maximum(x * factors[:, None] + dtype_number(dtype), 0))


def dtype_number(dtype: str):
    return np.dtype(dtype).type(0.5)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_a_kernel_computes_in_its_dtype(folder, dtype):
    kernel = Kernel("scaled", SCALED, dtype)
    check_scaled(load([kernel])[kernel], dtype)
    assert ("double" in llvm_text(kernel)) == (dtype == "float64")


def test_every_kind_of_parameter_arrives(folder):
    run = function(
        Kernel(
            "mixed",
            """
def mixed(a: "int32[n]", b: "uint8[n]", c: "float64[n]", d: "int64[3]", n: "int",
          control: "control"):
    for i in range(n):
        c[i] = a[i] + b[i]
    d[0] = n
    d[1] = control[0]
    d[2] = len(control)
""",
        )
    )
    c, d = np.zeros(4), np.full(3, -1)
    run(np.arange(4, dtype=np.int32), np.full(4, 200, np.uint8), c, d, 4)
    assert c.tolist() == [200, 201, 202, 203] and d.tolist() == [4, 0, 16]


def test_nan_and_infinity_survive(folder):
    kernel = Kernel("scaled", SCALED)
    x = np.array([[np.nan, np.inf, -np.inf, 1]], np.float32)
    y = np.zeros_like(x)
    function(kernel)(x, y, np.ones(1, np.float32), 1, 2)
    np.testing.assert_array_equal(y, [[np.nan, np.inf, 0, 1.5]])


def test_a_warm_start_needs_no_compiler(folder):
    program = f"""
import sys
from specc.backend.llvm.kernel import Kernel
from specc.backend.toolchain.load import load
from specc.backend.run.executor import Executor
kernel = Kernel("scaled", {SCALED!r})
load([kernel])
Executor(2)
print("specc.backend.llvm.compile" in sys.modules)
"""
    printed = [
        subprocess.run(
            [sys.executable, "-c", program],
            capture_output=True,
            text=True,
            check=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        ).stdout.strip()
        for _ in range(2)
    ]
    assert printed == ["True", "False"]


def test_equal_kernels_are_loaded_once(folder):
    one, two = Kernel("scaled", SCALED), Kernel("scaled", SCALED)
    first = load([one, two])
    assert first == load([two]) and len(first) == 1
    assert len(list(folder.iterdir())) == 1


@pytest.mark.parametrize("damage", [b"", b"not an object", None])
def test_a_damaged_file_is_compiled_anew(folder, monkeypatch, damage):
    kernel = Kernel("scaled", SCALED)
    load([kernel])
    (file,) = folder.iterdir()
    whole = file.read_bytes()
    file.write_bytes(whole[:-7] if damage is None else damage)
    monkeypatch.setattr(loading, "_addresses", {})
    check_scaled(load([kernel])[kernel])
    assert len(file.read_bytes()) == len(whole)


def test_it_works_without_a_cache_folder(tmp_path, monkeypatch):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "file" / "folder"))
    monkeypatch.setattr(loading, "_addresses", {})
    kernel = Kernel("scaled", SCALED)
    check_scaled(load([kernel])[kernel])


def test_many_kernels_are_compiled_side_by_side(folder):
    kernels = [Kernel("scaled", SCALED.replace("0.5", f"{n}.0")) for n in range(10)]
    for n, address in enumerate(load(kernels, workers=2).values()):
        x, y = np.ones((1, 2), np.float32), np.zeros((1, 2), np.float32)
        at_address(address)(x, y, np.ones(1, np.float32), 1, 1)
        assert y[0, 0] == 1 + n
    assert len(list(folder.iterdir())) == 10


def test_no_kernel_is_compiled_twice(folder, monkeypatch):
    made: list[Kernel] = []
    monkeypatch.setattr(
        compiling, "object_code", lambda kernel: made.append(kernel) or object_code(kernel)
    )
    kernels = [Kernel("scaled", SCALED.replace("0.5", f"{n}.75")) for n in range(1, 4)]
    assert set(load(kernels, workers=1)) == set(made) == set(kernels)
    assert len(made) == len(kernels)


def test_workers_that_fail_cost_nothing_but_time(folder, monkeypatch):
    monkeypatch.setattr(sys, "executable", sys.executable + "-that-is-not-there")
    kernels = [Kernel("scaled", SCALED.replace("0.5", f"{n}.25")) for n in range(9)]
    assert len(load(kernels, workers=2)) == 9


@pytest.fixture
def ahead(monkeypatch):
    """A worker started ahead."""
    monkeypatch.setattr(workers, "processors", lambda: 2)
    workers.start_ahead()
    (worker,) = workers._ahead
    workers.start_ahead()
    assert workers._ahead == [worker], "they are started once"
    yield worker
    assert not workers._ahead and worker._process.poll() is not None, "it has ended"


@pytest.mark.parametrize("is_killed", [False, True])
def test_a_worker_started_ahead_is_used_if_it_lives(folder, ahead, is_killed):
    if is_killed:
        ahead._process.kill()
        ahead._process.wait()
    kernels = [Kernel("scaled", SCALED.replace("0.5", f"{n}.75")) for n in range(9)]
    assert len(load(kernels, workers=2)) == 9
    assert ahead._thread is not None


def test_a_worker_started_ahead_ends_with_a_compilation_that_needs_none(folder, ahead):
    load([Kernel("scaled", SCALED)])  # fewer kernels than are worth a worker


def test_a_worker_started_ahead_for_nothing_ends_with_the_process():
    code = """
from specc.backend.toolchain import workers
workers.processors = lambda: 2
workers.start_ahead()
print(workers._ahead[0]._process.pid)
"""
    printed = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=60)  # fmt: skip
    with pytest.raises(ProcessLookupError):
        os.kill(int(printed.stdout), 0)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_process_leaves_the_workers_started_ahead_alone(folder, ahead):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        os._exit(len(workers._ahead))
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    kernels = [Kernel("scaled", SCALED.replace("0.5", f"{n}.125")) for n in range(9)]
    assert len(load(kernels, workers=2)) == 9


def test_the_key_depends_on_all_that_matters():
    kernels = [
        Kernel("scaled", SCALED),
        Kernel("scaled", SCALED + "\n"),
        Kernel("scaled", SCALED, "float64"),
        Kernel("scaled", SCALED, vector_bits=128),
        Kernel("scaled", SCALED, imports="import math"),
        Kernel("scaled", SCALED, overlap=True),
    ]
    assert len({each.key for each in kernels}) == len(kernels)


def test_a_kernel_that_cannot_be_typed_is_an_error_that_shows_it(folder):
    with pytest.raises(KernelError, match="nonsense"):
        load([Kernel("bad", 'def bad(x: "float[4]"):\n    x.nonsense()\n')])


MAY_NOT_END = """
def bad(x: "float[4]", n: "int"):
    for i in range(0, 4, n):
        x[i] = 0.0
"""


def test_a_loop_with_a_step_that_may_be_0_is_an_error(folder):
    with pytest.raises(KernelError, match="step"):
        load([Kernel("bad", MAY_NOT_END)])


def test_wide_vectors_are_used_and_can_be_refused():
    wide, narrow = (llvm_text(Kernel("scaled", SCALED, vector_bits=bits)) for bits in (512, 128))
    assert "<4 x float>" in narrow and "<16 x float>" not in narrow
    if Kernel("scaled", SCALED).vector_bits == 512:
        assert "<16 x float>" in wide


def test_workers_import_nothing_from_the_working_folder(folder, tmp_path):
    """`python -c` and `-m` put the working folder first: its files must not be run by workers."""
    place = tmp_path / "place"
    place.mkdir()
    for name in ("numpy", "llvmlite", "numba", "pickle", "sitecustomize", "specc"):
        (place / f"{name}.py").write_text(
            f"open({str(tmp_path / 'ran')!r}, 'a').write('{name} ')\n"
        )
    code = f"""
import os, sys
from collections import deque
from specc.backend.llvm import compile
from specc.backend.toolchain import workers
from specc.backend.llvm.kernel import Kernel
kernel = Kernel("scaled", {SCALED!r})
os.chdir({str(place)!r})
sys.path[:0] = ["", {str(place)!r}, "."]
worker, done = workers._Worker(), {{}}
worker.begin(deque([kernel]), done)
worker._thread.join()
worker.stop()
print(len(done[kernel]) > 100)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, timeout=120)  # fmt: skip
    assert done.stdout == "True\n", done.stdout + done.stderr
    assert not (tmp_path / "ran").exists(), (tmp_path / "ran").read_text()


posix = pytest.mark.skipif(os.name != "posix", reason="owners and permissions are those of POSIX")


@posix
def test_the_cache_folder_is_the_users_alone(folder):
    load([Kernel("scaled", SCALED)])
    assert folder.stat().st_mode & 0o777 == 0o700
    folder.chmod(0o777)  # as an earlier version may have made it
    load([Kernel("scaled", SCALED + "\n")])
    assert folder.stat().st_mode & 0o777 == 0o700
    assert all(each.stat().st_mode & 0o077 == 0 for each in folder.iterdir())


@posix
@pytest.mark.parametrize("change", ["owner", "permissions"])
def test_machine_code_that_others_may_have_written_is_not_loaded(folder, monkeypatch, change):
    kernel = Kernel("scaled", SCALED)
    load([kernel])
    (file,) = folder.iterdir()
    assert loading._read(folder, kernel) is not None
    if change == "permissions":
        file.chmod(0o666)
    else:
        monkeypatch.setattr(os, "geteuid", lambda: file.stat().st_uid + 1)
        if file.stat().st_uid == 0:
            os.chown(file, 4321, -1)
    assert loading._read(folder, kernel) is None


@posix
@pytest.mark.parametrize("is_link", [False, True])
def test_a_cache_folder_of_another_user_is_not_used(folder, monkeypatch, tmp_path, is_link):
    real = tmp_path / "real" if is_link else folder
    real.mkdir(mode=0o700)
    if is_link:
        folder.symlink_to(real)
    assert loading._cache_folder() == folder
    monkeypatch.setattr(os, "geteuid", lambda: 4321)
    if real.stat().st_uid == 0:
        os.chown(real, 4322, -1)
    assert loading._cache_folder() is None
    check_scaled(load([Kernel("scaled", SCALED)])[Kernel("scaled", SCALED)])
    assert not list(real.iterdir())


INTERRUPTED = """
import os, sys
from specc.backend.toolchain import load as loading
from specc.backend.toolchain import workers
from specc.backend.llvm.kernel import Kernel
workers.processors = lambda: 2
lines = [f"    x[{n % 8}] = x[{n % 7}] * {n}.5\\n" for n in range(300)]
source = 'def slow(x: "float[8]"):\\n' + "".join(lines)
kernels = [Kernel("slow", source + f"    x[0] = {n}.0\\n") for n in range(400)]
begin = workers._Worker.begin
def begun(self, *queue):
    begin(self, *queue)
    print(self._process.pid, flush=True)
workers._Worker.begin = begun
loading.load(kernels)
print("all of it")
"""


@pytest.mark.skipif(os.name != "posix", reason="the signal is that of POSIX")
def test_ctrl_c_while_compiling_ends_the_process_and_its_workers(folder, tmp_path):
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", INTERRUPTED],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment,
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),
    ) as process:
        worker = int(process.stdout.readline())
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=30)  # all kernels take some minutes
    assert process.returncode == -signal.SIGINT and "KeyboardInterrupt" in err and not out
    with pytest.raises(ProcessLookupError):
        os.kill(worker, 0)
    assert not [each.name for each in folder.iterdir() if each.name.startswith(".new-")]
