"""Sources, spans, diagnostics, and how they are written out."""

from __future__ import annotations

import json
import warnings

import pytest
from hypothesis import given
from hypothesis import strategies as st

import specc
from specc.cli.render import FORMATS, render, summary
from specc.diagnostics import Diagnostic, Edit, Fix, Label, Report, SpecError, closest
from specc.frontend.syntax.reading import LARGEST, read_source
from specc.source import Source, Span

TEXT = """dim n = 3

block residual(x: float[c, h, w]) {
  let main = x
    -> conv(32, kernel=3)

  # the sum
  let y = x + main
  return y
}
"""
SOURCE = Source("residual.dl", TEXT)


def at(text: str, within: str | None = None, source: Source = SOURCE) -> Span:
    """The place of a text, within the first place of another one if given."""
    start = source.text.index(within) if within else 0
    start = source.text.index(text, start)
    return Span(source, start, start + len(text))


SHAPES = Diagnostic(
    "shape-mismatch",
    "error",
    "`+` needs equal shapes, but axis 1 is 14 on the left and 12 on the right",
    at("+"),
    labels=(
        Label(at("x", "x + main"), "[32, 14, 14]"),
        Label(at("main", "x + main"), "[32, 12, 12]"),
    ),
    notes=(
        (
            "how `main` got [32, 12, 12]\n"
            "  4  x                      [32, 14, 14]\n"
            "  5  conv(32, kernel=3)     [32, 12, 12]    (14 - 3 + 2*0) / 1 + 1 = 12"
        ),
    ),
    help="with `pad=1` on line 5 both are [32, 14, 14]",
    fixes=(
        Fix(
            "pad by 1",
            (Edit(Span(SOURCE, at(")", "kernel").start, at(")", "kernel").start), ", pad=1"),),
        ),
    ),
)
WARNING = Diagnostic("unused", "warning", "`n` is not used", at("n"))


# Sources and spans


@given(st.text(alphabet="ab\n\r\té漢", max_size=60), st.data())
def test_a_position_counts_lines_and_characters_from_one(text, data):
    source = Source("x.dl", text)
    offset = data.draw(st.integers(0, len(text)))
    line, column = source.position(offset)
    assert line == text[:offset].count("\n") + 1
    assert column == offset - (text.rfind("\n", 0, offset) + 1) + 1
    assert source.line(line) == text.split("\n")[line - 1]


def test_a_span_knows_its_ends_and_its_text():
    span = at("let main").to(at("kernel=3"))
    assert (span.line, span.column, span.end_line, span.end_column) == (4, 3, 5, 25)
    assert span.text == "let main = x\n    -> conv(32, kernel=3"
    assert SOURCE.line(0) == SOURCE.line(99) == ""


def test_a_file_is_read_without_byte_order_mark_and_with_plain_line_ends(tmp_path):
    file = tmp_path / "a.dl"
    file.write_bytes(b"\xef\xbb\xbfdim n = 3\r\ndim m\r# \xc3\xa9\n")
    source = read_source(file)
    assert source.text == "dim n = 3\ndim m\n# é\n" and source.name == str(file)


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (None, "there is no such file"),
        ("folder", "it is a folder"),
        (b"dim n\n\xff\n", "line 2 is not UTF-8 text (byte 0xff)"),
        (b" " * (LARGEST + 1), "it is larger than 4 MB"),
    ],
)
def test_a_file_that_cannot_be_read_says_why(tmp_path, content, reason):
    file = tmp_path / "a.dl"
    if content == "folder":
        file.mkdir()
    elif content is not None:
        file.write_bytes(content)
    with pytest.raises(SpecError) as caught:
        read_source(file)
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.name == "cannot-read"
    assert diagnostic.message == f"cannot read `{file}`: {reason}"
    assert f" --> {file}\n" in render([diagnostic])


# Diagnostics


def test_a_record_has_the_keys_of_the_contract():
    record = SHAPES.to_record()
    assert list(record) == [
        "name", "severity", "message", "file", "line", "column", "end_line", "end_column",
        "labels", "notes", "help", "fixes",
    ]  # fmt: skip
    place = {"file": "residual.dl", "line": 8, "column": 13, "end_line": 8, "end_column": 14}
    assert {key: record[key] for key in place} == place
    assert record["labels"][0]["message"] == "[32, 14, 14]" and record["labels"][0]["column"] == 11
    assert record["fixes"][0]["edits"][0]["replacement"] == ", pad=1"
    assert record["fixes"][0]["edits"][0]["line"] == 5
    assert json.loads(json.dumps(record)) == record


