"""Properties that are computed once, by any number of threads, and in a forked child."""

import os
import threading

import pytest

from specc.system.lazy import cached_property


class Slow:
    """A property that waits, so that others ask for it meanwhile."""

    def __init__(self):
        self.begun, self.go = threading.Event(), threading.Event()

    @cached_property
    def value(self):
        self.begun.set()
        assert self.go.wait(20)
        return object()


def test_all_threads_get_the_same_object():
    slow, found = Slow(), []
    threads = [threading.Thread(target=lambda: found.append(slow.value)) for _ in range(4)]
    for each in threads:
        each.start()
    slow.begun.wait(20)
    slow.go.set()
    for each in threads:
        each.join()
    assert len(found) == 4 and all(each is slow.value for each in found)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_child_does_not_wait_for_a_thread_of_its_parent():
    slow = Slow()
    thread = threading.Thread(target=lambda: slow.value)
    thread.start()
    slow.begun.wait(20)
    child = os.fork()
    if child == 0:
        other = Slow()
        other.go.set()
        threading.Timer(10, os._exit, [1]).start()
        os._exit(0 if other.value is not None else 2)
    assert os.waitpid(child, 0)[1] == 0
    slow.go.set()
    thread.join()
