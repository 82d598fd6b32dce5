"""The machine's profile: its file, what can be wrong with that, and plans for other machines."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from test_contraction import SHAPES, Case, loaded, roles

from specc.backend.contraction.target import Target
from specc.backend.machine import here, measure, system, this_machine
from specc.backend.machine.chosen import VARIABLE, chosen, planning_with
from specc.backend.machine.profile import LEVELS, WIDTHS, Profile, instructions, rounded
from specc.diagnostics import SpecError
from specc.pipeline import Batch

PROFILES = sorted((Path(__file__).parent / "profiles").glob("*.json"))
GIVEN = json.loads(PROFILES[0].read_text())


@pytest.fixture
def cache(tmp_path, monkeypatch):
    """An empty cache folder, and no profile given."""
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    return tmp_path


def test_what_is_measured_makes_sense():
    found = measure.measured()
    widths = [bits for bits in WIDTHS if bits <= this_machine(WIDTHS[-1]).vector_bits]
    for steps in (found.products_by_width, found.loads_by_width, found.stores_by_width):
        assert [bits for bits, _ in steps] == widths
        assert all(number == instructions(number) for _, number in steps)
    assert found.caches == system.cache_sizes()
    assert list(found.rates) == sorted(found.rates, reverse=True)
    assert all(each == rounded(each) for each in (*found.rates, found.strided))
    assert found.strided >= 1 and found.line <= found.barrier
    assert Profile.of(json.loads(found.text())) == found


def test_measurements_that_other_programs_disturb_agree():
    """Pairs of Zen 3: quiet and beside other programs, with a common L3 cache and without."""
    quiet, busy = [31.6, 23.5, 7.5], [25.4, 15.8, 4.3]
    given = (256, 2.0)
    assert measure._bytes_per_cycle(given, quiet) == measure._bytes_per_cycle(given, busy)
    assert measure._bytes_per_cycle(given, quiet) == (64, 32, 16, 4)
    for usual, near, far in ((384, 130, 1092), (1024, 350, 2700)):
        assert measure._cycles_of_two_cores(near, usual) == usual
        assert measure._cycles_of_two_cores(far, usual) == usual
        assert measure._cycles_of_two_cores(0.0, usual) == usual


def test_a_cache_is_not_slower_than_the_next_one():
    rates = measure._bytes_per_cycle((128, 1.0), [10.0, 90.0, 100.0])
    assert rates == (64, 64, 64, 64)


def test_rounding_to_steps():
    assert [rounded(each) for each in (0.3, 1, 1.4, 1.5, 90)] == [0.25, 1, 1, 2, 64]
    assert [rounded(each, 4, 4) for each in (1.9, 2.1, 7.9, 8.1)] == [1, 4, 4, 16]


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
def test_a_file_is_read_as_it_was_written(path, tmp_path):
    profile = Profile.read(path)
    profile.write(tmp_path / "copy.json")
    assert Profile.read(tmp_path / "copy.json") == profile
    assert (tmp_path / "copy.json").read_text() == profile.text()
    assert profile.rate(1) == profile.rates[0] and profile.rate(1 << 40) == profile.rates[-1]
    assert not list(tmp_path.glob(".new-*"))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"format": 7}, "has format 7, and this version of specc reads 2"),
        ({"vector_bits": 300}, "`vector_bits` must be 128, 256 or 512, not 300"),
        ({"vector_bits": "wide"}, "`vector_bits` must be a number above 0, not 'wide'"),
        ({"cores": True}, "`cores` must be a number above 0, not True"),
        ({"registers": 12}, "`registers` must be 16 or 32, not 12"),
        ({"processor": 3}, "`processor` must be a string, not 3"),
        ({"products_a_cycle": {"128": 2}}, "`products_a_cycle.256` is missing"),
        ({"products_a_cycle": 2}, "`products_a_cycle` must be a JSON object"),
        ({"cache_bytes": {"L1": 9, "L2": 5, "L3": 7}}, "`cache_bytes` must grow from L1 to L3"),
        ({"bytes_a_cycle": {level: 1 for level in LEVELS}}, "`bytes_a_cycle.memory` is missing"),
        (
            {"slowness_of_strided_reads": 0.5},
            "`slowness_of_strided_reads` must be a number of 1 or more, not 0.5",
        ),
        ({"cycles_of_a_line": -1}, "`cycles_of_a_line` must be a number above 0, not -1"),
    ],
)
def test_a_figure_that_makes_no_sense_is_named(change, message, tmp_path, monkeypatch):
    path = tmp_path / "machine.json"
    path.write_text(json.dumps({**GIVEN, **change}))
    monkeypatch.setenv(VARIABLE, str(path))
    with pytest.raises(SpecError) as error:
        here.this_profile()
    (found,) = error.value.diagnostics
    assert message in found.message and str(path) in found.message and VARIABLE in found.message
    assert "specc doctor --write" in found.help


@pytest.mark.parametrize(
    ("text", "message"), [(None, "cannot be read"), ("{", "is not JSON"), ("[]", "a JSON object")]
)
def test_a_file_that_is_no_profile_is_named(text, message, tmp_path):
    path = tmp_path / "machine.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(SpecError, match=message):
        Profile.read(path)


def test_a_file_of_the_format_before_plans_as_it_did():
    """Which assumed that strided reads take three times as long."""
    old = {name: value for name, value in GIVEN.items() if name != "slowness_of_strided_reads"}
    assert Profile.of({**old, "format": 1}).strided == 3
    with pytest.raises(Exception, match="`slowness_of_strided_reads` is missing"):
        Profile.of(old)


def test_strided_reads_are_slower_beyond_the_first_cache():
    profile = Profile.read(PROFILES[0])
    assert profile.rate(profile.l1, in_sequence=False) == profile.rate(profile.l1)
    for size in (profile.l1 + 1, profile.l2 + 1, 1 << 40):
        assert profile.rate(size, in_sequence=False) == profile.rate(size) / profile.strided


def test_a_machine_is_measured_once_and_again_where_its_file_is_spoilt(cache, monkeypatch):
    given, calls = Profile.read(PROFILES[0]), []
    monkeypatch.setattr(measure, "measured", lambda: calls.append(1) or given)
    here._own.cache_clear()
    assert here.this_profile() == here.this_profile() == given
    here._own.cache_clear()
    assert here.this_profile() == given and len(calls) == 1  # from the file
    here.profile_path().write_text("{}")
    here._own.cache_clear()
    assert here.this_profile() == given and len(calls) == 2
    assert here.own_profile(anew=True) == given and len(calls) == 3
    here._own.cache_clear()


def test_a_block_plans_with_a_profile_of_its_own(monkeypatch):
    monkeypatch.setenv(VARIABLE, str(PROFILES[0]))
    own, other = Profile.read(PROFILES[0]), Profile.read(PROFILES[1])
    assert chosen() == own
    with planning_with(other):
        assert here.this_profile() == other
        with planning_with(None):
            assert here.this_profile() == other
    assert chosen() == own


@pytest.mark.parametrize("path", PROFILES, ids=lambda path: path.stem)
@pytest.mark.parametrize("name", ["dense", "conv groups"])
def test_products_planned_for_another_machine_are_right_here(path, name, monkeypatch):
    monkeypatch.setenv(VARIABLE, str(path))
    profile, machine = Profile.read(path), this_machine()
    assert (machine.vector_bits, machine.registers) == (profile.vector_bits, profile.registers)
    assert Batch.on_this_machine(64).vector == profile.vector_bits // 32
    target = Target("float32", machine)
    assert target.profile == profile
    case = Case(roles(*SHAPES[name])["forward"], "float32", None, 32, 1)
    case.check(loaded([case]))


def test_narrow_vectors_have_the_figures_of_their_width():
    zen4 = Profile.read(next(path for path in PROFILES if path.stem == "zen4"))
    narrow = zen4.held_to(256)
    assert (zen4.products(512), narrow.products(narrow.vector_bits)) == (1, 2)
    assert (narrow.vector_bits, narrow.registers) == (256, 16)
    assert zen4.held_to(512) is zen4
