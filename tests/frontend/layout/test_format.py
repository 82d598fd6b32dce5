"""The one layout: what `specc fmt` writes."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from specc.diagnostics import Edit, Report, SpecError
from specc.frontend.fix.fixes import moved
from specc.frontend.layout.format import formatted, says_the_same
from specc.frontend.syntax import ast
from specc.frontend.syntax.lex import lex
from specc.frontend.syntax.parse import parse
from specc.frontend.syntax.reading import read_source
from specc.source import Source, Span

ROOT = Path(__file__).parents[3]
FILES = sorted(
    path
    for folder in ("models", "specc/std", "examples", "tests/good", "tests/bad")
    for path in (ROOT / folder).rglob("*.dl")
)
SOUND = [
    path for path in FILES if not any(d.severity == "error" for d in parse(read_source(path))[1])
]


def fmt(text: str) -> str:
    return formatted(Source("a.dl", text))


def assert_formats(source: Source) -> None:
    """Formatting keeps tokens and comments, docs included, and has nothing left to do
    afterwards."""
    text = formatted(source)
    again = Source(source.name, text)
    assert says_the_same(source, again)
    assert ast.alike(parse(source)[0], parse(again)[0])
    assert formatted(again) == text
    lines = text.split("\n")
    assert not any(line != line.rstrip() for line in lines) and "\n\n\n" not in text
    assert not text or (
        text.endswith("\n") and not text.endswith("\n\n") and not text.startswith("\n")
    )


@pytest.mark.parametrize("path", SOUND, ids=lambda path: str(path.relative_to(ROOT)))
def test_formatting_keeps_tokens_and_comments_and_is_done_once(path):
    assert_formats(read_source(path))


@pytest.mark.parametrize(
    "path",
    [p for p in SOUND if "tests" not in p.parts[-4:]],
    ids=lambda path: str(path.relative_to(ROOT)),
)
def test_what_is_shipped_is_formatted(path):
    source = read_source(path)
    assert formatted(source) == source.text


def test_random_spaces_line_breaks_and_comments_come_to_a_stable_layout():
    chance = random.Random(0)
    sources = [read_source(path) for path in SOUND if "tests" not in path.parts[-4:]]
    for _ in range(150):
        source = chance.choice(sources)
        tokens = lex(source, Report()).tokens[:-1]
        start = chance.randrange(max(1, len(tokens) - 200))
        text, before = "", None
        for token in tokens if chance.random() < 0.3 else tokens[start : start + 200]:
            if before is not None or chance.random() < 0.5:
                gaps = [" "] * 12 + [
                    "\n",
                    "\n\n",
                    "\n\n\n\n",
                    "  # note\n",
                    "\n## doc\n",
                    "\n  # own  \n",
                ]
                text += chance.choice(gaps)
            text += token.text
            before = token
        mutated = Source("a.dl", text)
        if not any(each.severity == "error" for each in parse(mutated)[1]):
            assert_formats(mutated)


def test_random_changes_of_tokens_that_parse_come_to_a_stable_layout():
    chance = random.Random(1)
    tried = 0
    sources = [read_source(path) for path in SOUND if path.stat().st_size < 3000]
    words = [
        "x",
        "3",
        "-",
        "->",
        "(",
        ")",
        "[",
        "]",
        ",",
        ";",
        ":",
        "=",
        "if",
        "then",
        "else",
        "and",
        "*",
        "/",
        "//",
        "1e-3",
        "<=",
        "not",
        "@",
        "relu",
        "dense(3)",
        "f(a=1/2)",
    ]
    for _ in range(300):
        source = chance.choice(sources)
        tokens = lex(source, Report()).tokens[:-1]
        if not tokens:
            continue
        at = chance.randrange(len(tokens))
        token = tokens[at]
        new = chance.choice(
            [*words, token.text * 1, f"({token.text})", f"{token.text} {token.text}"]
        )
        mutated = Source("a.dl", source.text[: token.start] + new + " " + source.text[token.end :])
        if not any(each.severity == "error" for each in parse(mutated)[1]):
            tried += 1
            assert_formats(mutated)
    assert tried > 25


# The layout


def test_statements_and_spaces():
    assert (
        fmt(
            "model m{input x:float[3]target t:class(2)let y=x->dense(2,init=xavier)output y}train{}"
        )
        == """\
model m {
  input  x: float[3]
  target t: class(2)
  let y = x -> dense(2, init=xavier)
  output y
}

train {}
"""
    )


def test_signs():
    assert fmt("const a=-b*-(c-1)**2".replace("**", "^")) == "const a = -b * -(c - 1) ^ 2\n"
    assert fmt("const a = 1 / 255 + 1 / 2.5 + n/2") == "const a = 1/255 + 1 / 2.5 + n / 2\n"
    assert fmt("fn f(x)=x[ 1 : , : : 2 , n : n+1 ]") == "fn f(x) = x[1:, ::2, n:n + 1]\n"
    assert fmt("fn f(x:class(3)[<=n];a:int>0<=9=1,b:p or q=p)=x") == (
        "fn f(x: class(3)[<= n]; a: int > 0 <= 9 = 1, b: p or q = p) = x\n"
    )
    assert fmt("fn f(x)=not x and(a or b)") == "fn f(x) = not x and (a or b)\n"


def test_settings_are_tight_in_formulas_and_spaced_in_train():
    assert (
        fmt("fn f(x) = g(x; a = 1)\ntrain { optimizer sgd(lr=ramp(0,1;over=2)) for a.b,c }")
        == """\
