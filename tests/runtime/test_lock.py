"""One training of a run at a time."""

from __future__ import annotations

import os
import socket
import subprocess
import sys

import pytest

from specc.runtime.errors import RunError
from specc.runtime.lock import Lock

HOLD = """import sys; from pathlib import Path; from specc.runtime.lock import Lock
lock = Lock.take(Path(sys.argv[1]))
print("held", flush=True)
sys.stdin.read()
"""


def holder(folder):
    """A process that holds the lock until its input ends."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout.readline() == "held\n"
    return process


def test_a_second_lock_names_the_first(tmp_path):
    lock = Lock.take(tmp_path)
    with pytest.raises(RunError) as caught:
        Lock.take(tmp_path)
    (found,) = caught.value.diagnostics
    assert found.message.startswith(
        f"`{tmp_path}` is being trained by process {os.getpid()} on {socket.gethostname()} since 2"
    )
    lock.release()
    assert os.listdir(tmp_path) == []
    Lock.take(tmp_path).release()
    lock.release()  # once more does nothing


def test_another_process_is_named_and_its_death_frees_the_lock(tmp_path):
    process = holder(tmp_path)
    with pytest.raises(RunError, match=f"is being trained by process {process.pid} on "):
        Lock.take(tmp_path)
    process.kill()
    process.communicate()
    assert os.listdir(tmp_path) == [".lock"]
    Lock.take(tmp_path).release()


def test_a_lock_without_a_text_is_a_lock(tmp_path):
    process = holder(tmp_path)
    (tmp_path / ".lock").write_text("")
    with pytest.raises(RunError, match="is being trained by another process"):
        Lock.take(tmp_path)
    process.communicate("")


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork on this system")
def test_a_forked_child_does_not_keep_the_lock(tmp_path):
    lock = Lock.take(tmp_path)
    read, write = os.pipe()
    child = os.fork()
    if not child:
        os.close(write)
        os.read(read, 1)  # until the parent closes its end
        os._exit(0)
    os.close(read)
    lock.release()
    Lock.take(tmp_path).release()
    os.close(write)
    os.waitpid(child, 0)


def test_many_processes_take_turns(tmp_path):
    """Each reads a number, and writes the next one: no lock may be held twice, nor be lost."""
    code = (
        "import sys; from pathlib import Path; from specc.runtime.lock import Lock\n"
        "folder = Path(sys.argv[1]); count = folder / 'count'\n"
        "done = 0\n"
        "while done < 50:\n"
        "    lock = Lock.taken(folder)\n"
        "    if lock is not None:\n"
        "        number = int(count.read_text())\n"
        "        count.write_text(str(number + 1))\n"
        "        lock.release()\n"
        "        done += 1\n"
    )
    (tmp_path / "count").write_text("0")
    started = [subprocess.Popen([sys.executable, "-c", code, tmp_path]) for _ in range(3)]
    assert [each.wait() for each in started] == [0, 0, 0]
    assert (tmp_path / "count").read_text() == "150"
    assert os.listdir(tmp_path) == ["count"]
