"""Texts that nobody writes who wants a network: each gets its message, in bounded time."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from mutations import at_most

from specc import driver
from specc.cli.main import status_of
from specc.cli.render import render
from specc.source import Source

MILLION = 1_000_000
SECONDS = 60
"""Far more than any of these takes on a slow machine."""
LONGEST = 300_000
"""Characters of what is printed, for any text."""


def model(body: str, before: str = "", train: str = "") -> str:
    return f"{before}\nmodel m {{\n  input x: float[4]\n  {body}\n}}\n{train}\n"


def image(stages: str) -> str:
    return f"model m {{ input x: float[3, 16, 16] output x -> {stages} }}"


def many(line: str, count: int, joint: str = "\n") -> str:
    """A line with the numbers 0, 1, ... for `#`, and the numbers before them for `@`."""
    return joint.join(line.replace("#", str(i)).replace("@", str(i - 1)) for i in range(1, count))


# name -> text, and the name of its first error (None: it has none)
LONG = {
    "letters": ("a" * MILLION, "syntax"),
    "parentheses": ("const x = " + "(" * MILLION, "too-deep"),
    "line breaks": ("\n" * MILLION, "no-model"),
    "a comment": ("#" + "a" * MILLION, "no-model"),
    "a number": ("const x = " + "1" * MILLION, "syntax"),
    "digits of a fraction": ("const x = 0." + "1" * MILLION, None),
    "an exponent": ("const x = 1e" + "1" * MILLION, "syntax"),
    "a name": ("dim " + "a" * MILLION, None),
    "a text": (f'use "{"a" * MILLION}"', "bad-use"),
    "a path": (f'use "{"a/" * 100_000}b.dl"', "cannot-read"),
    "an open text": ('use "' + "a" * MILLION, "syntax"),
    "spaces": (" " * MILLION, "no-model"),
    "NUL": ("\0" * MILLION, "syntax"),
    "smileys": ("😀" * MILLION, "syntax"),
}
DEEP = {
    "parentheses": (model("output " + "(" * 10_000 + "x" + ")" * 10_000), "too-deep"),
    "calls": (model("output " + "relu(" * 10_000 + "x" + ")" * 10_000), "too-deep"),
    "stages": (model("output x -> " + "2 * (" * 10_000 + "relu" + ")" * 10_000), "too-deep"),
    "ifs": ("const x = " + "if 1 < 2 then " * 10_000 + "1" + " else 2" * 10_000, "too-deep"),
    "else ifs": ("const x = " + "if 1 < 2 then 1 else " * 10_000 + "2", "too-deep"),
    "blocks": ("block b(x) { " * 10_000 + "}" * 10_000, "misplaced"),
    "models": ("model m { " * 10_000, "syntax"),
    "signs": (model("output " + "-" * 10_000 + "x"), "too-deep"),
    "powers": ("const x = " + "2 ^ " * 10_000 + "2", "too-deep"),
    "numbers made of numbers": (
        many("const a@ = a# + 1", 10_000) + "\nconst a9999 = 1",
        "too-deep",
    ),
}
LARGE = {
    "dim": ("dim n = 10^18 model m { input x: float[n] output x }", "too-large"),
    "dim of many digits": ("dim n = 10^10^10", "bad-number"),
    "dims multiplied": ("dim n0 = 10^9\n" + many("dim n# = n@ * n@", 40), "bad-number"),
    "open dims multiplied": ("dim a dim n0 = a + 1\n" + many("dim n# = n@ * n@", 40), "bad-number"),
    "open dims divided": (
        "dim a dim b dim n0 = a\n" + many("dim n# = (n@ + b) // (n@ + a)", 60),
        "bad-number",
    ),
    "axes": (f"model m {{ input x: float[{many('2', 10_000, ', ')}] output x }}", "too-large"),
    "classes": ("model m { input x: class(10^18) output x -> embed(3) }", "too-large"),
    "steps": ("seq t = 10^18 model m { input x: float[t, 3] output x -> lstm(3) }", "too-large"),
    "steps of one value": (model("output along(x; t)", "seq t = 10^18"), "too-large"),
    "units": (model("output x -> dense(10^18)"), "bad-setting"),
    "stride": (image("conv(3, kernel=1, stride=10^18)"), "bad-setting"),
    "kernel": (image("conv(3, kernel=10^18)"), "bad-setting"),
    "padding": (image("conv(3, kernel=3, pad=10^9)"), "too-large"),
    "upsampling": (image("upsample(10^9)"), "too-large"),
    "repetition of stages": (model("output x -> 1000000000 * (dense(4))"), "bad-number"),
    "repetition of repetitions": (model("output x -> 9999 * (9999 * (relu))"), "too-deep"),
    "repetition of elements": (model("output repeat(x; 10^12)"), "too-large"),
    "parts": (model("output split(x; 10^18)"), "bad-setting"),
    "index": (model("output x[10^18]"), "shape-mismatch"),
    "range": (model("output x[0:10^18]"), "shape-mismatch"),
    "step of a range": (model("output x[::10^18]"), None),
    "shape": (model("output reshape(x; 10^12, 10^12)"), "shape-mismatch"),
    "epochs": (
        model("loss sum(x -> dense(1))", train="train { optimizer sgd(lr=1) epochs = 10^18 }"),
        "bad-setting",
    ),
    "batch": (
        model("loss sum(x -> dense(1))", train="train { optimizer sgd(lr=1) batch = 10^18 }"),
        "bad-setting",
    ),
    "seed": (
        model("loss sum(x -> dense(1))", train="train { optimizer sgd(lr=1) seed = 10^30 }"),
        "bad-setting",
    ),
    "exponent": ("const x = 1e400", "syntax"),
    "exponent below zero": ("const x = 1e-400", None),
    "product of floats": ("const x = 1e200 * 1e200", "bad-number"),
    "number beyond float32": (model("output x * 1e39"), "bad-number"),
    "exp": ("const x = exp(1e300)", "bad-number"),
}
MANY = {
    "mistakes": (many("const a# = b#", 700), "unknown-name"),
    "words that there are not": (model(many("let y# = word#(x)", 1500)), "unknown-name"),
    "equal names": (model(many("let y = x + #", 2000)), "duplicate-name"),
    "settings": (model(f"output dense(x; {many('a#=1', 5000, ', ')})"), "unknown-setting"),
    "inputs": (model(f"output relu({many('x', 20_000, ', ')})"), "wrong-arguments"),
    "files": (many('use "nowhere#.dl"', 2000), "cannot-read"),
    "uses of a word": (
        "fn f0(x) = x\n" + many("fn f#(x) = f@(x) + f@(x)", 38) + model("output f37(x)"),
        "too-deep",
    ),
    "uses in vain": ("fn f0(x) = x\n" + many("fn f#(x) = f@(x) + f@(x)", 38), None),
    "closing brackets": (")]}" * 30_000, "syntax"),
    "keywords": ("let " * 100_000, "syntax"),
    "arrows": ("const x = x " + "-> " * 100_000, "syntax"),
}
SELF = {
    "a number": ("const a = b const b = a", "recursive-definition"),
    "a block": ("block b(x) { return b(x) }" + model("output b(x)"), "recursive-definition"),
    "two functions": (
        "fn f(x) = g(x) fn g(x) = f(x)" + model("output f(x)"),
        "recursive-definition",
    ),
    "two layers": (model("layer a = b layer b = a output a(x)"), "recursive-definition"),
}
SIGNS = {  # only the lexer reports errors
    "Greek": ("dim λ = 3", "is not a name"),
    "Greek within a name": ("dim nλ = 3", "is not a name"),
    "Chinese": ("dim 中文 = 3", "is not a name"),
    "Cyrillic that looks Latin": ("dim а = 3", "is not a name"),
    "a letter with an accent of its own": ("dim n\u0301 = 3", "not allowed"),
    "from right to left": ("dim n\u202e = 3", "U+202E is not allowed"),
    "of no width": ("dim n\u200bm = 3", "U+200B is not allowed"),
    "a byte-order mark": ("dim n = 3\ufeff", "U+FEFF is not allowed"),
    "a smiley": ("dim 😀 = 3", "not allowed"),
    "wide digits": ("dim n = ３", "not allowed"),
    "Arabic digits": ("dim n = ٣", "not allowed"),
    "half of a pair": ("dim n\ud800 = 3", "U+D800 is not allowed"),
    "NUL": ("dim n = 3\0", "U+0000 is not allowed"),
}
GROUPS = {"deep": DEEP, "large": LARGE, "many": MANY, "self": SELF}
CASES = [
    pytest.param(text, name, id=f"{group}: {what}")
    for group, cases in GROUPS.items()
    for what, (text, name) in cases.items()
]


@pytest.mark.parametrize(("text", "name"), CASES)
def test_a_hostile_text_gets_its_message_in_time(text, name):
    with at_most(SECONDS):
        _, found = driver.check(Source("x.dl", text))
        printed = render(found)
    errors = [each for each in found if each.severity == "error"]
    assert (errors[0].name if errors else None) == name
    assert len(printed) < LONGEST and all(len(each.message) < 3000 for each in found)


@pytest.mark.parametrize(("text", "message"), SIGNS.values(), ids=SIGNS)
def test_a_sign_of_another_script_is_named(text, message):
    _, found = driver.check(Source("x.dl", text))
    assert len(found) == 1 and found[0].name == "syntax" and message in found[0].message


LIMIT = """
import sys
if sys.platform != "win32":
    import resource
    resource.setrlimit(resource.RLIMIT_AS, (2**30, 2**30))