def test_a_spec_error_reads_as_the_terminal_shows_it():
    error = SpecError([SHAPES, WARNING])
    assert error.diagnostics == [SHAPES, WARNING]
    assert f"{error}\n" == render([SHAPES, WARNING], "full")
    assert f"{SpecError([WARNING])}\n" == render([WARNING]) and str(SpecError([])) == ""


def test_loading_a_doubtful_program_warns_as_python_does(tmp_path):
    path = tmp_path / "a.dl"
    text = "dim spare = 3\nmodel m {\n  input x: float[3]\n  output x -> dense(3)\n}\n"
    path.write_text(text)
    with pytest.warns(specc.SpecWarning, match="nothing uses the dim `spare`") as caught:
        program = specc.load(path)
    assert [each.name for each in program.warnings] == ["unused"]
    assert str(caught[0].message) == program.warnings[0].page().rstrip()
    assert caught[0].filename == __file__
    path.write_text(f"# allow: unused\n{text}")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert specc.load(path).warnings == ()


def test_a_report_drops_what_it_has_for_the_same_place():
    report = Report()
    report.error("unknown-name", "first", at("main"))
    report.error("unknown-name", "second", at("main"))
    report.error("other-name", "third", at("main"))
    report.warning("unused", "fourth", at("n"))
    assert [d.message for d in report.diagnostics] == ["fourth", "first", "third"]
    assert [d.message for d in report.errors] == ["first", "third"]
    assert [d.message for d in report.warnings] == ["fourth"]
    assert len(report) == 3
    with pytest.raises(SpecError) as caught:
        report.raise_errors()
    assert caught.value.diagnostics == report.diagnostics


def test_a_report_of_warnings_raises_nothing():
    report = Report([WARNING])
    report.raise_errors()
    assert report.errors == []


@pytest.mark.parametrize(
    ("word", "expected"),
    [
        ("desne", "dense"),
        ("Dense", "dense"),
        ("maxPool", "maxpool"),
        ("max_pool", "maxpool"),
        ("fc", "dense"),
        ("FC", "dense"),
        ("nowhere", None),
        ("xyz", None),
        ("d" * 100_000, None),
    ],
)
def test_the_closest_word_is_found(word, expected):
    known = ["dense", "maxpool", "conv", "relu"]
    assert closest(word, known, {"fc": "dense", "nowhere": "not_there"}) == expected


# Rendering


def test_the_full_format_shows_what_and_where_and_why():
    assert (
        render([SHAPES])
        == """\
error[shape-mismatch]: `+` needs equal shapes, but axis 1 is 14 on the left and 12 on the right
 --> residual.dl:8:13
  |
8 |   let y = x + main
  |           - ^ ---- [32, 12, 12]
  |           |
  |           [32, 14, 14]
  = how `main` got [32, 12, 12]
      4  x                      [32, 14, 14]
      5  conv(32, kernel=3)     [32, 12, 12]    (14 - 3 + 2*0) / 1 + 1 = 12
  = help: with `pad=1` on line 5 both are [32, 14, 14]
"""
    )


def test_labels_on_other_lines_and_in_other_files_are_shown():
    other = Source("std/layers.dl", "#\n" * 9 + "block conv(x) { }\n")
    labels = (
        Label(at("x", "let main"), "from here"),
        Label(at("conv(32"), "and here"),
        Label(at("return"), "kept"),
        Label(at("conv", source=other), "defined here"),
    )
    assert (
        render([Diagnostic("some-name", "error", "message", at("+"), labels)])
        == """\
error[some-name]: message
  --> residual.dl:8:13
   |
 4 |   let main = x
   |              - from here
 5 |     -> conv(32, kernel=3)
   |        ------- and here
...
 8 |   let y = x + main
   |             ^
 9 |   return y
   |   ------ kept
  ::: std/layers.dl:10:7
   |
10 | block conv(x) { }
   |       ---- defined here
"""
    )


def test_several_labels_on_a_line_are_connected():
    labels = [Label(at(word, "let y"), f"the {word}") for word in ("let", "y", "x")]
    assert (
        render([Diagnostic("some-name", "error", "message", at("main", "x + "), tuple(labels))])
        == """\
error[some-name]: message
 --> residual.dl:8:15
  |
8 |   let y = x + main
  |   --- -   -   ^^^^
  |   |   |   |
  |   |   |   the x
  |   |   the y
  |   the let
"""
    )


def test_tabs_wide_characters_and_control_characters_keep_the_marks_in_place():
    source = Source("x.dl", '\tuse "漢字" \x07 $\n')
    assert render([Diagnostic("syntax", "error", "m", at("$", source=source))]).splitlines()[
        3:
    ] == [
        '1 |     use "漢字" � $',
        "  |                  ^",
    ]


