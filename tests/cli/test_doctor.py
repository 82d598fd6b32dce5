"""`specc doctor`: what it shows, and when it complains."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from specc.backend.machine.profile import Profile

ZEN4 = Path(__file__).resolve().parent.parent / "backend" / "profiles" / "zen4.json"


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A cache folder of its own, and a machine that need not be measured."""
    monkeypatch.setenv("SPECC_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("SPECC_MACHINE", str(ZEN4))
    return tmp_path


def test_it_shows_versions_the_machine_and_the_cache(specc, folder):
    status, out, err = specc("doctor", "--json")
    found = json.loads(out)
    assert err == "" and status == bool(found["complaints"])
    assert found["versions"]["llvmlite"] and found["versions"]["specc"]
    assert found["profile"] == json.loads(ZEN4.read_text())
    assert found["profile_from"] == found["variables"]["SPECC_MACHINE"] == str(ZEN4)
    assert found["cache_folder"] == str(folder / "cache") and found["cached_kernels"] == 0


def test_its_text_names_what_it_found(specc):
    _, out, _ = specc("doctor")
    lines = dict(line.split(None, 1) for line in out.splitlines() if len(line.split()) > 1)
    assert lines["processor"] == "AMD EPYC, Zen 4, 3.5 GHz"
    assert lines["vectors"] == "512 bits, 32 registers"
    assert lines["multiply-adds"] == "2, 2, 1, latency 4 cycles"
    assert max(map(len, out.splitlines())) <= 100 or str(ZEN4) in out


def test_it_writes_the_profile(specc, folder):
    specc("doctor", "--write", folder / "machine.json")
    assert Profile.read(folder / "machine.json") == Profile.read(ZEN4)


def test_a_cache_folder_that_is_a_file_is_a_complaint(specc, folder, monkeypatch):
    monkeypatch.setattr("specc.cli.doctor._is_writable", lambda folder: False)
    status, out, _ = specc("doctor")
    assert status == 1 and "SPECC_CACHE_DIR" in out and "no problems found" not in out


def test_a_missing_package_is_a_complaint(specc, monkeypatch):
    monkeypatch.setattr("specc.cli.doctor.NEEDED", ("numpy", "no-such-package"))
    status, out, _ = specc("doctor")
    assert status == 1 and "error: `no-such-package` is not installed" in out