"""


@pytest.mark.slow
def test_a_million_characters_take_bounded_time_and_memory(tmp_path):
    files = []
    for number, (text, _) in enumerate(LONG.values()):
        files.append(tmp_path / f"{number}.dl")
        files[-1].write_text(text)
    code = f"{LIMIT}\nfrom specc.cli.main import main\nmain(['check', *sys.argv[1:]])"
    done = subprocess.run(
        [sys.executable, "-c", code, *map(str, files)],
        capture_output=True, text=True, timeout=SECONDS * len(LONG),
    )  # fmt: skip
    assert done.returncode == 1 and "Traceback" not in done.stderr
    assert len(done.stdout) < LONGEST
    first = {}
    for name, path in re.findall(
        r"^error\[([\w-]+)\]: .*\n +--> (\S+?):", done.stdout, re.MULTILINE
    ):
        first.setdefault(path, name)
    found = {what: first.get(str(path)) for what, path in zip(LONG, files, strict=True)}
    assert found == {what: name for what, (_, name) in LONG.items()}


def checked(path: Path, capsys) -> str:
    """Return the output of `specc check` for a file with errors."""
    with at_most(SECONDS):
        assert status_of(["check", "--format", "concise", str(path)]) == 1
    captured = capsys.readouterr()
    assert captured.err == ""
    return captured.out


@pytest.mark.parametrize(("content", "message"), [
    (b"dim \xe9 = 3", "line 1 is not UTF-8 text (byte 0xe9)"),
    (bytes(range(256)), "line 2 is not UTF-8 text (byte 0x80)"),
    (b"dim n = 3\n" * 500_000, "it is larger than 4 MB"),
    ("dim n = 3".encode("utf-16"), "not UTF-8 text"),
])  # fmt: skip
def test_a_file_that_is_no_text_is_told_so(content, message, tmp_path, capsys):
    path = tmp_path / "a.dl"
    path.write_bytes(content)
    assert message in checked(path, capsys)
    (tmp_path / "b.dl").write_text('use "a.dl"')
    assert message in checked(tmp_path / "b.dl", capsys)


@pytest.mark.parametrize(("used", "message"), [
    ("../a.dl", "is outside the folder"),
    ("sub/../../a.dl", "is outside the folder"),
    ("/a.dl", "is outside the folder"),
    ("link.dl", "is outside the folder"),
    ("a.txt", "imports a `.dl` file"),
    ("", "imports a `.dl` file"),
    ("folder.dl", "it is not a file"),
    ("nowhere.dl", "there is no such file"),
    ("circle.dl", "cannot read"),
    ("a\0.dl", "cannot read"),
    ("x.dl", "in a circle"),
    ("y.dl", "in a circle"),
])  # fmt: skip
def test_a_path_that_cannot_be_used_is_told_so(used, message, tmp_path, capsys):
    folder = tmp_path / "project"
    (folder / "folder.dl").mkdir(parents=True)
    (tmp_path / "a.dl").write_text("dim n = 3")
    (folder / "y.dl").write_text('use "x.dl"')
    if hasattr(os, "symlink"):
        (folder / "circle.dl").symlink_to("circle.dl")
        (folder / "link.dl").symlink_to(tmp_path / "a.dl")
    path = folder / "x.dl"
    path.write_text(f'use "{used}"\n')
    assert message in checked(path, capsys)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_a_pipe_is_not_waited_for(tmp_path, capsys):
    os.mkfifo(tmp_path / "pipe.dl")
    path = tmp_path / "x.dl"
    path.write_text('use "pipe.dl"\n')
    assert "it is not a file" in checked(path, capsys)


@pytest.mark.skipif(not hasattr(os, "mkfifo"), reason="there are no pipes with names here")
def test_pipes_and_devices_are_refused_as_files_and_as_data(tmp_path, capsys):
    pipe = tmp_path / "pipe.dl"
    os.mkfifo(pipe)
    for path in (pipe, Path("/dev/zero")):
        assert "it is a pipe or a device, not a file" in checked(path, capsys)
        text = model(
            "target y: float[4] let p = x -> dense(4) output p loss mse(p, y)",
            train=f'train {{ data csv("{path}") optimizer sgd(lr = 0.1) }}',
        )
        (tmp_path / "x.dl").write_text(text)
        assert "is a pipe or a device, not a file" in checked(tmp_path / "x.dl", capsys)


def test_a_long_chain_of_files_ends(tmp_path, capsys):
    for i in range(3000):
        (tmp_path / f"{i}.dl").write_text(f'use "{i + 1}.dl"\nuse "{i + 1}.dl"\nfn f{i}(x) = x\n')
    assert "imports of files are nested more than 40 deep" in checked(tmp_path / "0.dl", capsys)
