"""`specc fmt`: what it writes, prints and exits with."""

from __future__ import annotations

import io
import os
import stat
import sys
from types import SimpleNamespace

import pytest

from specc.cli.main import status_of

UGLY = "dim n=3\nconst   margin = 1  # why\n"
NEAT = "dim   n      = 3\nconst margin = 1  # why\n"


@pytest.fixture
def ugly(tmp_path):
    path = tmp_path / "ugly.dl"
    path.write_text(UGLY)
    return path


def test_files_are_written_where_they_change(ugly, tmp_path, capsys):
    neat = tmp_path / "neat.dl"
    neat.write_text(NEAT)
    before = neat.stat().st_mtime_ns
    assert status_of(["fmt", str(ugly), str(neat)]) == 0
    assert ugly.read_text() == NEAT and neat.stat().st_mtime_ns == before
    assert capsys.readouterr().out == f"wrote {ugly}\n"
    assert sorted(path.name for path in tmp_path.iterdir()) == ["neat.dl", "ugly.dl"]


def test_check_and_diff_write_nothing_and_tell(ugly, capsys):
    assert status_of(["fmt", "--check", str(ugly)]) == 1
    assert capsys.readouterr().out == f"would change {ugly}\n"
    assert status_of(["fmt", "--diff", str(ugly)]) == 1
    out = capsys.readouterr().out
    assert "-dim n=3\n" in out and "+dim   n      = 3\n" in out
    assert ugly.read_text() == UGLY
    ugly.write_text(NEAT)
    assert status_of(["fmt", "--check", str(ugly)]) == status_of(["fmt", "--diff", str(ugly)]) == 0
    assert capsys.readouterr().out == ""


def test_the_standard_input_goes_to_the_output(monkeypatch, capsys):
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(UGLY.encode())))
    assert status_of(["fmt", "-"]) == 0
    assert capsys.readouterr().out == NEAT


def test_a_file_with_a_mistake_stays_and_the_others_are_written(ugly, tmp_path, capsys):
    bad = tmp_path / "bad.dl"
    bad.write_text("dim = 3\n")
    assert status_of(["fmt", str(bad), str(ugly)]) == 1
    assert bad.read_text() == "dim = 3\n" and ugly.read_text() == NEAT
    assert "error[syntax]" in capsys.readouterr().err


def test_wrong_usage_exits_with_2(tmp_path):
    assert status_of(["fmt"]) == 2
    assert status_of(["fmt", str(tmp_path / "none.dl")]) == 2


def test_line_ends_of_other_systems_and_a_byte_order_mark_go(tmp_path):
    path = tmp_path / "a.dl"
    path.write_bytes(b"\xef\xbb\xbf" + NEAT.replace("\n", "\r\n").encode())
    assert status_of(["fmt", "--check", str(path)]) == 1
    assert status_of(["fmt", str(path)]) == 0
    assert path.read_bytes() == NEAT.encode()


def test_a_file_keeps_its_mode_and_a_link_stays_a_link(ugly, tmp_path):
    ugly.chmod(0o640)
    link = tmp_path / "link.dl"
    link.symlink_to(ugly)
    assert status_of(["fmt", str(link)]) == 0
    assert link.is_symlink() and ugly.read_text() == NEAT
    assert stat.S_IMODE(os.stat(ugly).st_mode) == 0o640
