"""A pool of objects that are made when they are needed."""

from __future__ import annotations

import threading

import pytest

from specc.backend.run.pool import Pool


def test_as_many_are_made_as_are_used_at_a_time():
    made: list[object] = []

    def make() -> object:
        made.append(object())
        return made[-1]

    pool = Pool(make, most=3, kept=2)
    taken: list[object] = []
    user = threading.Thread(target=lambda: taken.extend(pool.take() for _ in range(3)), daemon=True)
    user.start()
    user.join(60)
    assert len(set(taken)) == len(made) == pool.made == 3
    for each in taken:
        pool.give(each)
    assert pool.made == len(pool.free) == 2  # what is kept
    assert {pool.take(), pool.take()} < set(taken)
    pool.take()
    assert len(made) == 4


def test_what_could_not_be_made_leaves_room_for_another():
    answers = [ValueError("no memory"), 7]

    def make() -> int:
        answer = answers.pop(0)
        if isinstance(answer, Exception):
            raise answer
        return answer

    pool = Pool(make, most=1, kept=1)
    with pytest.raises(ValueError):
        pool.take()
    assert pool.made == 0
    assert pool.take() == 7


def test_who_finds_none_gets_the_next_that_is_given_back():
    pool = Pool(object, most=1, kept=0)
    first, found = pool.take(), []
    other = threading.Thread(target=lambda: found.append(pool.take()), daemon=True)
    other.start()
    while not pool.waiting:
        pass
    pool.give(first)
    other.join(60)
    assert found == [first]
