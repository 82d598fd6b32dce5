"""Garbage collection that waits until a function is done."""

from __future__ import annotations

import gc

import pytest

from specc.system import collection
from specc.system.collection import uncollected


@pytest.fixture(autouse=True)
def collected(monkeypatch):
    """Begin without young or frozen objects, and with the collector on."""
    monkeypatch.setattr(collection, "_age", collection._Aging())
    gc.unfreeze()
    gc.collect()
    assert gc.isenabled()
    yield
    assert gc.isenabled()


@uncollected
def made() -> list[list[int]]:
    assert not gc.isenabled()
    return [[number] for number in range(20_000)]


def test_what_a_function_made_is_not_young_after_it():
    found = made()
    young = {id(each) for age in (0, 1) for each in gc.get_objects(generation=age)}
    assert not young & {id(each) for each in found}
    assert {id(each) for each in found} <= {id(each) for each in gc.get_objects(generation=2)}


def test_nothing_is_counted_after_little_work(monkeypatch):
    """Counting what is frozen takes as long as there are frozen objects."""
    monkeypatch.setattr(gc, "get_freeze_count", lambda: pytest.fail("frozen objects were counted"))
    gc.collect()

    @uncollected
    def little() -> list[list[int]]:
        return [[number] for number in range(100)]

    assert len(little()) == 100


def test_garbage_of_a_function_is_collected_later():
    @uncollected
    def cycle() -> int:
        circle: list[object] = []
        circle.append(circle)
        return id(circle)

    before = cycle()
    assert before in {id(each) for each in gc.get_objects()}
    gc.collect()
    assert before not in {id(each) for each in gc.get_objects()}


def test_frozen_objects_stay_frozen():
    gc.freeze()
    try:
        count = gc.get_freeze_count()
        assert count
        found = made()
        assert gc.get_freeze_count() >= count - 10  # some of them end meanwhile
        assert len(found) == 20_000
    finally:
        gc.unfreeze()


def test_frozen_objects_are_counted_once(monkeypatch):
    counts: list[int] = []
    monkeypatch.setattr(gc, "get_freeze_count", lambda: counts.append(1) or 5)
    made()
    made()
    assert counts == [1]


def test_after_an_error_garbage_is_collected_again():
    @uncollected
    def failed() -> None:
        raise ValueError("wrong")

    with pytest.raises(ValueError, match="wrong"):
        failed()
    assert gc.isenabled()
