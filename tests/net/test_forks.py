"""Forked children of a process whose other threads compile, train and predict."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

pytestmark = pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")

FORKS, MANY = 10, 100
# A child has all the time it may need on a busy machine; one that hangs ends by the watchdog.
SCRIPT = '''
import faulthandler, itertools, os, sys, threading, warnings
import numpy as np
import specc
from specc.backend.llvm.kernel import Kernel
from specc.backend.toolchain.load import load
from specc.source import Source

warnings.simplefilter("ignore", DeprecationWarning)
FORKS = int(sys.argv[1])
TEXT = """
model m {
  input x: float[8]
  target y: float
  let p = sum(x -> dense(6) -> tanh -> dense(1))
  output p
  loss mse(p, y)
}
train { optimizer momentum(lr = 0.001, mu = 0.9) }
"""
net = specc.compile(specc.load(Source("m.dl", TEXT)), batch=64, threads=2, shards=2, seed=0)
own = specc.compile(specc.load(Source("m.dl", TEXT)), batch=64, threads=2, shards=2, seed=0)
x, y = np.ones((64, 8), np.float32), np.ones(64, np.float32)
for each in (net, own):
    each.step(x=x, y=y), each.forward(x=x)
expected = own.forward(x=x)["p"].copy()
numbers = itertools.count()
compiled = threading.Event()

def compile_one():
    n = next(numbers)
    loop, body = "    for i in range(4):", f"        a[i] += {os.getpid()}.{n}"
    lines = ["def plus(a: 'float[4]'):", loop, body]
    kernel = Kernel("plus", "\\n".join([*lines, ""]))
    return load([kernel])[kernel]

def compile_on():
    while True:
        compile_one()
        compiled.set()

def train_on():
    while True:
        net.step(x=x, y=y)

def predict_on():
    while True:
        net.forward(x=x)

for work in (compile_on, train_on, predict_on):
    threading.Thread(target=work, daemon=True).start()
for number in range(FORKS):
    compiled.clear()
    compiled.wait()
    child = os.fork()
    if child == 0:
        faulthandler.dump_traceback_later(60, exit=True)
        is_right = np.array_equal(own.forward(x=x)["p"], expected)
        before = net.steps_done
        is_right &= bool(np.isfinite(net.forward(x=x)["p"]).all())
        is_right &= bool(np.isfinite(net.step(x=x, y=y)))
        is_right &= net.steps_done == before + 1 and bool(compile_one())
        os._exit(0 if is_right else 3)
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status:
        print("child", number, "ended with", status)
        os._exit(1)
print(FORKS, "children were right")
sys.stdout.flush()
os._exit(0)
'''


def run(
    script: str, *arguments: str, timeout: float = 280, **settings
) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, "-c", script, *arguments],
        capture_output=True,
        text=True,
        check=False,
        timeout=timeout,
        **{"env": {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}, **settings},
    )


@pytest.mark.slow
@pytest.mark.parametrize("forks", [FORKS, pytest.param(MANY, marks=pytest.mark.long)])
def test_children_predict_train_and_compile_whatever_other_threads_did_at_the_fork(forks):
    done = run(SCRIPT, str(forks), timeout=28 * forks)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
    assert done.stdout == f"{forks} children were right\n"


TORN = """
import faulthandler, os, sys, threading
import numpy as np
import specc
from specc.system import locks
from specc.source import Source

locks.WAIT = 0.01
text = "model m { input x: float[8] output y = x -> dense(6) }"
net = specc.compile(specc.load(Source("m.dl", text)), threads=1, seed=0)
x = np.ones((2, 8), np.float32)
net.forward(x=x)
inside, end = threading.Event(), threading.Event()

def change():
    with net.weights.lock.writing:
        inside.set()
        end.wait()

thread = threading.Thread(target=change)
thread.start()
inside.wait()
child = os.fork()
if child == 0:
    faulthandler.dump_traceback_later(60, exit=True)
    try:
        net.forward(x=x)
    except RuntimeError as error:
        os._exit(0 if "may be inconsistent" in str(error) else 4)
    os._exit(5)
end.set()
thread.join()
net.forward(x=x)
sys.exit(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
"""


def test_a_model_that_was_being_changed_at_the_fork_is_refused_in_the_child():
    done = run(TORN)
    assert done.returncode == 0, done.stdout + done.stderr[-4000:]