fn f(x) = g(x; a=1)

train {
  optimizer sgd(lr = ramp(0, 1; over = 2)) for a.b, c
}
"""
    )


def test_columns():
    assert (
        fmt("""
dim n=3
const margin=1
seq time
model m {
 input  a: float[n]
 input long: float
 target t: bool
 loss mse(a, a)
 loss longer = 1
 loss b = 2

 loss alone = 3
 metric m = 1
}
train { data digits() validate split = 0.8 optimizer sgd(lr=1)
 epochs = 1 batch=2}
""")
        == """\
dim   n      = 3
const margin = 1
seq   time

model m {
  input  a:    float[n]
  input  long: float
  target t: bool
  loss mse(a, a)
  loss longer = 1
  loss b      = 2

  loss   alone = 3
  metric m = 1
}

train {
  data      digits()
  validate  split = 0.8
  optimizer sgd(lr = 1)
  epochs = 1
  batch  = 2
}
"""
    )


def test_a_pipeline_is_broken_where_the_author_broke_it_and_where_it_does_not_fit():
    assert (
        fmt("model m { let y = x -> conv(6, kernel=5)\n->relu->maxpool(2)  \n -> flatten }")
        == """\
model m {
  let y = x -> conv(6, kernel=5)
    -> relu -> maxpool(2)
    -> flatten
}
"""
    )
    assert (
        fmt("model m { let y = x" + " -> conv(16, kernel=5) -> relu -> maxpool(2)" * 3 + "}")
        == """\
model m {
  let y = x
    -> conv(16, kernel=5) -> relu -> maxpool(2) -> conv(16, kernel=5) -> relu -> maxpool(2)
    -> conv(16, kernel=5) -> relu -> maxpool(2)
}
"""
    )


def test_arrows_stand_below_arrows_where_lines_start_with_the_same_words():
    assert (
        fmt("model m { let y = x\n -> conv(6) -> relu\n -> conv(100) -> relu -> a(1)\n -> b -> c }")
        == """\
model m {
  let y = x
    -> conv(6)   -> relu
    -> conv(100) -> relu -> a(1)
    -> b -> c
}
"""
    )


def test_comments_stay_where_they_are():
    text = """\
# the file

# the size
dim n = 3  # three

## doc of f
fn f(x) = x

model m {  # a model
  # first
  let y = x   # short
  let why = f(  # in a statement
    x,
    # alone
    y)

  # last
}  # end
# after
"""
    assert fmt(text) == text.replace("y = x   #", "y = x  #")


def test_comments_behind_neighbouring_lines_stand_in_a_column():
    assert (
        fmt("model m {\nlet y = x # a\nlet z = relu(y) # b\n}")
        == """\
model m {
  let y = x        # a
  let z = relu(y)  # b
}
"""
    )


def test_long_definitions_and_calls_are_broken_behind_brackets():
    settings = ", ".join(f"setting{n}: int > 0 = {n}" for n in range(5))
    given = ", ".join(f"setting{n}=setting{n}" for n in range(5))
    assert (
        fmt(f"block b(x: float[n]; {settings}) {{ let y = inner(x; {given}) return y }}")
        == """\
block b(
  x: float[n];
  setting0: int > 0 = 0, setting1: int > 0 = 1, setting2: int > 0 = 2, setting3: int > 0 = 3,
  setting4: int > 0 = 4
) {
  let y = inner(
    x; setting0=setting0, setting1=setting1, setting2=setting2, setting3=setting3,
    setting4=setting4)
  return y
}
"""
    )


def test_long_formulas_are_broken_before_their_loosest_operator():
    long = "a_long_name_of_a_value"
    assert (
        fmt(f"fn f(x) = {long} * {long} + {long} * {long} + {long} * x")
        == f"""\
fn f(x) =
  {long} * {long} + {long} * {long}
  + {long} * x
"""
    )
    assert (
        fmt(
            f"fn f(x) {{ let y = if {long} > 0 then {long} else if {long} < 0 then {long} else x }}"
        )
        == f"""\
fn f(x) {{
  let y = if {long} > 0 then {long}
    else if {long} < 0 then {long}
    else x
}}
"""
    )


def test_a_file_with_mistakes_is_refused():
    with pytest.raises(SpecError):
        fmt("dim = 3")


def test_an_empty_file_stays_empty_and_comments_alone_are_kept():
    assert fmt("") == "" and fmt("\n\n  \n") == "" and fmt("\n# a\n\n\n# b") == "# a\n\n# b\n"


def test_an_offset_moves_by_the_edits_before_it_and_at_it():
    source = Source("x.dl", "0123456789")
    insertion = Edit(Span(source, 5, 5), "abc")
    removal = Edit(Span(source, 2, 4), "")
    assert [moved(at, [insertion]) for at in (4, 5, 6)] == [4, 8, 9]
    assert [moved(at, [insertion, removal]) for at in (3, 4, 5, 9)] == [3, 2, 6, 10]
