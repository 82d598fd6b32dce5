"""The JSON form: exact both ways, held by its schema, and refused at the place where it is
wrong."""

from __future__ import annotations

import json
import random
from pathlib import Path

import jsonschema
import pytest

from specc import driver
from specc.cli.main import status_of
from specc.diagnostics import SpecError
from specc.frontend.jsonform.read import read, to_text
from specc.frontend.jsonform.shapes import schema
from specc.frontend.jsonform.write import to_json
from specc.frontend.layout.format import formatted
from specc.frontend.syntax import ast
from specc.frontend.syntax.parse import parse
from specc.frontend.syntax.reading import read_source
from specc.source import Source

ROOT = Path(__file__).parents[3]
FILES = [
    path
    for folder in ("models", "specc/std", "examples", "tests/good", "tests/bad")
    for path in sorted((ROOT / folder).rglob("*.dl"))
    if not parse(read_source(path))[1]
]
VALIDATOR = jsonschema.Draft202012Validator(schema())
VALIDATED = [path for path in FILES if path.parent.name == "models"][::3]  # it takes its time


def record_of(text: str) -> dict:
    file, diagnostics = parse(Source("a.dl", text))
    assert not diagnostics, diagnostics
    return to_json(file)


def assert_round_trip(text: str, is_validated: bool) -> None:
    text = formatted(Source("a.dl", text))
    record = json.loads(json.dumps(record_of(text)))
    if is_validated:
        assert not list(VALIDATOR.iter_errors(record))
    assert to_text(record) == text


def test_the_schema_is_a_schema():
    jsonschema.Draft202012Validator.check_schema(schema())


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_file_comes_back_as_it_was(path):
    assert_round_trip(read_source(path).text, is_validated=path in VALIDATED)


@pytest.mark.parametrize(
    "text",
    [
        "const a = (1 + 2) * (3) ^ -(4 - x) ^ (y ^ z)",
        "const a = -x ^ 2 - (-x) ^ 2 - -(-x)",
        "const a = ((if a then b else if c then d else (if e then f else g)))",
        "const a = not (a and b) or (c or d) and (not e == (f < g))",
        "const a = (a -> f) + (x -> g(1; 2) -> h(; 3) -> k(1;) -> relu())",
        "const a = x[1:2, ::3, :, 4:, (a -> f)][(b)] @ f(x)[0]",
        "const a = 1e-4 + 1.50 + 0.1 + 12345678901234567890 + 1E5",
        "const a = a - (b - c) - d / (e / f) / (g * h) // (i % j)",
        'use "a \\"b\\" \\\\ \\n.dl"',
        (
            "fn f(x, y: float, z: class(n)[<= t + 1]; a, b: int > 0 <= n - 1 = 2, c: p or q = p, d:"
            " word) { return x, y }"
        ),
        "fn f() = 3",
        "model m { layer a = 3 * (dense(3) -> (2 + n) * (relu)) -> x.y(3) let a, b = f(x;) }",
        (
            "train { optimizer adam optimizer sgd() for a, b.c freeze a, b.c test f() validate"
            " split = 1/2 }"
        ),
        "model m {}\ntrain { # a\n # b\n\n # c\n} # d\n\n\n# e",
        (
            "model m { let y = x # x\n -> f # f\n # to g\n # and on\n -> g(1) # g\n layer l = f #"
            " f\n -> 2 * (g) # g\n}"
        ),
        "# a\n\n# b\ndim n # c\n\ndim m # d\n## doc\nfn f(x) = f( # inner\n x)\n",
    ],
)
def test_every_construct_comes_back_as_it_was(text):
    text = formatted(Source("a.dl", text))
    record = record_of(text)
    assert not list(VALIDATOR.iter_errors(record))
    back = to_text(record)
    if "inner" in text:  # a comment within a statement goes above it
        assert ast.alike(parse(Source("a", back))[0], parse(Source("b", text))[0])
        assert "# inner" in back
    else:
        assert back == text


def test_numbers_names_and_truth_values_are_json_of_their_own():
    assert record_of("const a = 3") == {
        "kind": "File",
        "definitions": [{"kind": "Const", "name": "a", "value": 3}],
    }
    values = [
        d["value"]
        for d in record_of("const a = true const b = x.y const c = 0.5 const d = 1e-4")[
            "definitions"
        ]
    ]
    assert values == [True, "x.y", 0.5, {"kind": "Number", "value": 0.0001, "text": "1e-4"}]


def test_what_programs_may_write_is_more_than_what_is_written():
    assert (
        to_text({"definitions": [{"kind": "Const", "name": "a", "value": -3}]}) == "const a = -3\n"
    )
    binary = {"kind": "Binary", "operator": "^", "left": -3, "right": 1e-05}
    assert (
        to_text(
            {"definitions": [{"kind": "Const", "name": "a", "doc": "Two\nlines", "value": binary}]}
        )
        == "## Two\n## lines\nconst a = (-3) ^ 1e-05\n"
    )


