"""Data classes that are made quickly, against those of the standard library."""

from __future__ import annotations

import copy
import dataclasses
import pickle
from dataclasses import field

import pytest

from specc.system.records import dataclass

WAYS = [{}, {"frozen": True}, {"eq": False}, {"frozen": True, "slots": True}, {"repr": False}]


def pair(**options):
    """The same class, made by each of the two decorators."""

    def made(decorator):
        @decorator(**options)
        class Thing:
            a: int
            b: str = "b"
            c: list = field(default_factory=list)
            hidden: int = field(default=3, repr=False, compare=False)
            derived: int = field(init=False, default=7)

        return Thing

    return made(dataclass), made(dataclasses.dataclass)


@pytest.mark.parametrize("options", WAYS, ids=str)
def test_instances_behave_as_those_of_the_standard_library(options):
    ours, theirs = pair(**options)
    for make in (
        lambda cls: cls(1),
        lambda cls: cls(2, "x", [1], hidden=9),
        lambda cls: cls(b="y", a=0),
    ):
        one, other = make(ours), make(theirs)
        assert dataclasses.asdict(one) == dataclasses.asdict(other)
        assert (one == make(ours)) is (other == make(theirs))
        if options.get("repr", True):
            assert repr(one) == repr(other)
        changed = dataclasses.replace(one, a=5)
        assert changed.a == 5 and changed.b == one.b
        assert (ours(1, hidden=1) == ours(1, hidden=2)) is (
            theirs(1, hidden=1) == theirs(1, hidden=2)
        )
    assert ours(1).c is not ours(1).c
    assert ours(1) != theirs(1)
    assert (ours.__hash__ is None) is (theirs.__hash__ is None)
    if options.get("frozen"):
        with pytest.raises(dataclasses.FrozenInstanceError):
            ours(1).a = 2
        with pytest.raises(dataclasses.FrozenInstanceError):
            del ours(1).a
    else:
        thing = ours(1)
        thing.a = 2
        assert thing.a == 2


@pytest.mark.parametrize("arguments", [(), (1, "b", [], 3, 7, 8)])
def test_wrong_arguments_are_refused(arguments):
    ours, theirs = pair()
    for cls in (ours, theirs, ours):
        with pytest.raises(TypeError):
            cls(*arguments)
    with pytest.raises(TypeError):
        ours(1, nothing=2)


@dataclass(frozen=True, slots=True)
class Slotted:
    a: int
    b: tuple = ()


@dataclass(frozen=True)
class Base:
    a: int

    def __post_init__(self):
        object.__setattr__(self, "seen", self.a + 1)


@dataclass(frozen=True)
class Derived(Base):
    b: int = 2


class Plain(Derived):
    def __init__(self, a):
        super().__init__(a, b=10)


def test_copies_and_pickles_are_equal():
    for each in (Slotted(1, (2,)), Base(3), Derived(4, 5)):
        for other in (copy.copy(each), copy.deepcopy(each), pickle.loads(pickle.dumps(each))):
            assert other == each and hash(other) == hash(each) and other is not each


def test_classes_may_be_derived():
    assert Plain(1).b == 10 and Plain(1).seen == 2
    assert Derived(1).b == 2 and Derived(1).seen == 2
    assert Derived(1) != Base(1) and Base(1) != Derived(1)
    assert repr(Derived(1)) == "Derived(a=1, b=2)"
    assert [each.name for each in dataclasses.fields(Derived)] == ["a", "b"]
    match Derived(6, 7):
        case Derived(a, b):
            assert (a, b) == (6, 7)


def test_an_own_method_is_kept():
    @dataclass
    class Own:
        a: int

        def __repr__(self):
            return "own"

        def __eq__(self, other):
            return True

        __hash__ = None

    assert repr(Own(1)) == "own" and Own(1) == Own(2)