def test_a_span_of_several_lines_is_marked_on_its_first():
    text = render([Diagnostic("syntax", "error", "m", at("let main").to(at("kernel=3")))])
    assert text.splitlines()[3:] == ["4 |   let main = x", "  |   ^^^^^^^^^^^^"]


def test_of_a_very_long_line_the_part_about_the_mark_is_shown():
    source = Source("x.dl", "dim n = " + "1 + " * 10_000 + "$" + " + 1" * 10_000)
    lines = render([Diagnostic("syntax", "error", "m", at("$", source=source))]).splitlines()
    assert max(map(len, lines)) < 200
    assert lines[3][lines[4].index("^")] == "$"


def test_the_end_of_a_file_is_a_place():
    for text in ("", "dim", "dim n\n"):
        source = Source("x.dl", text)
        assert " --> x.dl" in render([Diagnostic("syntax", "error", "m", source.end)])


def test_without_a_help_the_fix_is_told():
    fix = Fix("write `x`", (Edit(at("n"), "x"),))
    assert "  = help: write `x`\n" in render(
        [Diagnostic("some-name", "error", "m", at("n"), fixes=(fix,))]
    )


def test_colours_change_nothing_but_colours():
    import re

    coloured = render([SHAPES, WARNING], colour=True)
    assert "\x1b[1;31merror[shape-mismatch]" in coloured
    assert re.sub(r"\x1b\[[0-9;]*m", "", coloured) == render([SHAPES, WARNING])
    assert "\x1b" not in render([SHAPES, WARNING])


def test_the_concise_format_has_a_line_for_each():
    assert render([SHAPES, WARNING], "concise") == (
        "residual.dl:8:13: error[shape-mismatch]: `+` needs equal shapes, but axis 1 is 14 on the"
        " left and 12 on the right\n"
        "residual.dl:1:5: warning[unused]: `n` is not used\n"
    )


def test_the_json_format_is_the_list_of_records():
    assert json.loads(render([SHAPES, WARNING], "json")) == [
        SHAPES.to_record(),
        WARNING.to_record(),
    ]
    assert json.loads(render([], "json")) == []


def test_the_sarif_format_has_rules_results_and_places():
    log = json.loads(render([SHAPES, WARNING], "sarif"))
    (run,) = log["runs"]
    assert log["version"] == "2.1.0" and run["tool"]["driver"]["name"] == "specc"
    assert [rule["id"] for rule in run["tool"]["driver"]["rules"]] == ["shape-mismatch", "unused"]
    first, second = run["results"]
    assert (first["ruleId"], first["ruleIndex"], first["level"]) == ("shape-mismatch", 0, "error")
    place = first["locations"][0]["physicalLocation"]
    assert place["artifactLocation"] == {"uri": "residual.dl"}
    assert place["region"] == {"startLine": 8, "startColumn": 13, "endLine": 8, "endColumn": 14}
    assert [r["message"]["text"] for r in first["relatedLocations"]] == [
        "[32, 14, 14]",
        "[32, 12, 12]",
    ]
    replacement = first["fixes"][0]["artifactChanges"][0]["replacements"][0]
    assert replacement["insertedContent"] == {"text": ", pad=1"}
    assert "relatedLocations" not in second and second["level"] == "warning"


def test_the_github_format_escapes_what_ends_a_command():
    source = Source("a,b:c.dl", "dim n\n")
    diagnostic = Diagnostic("syntax", "error", "100 %\nof it", Span(source, 4, 5))
    assert render([diagnostic], "github") == (
        "::error file=a%2Cb%3Ac.dl,line=1,endLine=1,col=5,endColumn=6,title=syntax::100 %25%0Aof"
        " it\n"
    )


def test_no_diagnostics_render_to_nothing_to_read():
    assert {name: render([], name) for name in ("full", "concise", "github")} == {
        "full": "",
        "concise": "",
        "github": "",
    }
    assert set(FORMATS) == {"full", "concise", "json", "sarif", "github"}


def test_the_summary_counts():
    assert summary([SHAPES, SHAPES, WARNING]) == "2 errors, 1 warning"
    assert summary([SHAPES]) == "1 error"
    assert summary([]) == ""


@given(
    st.text(max_size=120), st.lists(st.tuples(st.integers(0, 120), st.integers(0, 120)), max_size=5)
)
def test_any_places_in_any_text_can_be_rendered(text, places):
    source = Source("x.dl", text)
    spans = [Span(source, *sorted((min(a, len(text)), min(b, len(text))))) for a, b in places]
    labels = tuple(Label(span, f"label {number}") for number, span in enumerate(spans))
    diagnostic = Diagnostic("some-name", "error", "message", source.end, labels)
    for name in FORMATS:
        out = render([diagnostic], name)
        assert "some-name" in out
        assert all(f"label {n}" in out for n in range(len(labels))) or name in ("concise", "github")