WRONG = [
    ("[]", "/: expected an object of the kind File, found []"),
    ("{", "this is not JSON: "),
    ("NaN", "this is not JSON: `NaN` is not a number"),
    ('{"kind": "Flie"}', "/: expected an object of the kind File, and the kind is `Flie`"),
    ('{"definitions": {}}', "/definitions: expected a list, found {}"),
    ('{"definitions": [3]}', "/definitions/0: expected an object with a `kind`, found 3"),
    ('{"definitions": [{"kind": "Dim"}]}', "/definitions/0: `Dim` needs the field `name`"),
    (
        '{"definitions": [{"kind": "Dim", "name": "2 x"}]}',
        '/definitions/0/name: expected a name, found "2 x"',
    ),
    (
        '{"definitions": [{"kind": "Dim", "name": "a", "size": 2}]}',
        "/definitions/0/size: `Dim` has no field `size`",
    ),
    (
        '{"definitions": [{"kind": "Const", "name": "a", "value": "b c"}]}',
        "/definitions/0/value: expected the name of a value",
    ),
    (
        (
            '{"definitions": [{"kind": "Const", "name": "a", "value": {"kind": "Unary", "operator":'
            ' "+", "operand": 1}}]}'
        ),
        '/definitions/0/value/operator: expected one of - not, found "+"',
    ),
    (
        (
            '{"definitions": [{"kind": "Const", "name": "a", "value": {"kind": "Number", "text":'
            ' "1", "value": 2}}]}'
        ),
        "/definitions/0/value: the text 1 and the value 2 are two numbers",
    ),
    (
        '{"definitions": [{"kind": "Dim", "name": "a", "comments": ["# a\\ndim b"]}]}',
        "/definitions/0/comments/0: expected a line that starts with `#`",
    ),
    (
        '{"definitions": [{"kind": "Fn", "name": "f", "signature": {}}]}',
        "/definitions/0: `Fn` needs either a `value` or a `body`",
    ),
    (
        '{"definitions": [{"kind": "Train", "body": [{"kind": "Freeze", "paths": []}]}]}',
        "/definitions/0/body/0/paths: expected at least one",
    ),
]


@pytest.mark.parametrize(("text", "message"), WRONG)
def test_what_is_wrong_is_told_with_its_place(text, message):
    with pytest.raises(SpecError) as caught:
        read(text, "m.json")
    (diagnostic,) = caught.value.diagnostics
    assert diagnostic.name == "bad-json" and diagnostic.message.startswith(message)


def test_very_deep_json_is_refused():
    deep = '{"definitions": [{"kind": "Const", "name": "a", "value": %s1%s}]}'
    for times in (500, 100_000):
        inner = deep % ('{"kind": "Unary", "operator": "-", "operand": ' * times, "}" * times)
        with pytest.raises(SpecError):
            read(inner, "m.json")


def test_random_damage_is_refused_or_read_as_the_schema_says():
    chance = random.Random(0)
    texts = [
        json.dumps(record_of(read_source(path).text))
        for path in FILES
        if path.parent.name == "models"
    ]
    values = [None, 1, -1, True, "x", "x y", [], {}, {"kind": "Path"}, 1e400]
    for _ in range(12):
        record = json.loads(chance.choice(texts))
        holder, key = _somewhere(record, chance)
        if chance.random() < 0.3:
            del holder[key]
        else:
            holder[key] = chance.choice(values)
        is_sound = not any(VALIDATOR.iter_errors(record))
        try:
            text = to_text(record)
        except SpecError as error:
            names = {each.name for each in error.diagnostics}
            assert names <= {"bad-json", "syntax", "too-deep"}
            assert not is_sound or names != {"bad-json"} or "two numbers" in str(error)
        else:
            assert parse(Source("m.dl", text))[1] == []


def _somewhere(record, chance):
    places = []
    waiting = [record]
    while waiting:
        node = waiting.pop()
        for key in node if isinstance(node, dict) else range(len(node)):
            places.append((node, key))
            if isinstance(node[key], (dict, list)):
                waiting.append(node[key])
    return chance.choice(places)


# The commands


def test_convert_goes_both_ways(tmp_path, capsys):
    model = ROOT / "models" / "lenet.dl"
    path = tmp_path / "lenet.json"
    assert status_of(["convert", str(model), "-o", str(path)]) == 0
    assert status_of(["convert", str(path)]) == 0
    assert capsys.readouterr().out == model.read_text()
    assert status_of(["check", "--no-data", str(path)]) == 0
    assert status_of(["show", str(path)]) == 0
    assert status_of(["fmt", str(path)]) == 2


def test_the_schema_is_printed(capsys):
    assert status_of(["schema"]) == 0
    assert json.loads(capsys.readouterr().out) == schema()


def test_mistakes_of_a_json_form_are_told_in_its_text(tmp_path):
    path = tmp_path / "m.json"
    path.write_text(json.dumps(record_of("model m { input x: float[3] output x -> dens(3) }")))
    program, (found,) = driver.check(path)
    assert program is None and found.name == "unknown-name"
    assert found.span.source.name == f"{path} (as .dl)"
    assert found.span.text == "dens" and found.span.line == 3


def test_the_json_form_trains(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert status_of(["convert", str(ROOT / "models" / "linear.dl"), "-o", "linear.json"]) == 0
    assert status_of(["train", "linear.json", "epochs=1", "--quiet"]) == 0
    (run,) = (tmp_path / "runs" / "linear").iterdir()
    assert (run / "model.dl").read_text() == (ROOT / "models" / "linear.dl").read_text()
