"""What is printed: in UTF-8 on any console, and words instead of a traceback."""

from __future__ import annotations

import io
import json
import sys

import pytest

from specc import driver
from specc.backend.machine import this_machine
from specc.cli.main import main, status_of
from specc.diagnostics import SpecError

MODEL = """# ein Modell für π → ∞, 模型
model m {
  input x: float[3]
  output   x -> dense(3)
}
"""


@pytest.fixture
def printed(monkeypatch):
    """Runs a command on a console of another code page.

    Its status, and the bytes that it printed.
    """

    def run(*arguments, encoding="cp1252"):
        out, err = io.BytesIO(), io.BytesIO()
        monkeypatch.setattr(sys, "stdout", io.TextIOWrapper(out, encoding))
        monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(err, encoding))
        with pytest.raises(SystemExit) as ended:
            main(list(map(str, arguments)))
        sys.stdout.flush()
        sys.stderr.flush()
        return ended.value.code, out.getvalue(), err.getvalue()

    return run


@pytest.mark.parametrize("encoding", ["cp1252", "ascii", "latin-1", "cp437"])
def test_a_difference_and_messages_are_utf_8_whatever_the_code_page(tmp_path, printed, encoding):
    path = tmp_path / "modèle_模.dl"
    path.write_text(MODEL, encoding="utf-8")
    status, out, err = printed("fmt", "--diff", path, encoding=encoding)
    assert status == 1 and "für π → ∞, 模型".encode() in out and not err
    path.write_text(
        MODEL.replace("dense", "dens").replace("model m", "model m模"), encoding="utf-8"
    )
    status, out, _ = printed("check", path, encoding=encoding)
    assert status == 1 and "modèle_模.dl:2:7".encode() in out
    status, _, err = printed("show", path, encoding=encoding)
    assert status == 1 and "model m模".encode() in err


def test_a_name_that_has_no_utf_8_is_shown_with_escapes(tmp_path, printed):
    path = tmp_path / "a\udc80.dl"
    try:
        path.write_text("model m {}")
    except (OSError, UnicodeError):
        pytest.skip("this system has no such names of files")
    status, out, _ = printed("check", path, encoding="utf-8")
    assert status == 1 and rb"a\udc80.dl" in out


def test_half_a_character_in_json_is_refused(tmp_path, capsys):
    path = tmp_path / "a.json"
    for half in (r"\ud800", r"\udc00x", r"a\ud83dx"):
        use = {"kind": "Use", "path": "?.dl"}
        record = json.dumps({"kind": "File", "definitions": [use]}).replace("?", half)
        path.write_text(record)
        assert status_of(["convert", str(path)]) == 1
        assert "is only half of a character" in capsys.readouterr().err
    path.write_text(record.replace(half, r"\ud83d\ude00"))
    assert status_of(["convert", str(path)]) == 0
    assert capsys.readouterr().out == 'use "\N{GRINNING FACE}.dl"\n'


@pytest.mark.parametrize("value", ["abc", "100", "-128", "128.0", " "])
def test_a_width_that_vectors_do_not_have_is_refused_in_words(tmp_path, capsys, monkeypatch, value):
    monkeypatch.setenv("SPECC_VECTOR_BITS", value)
    with pytest.raises(SpecError, match="SPECC_VECTOR_BITS must be 128, 256 or 512"):
        this_machine()
    path = tmp_path / "a.dl"
    path.write_text("model m { input x: float[3] output 2 * x }")
    assert status_of(["build", str(path)]) == 1
    assert f"error[bad-setting]: SPECC_VECTOR_BITS must be 128, 256 or 512, not `{value}`" in (
        capsys.readouterr().err
    )


def test_memory_that_is_not_enough_is_told_in_words(tmp_path, capsys, monkeypatch):
    import numpy as np

    path = tmp_path / "a.dl"
    path.write_text("model m { input x: float[3] output 2 * x }")
    for short in (MemoryError(), MemoryError("out of it")):

        def build(*_, short=short, **__):
            raise short

        monkeypatch.setattr(driver, "build", build)
        assert status_of(["build", str(path)]) == 1
        err = capsys.readouterr().err
        assert "there is not enough memory" in err and "Traceback" not in err
    monkeypatch.setattr(driver, "build", lambda *_, **__: np.empty(2**62, np.uint8))
    assert status_of(["build", str(path)]) == 1
    assert "Unable to allocate 4.00 EiB" in capsys.readouterr().err


def test_other_kinds_of_drawings_are_refused_before_the_model_is_read(tmp_path, capsys):
    path = tmp_path / "a.dl"
    path.write_text("this is no model")
    for name in ("a.gif", "a", "a.svg.jpg"):
        assert status_of(["show", str(path), "--graph", str(tmp_path / name)]) == 2
        assert ".svg" in capsys.readouterr().err
        assert not (tmp_path / name).exists()
