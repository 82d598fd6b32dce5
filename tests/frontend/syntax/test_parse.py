"""From text to tree: what is read, what is reported, and what is left of a broken file."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specc.frontend.syntax import ast
from specc.frontend.syntax.build import DEEPEST
from specc.frontend.syntax.lex import MOST
from specc.frontend.syntax.parse import parse
from specc.source import Source

LENET = """# lenet.dl
dim classes = 10

model lenet {
  input  image: float[1, 28, 28]
  target label: class(classes)

  let features = image
    -> conv(6, kernel=5, pad=2) -> relu -> maxpool(2)
    -> conv(16, kernel=5)       -> relu -> maxpool(2)
    -> flatten
  let scores = features -> dense(120) -> relu -> dense(84) -> relu -> dense(classes)

  output scores
  loss   cross_entropy(scores, label)
  loss   penalty = 1e-4 * l2(weights)
  metric accuracy(scores, label)
}

train {
  data      idx("train-images-idx3-ubyte.gz", "train-labels-idx1-ubyte.gz"; scale = 1/255)
  validate  idx("t10k-images-idx3-ubyte.gz", "t10k-labels-idx1-ubyte.gz"; scale = 1/255)
  optimizer momentum(lr = 0.05 * 0.5 ^ floor(epoch / 5), mu = ramp(0.5, 0.99; over = 5))
  epochs = 10
  batch  = 64
  seed   = 0
}
"""

WORDS = """
fn    leaky_relu(x; slope = 0.01) = max(slope * x, x)

fn    hinge(scores: float[n], label: class(n); margin = 1.0) =
        sum(max(0, scores - scores[label] + margin)) - margin

block prelu(x) {
  param alpha: float[] = 0.25
  return max(alpha * x, x)
}

block residual(x: float[c, h, w]; kernel: int > 0 = 3) {
  let y = x -> conv(c, kernel=kernel, pad=(kernel - 1) // 2) -> batchnorm -> relu
            -> conv(c, kernel=kernel, pad=(kernel - 1) // 2) -> batchnorm
  return relu(x + y)
}

cell lstm(x: float[n]; units: int > 0) {
  state h: float[units] = 0
  state c: float[units] = 0
  let z = concat(x, h) -> dense(4 * units)
  let i, f, o, g = split(z; 4)
  let c2 = sigmoid(f) * c + sigmoid(i) * tanh(g)
  let h2 = sigmoid(o) * tanh(c2)
  next c = c2
  next h = h2
  return h2
}

optimizer momentum(w, g; lr, mu = 0.9) {
  state v = 0
  let u = mu * v - lr * g
  next v = u
  next w = w + u
}
"""

SHARED = """
use "blocks.dl"
dim vocab
seq time = 50
const margin = 1.0

## two texts that mean the same
model siamese {
  stream text: class(vocab)[time]
  input  a: float[<= time, 3]   # of varying length
  input  b: bool
  param W: float[vocab, 784] = xavier
  layer tower = embed(64) -> 2 * (dense(64) -> relu)
  let x = tower(a)
  let hs, h, c = x -> lstm(256)
  let y = x -> lstm(h=h, c=c; 256) -> dense(vocab)
  let z = if x > 0 and not b then W @ x else -x[1:3, :, ::2]
  loss contrastive(a, b, same; margin=margin) + l2(a.weight - b.weight)
  output scores = z
  metric error = mean(z != y)
}

train {
  data text("shakespeare.txt")
  validate split = 0.9
  test digits()
  freeze tower, tower.dense1
  optimizer adam(lr=1e-4) for tower, head.bias
  optimizer sgd
}
"""

EXAMPLES = {"lenet": LENET, "words": WORDS, "shared": SHARED}


def read(text: str) -> ast.File:
    """The tree of a text without mistakes."""
    file, diagnostics = parse(Source("x.dl", text))
    assert [str(d) for d in diagnostics] == []
    return file


def expression(text: str) -> ast.Expression:
    (const,) = read(f"const x = {text}").definitions
    return const.value


def statement(text: str, within: str = "model m") -> ast.Statement:
    (definition,) = read(f"{within} {{ {text} }}").definitions
    (found,) = definition.body
    return found


def shown(node: ast.Node) -> str:
    """An expression with all its parentheses."""
    match node:
        case ast.Binary():
            return f"({shown(node.left)} {node.operator} {shown(node.right)})"
        case ast.Unary():
            return f"({node.operator} {shown(node.operand)})"
        case ast.Conditional():
            parts = shown(node.condition), shown(node.value), shown(node.otherwise)
            return "(if {} then {} else {})".format(*parts)
        case ast.Index():
            return f"{shown(node.value)}[{', '.join(map(shown, node.items))}]"
        case ast.Slice():
            return ":".join(
                "" if p is None else shown(p) for p in (node.start, node.stop, node.step)
            )
        case ast.Pipeline():
            return f"({' -> '.join(map(shown, (node.value, *node.stages)))})"
        case ast.Repeat():
            return f"{shown(node.count)} * ({' -> '.join(map(shown, node.stages))})"
        case ast.Call():
            sides = [", ".join(map(shown, side)) for side in (node.inputs, node.settings)]
            return f"{node.word}({'; '.join(sides)})"
        case ast.Argument():
            return (f"{node.name}=" if node.name else "") + shown(node.value)
        case _:
            return node.span.text


def mistakes(text: str) -> list[str]:
    """Each mistake as `line:column message`."""
    _, diagnostics = parse(Source("x.dl", text))
    assert {d.name for d in diagnostics} <= {"syntax", "too-deep"}
    return [f"{d.span.line}:{d.span.column} {d.message}" for d in diagnostics]


# What is read


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_the_examples_of_the_language_parse(text):
    file = read(text)
    assert not any(isinstance(node, ast.Broken) for node in ast.walk(file))


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_line_breaks_and_indentation_mean_nothing(text):
    lines = [line.split("#")[0].strip() for line in text.splitlines()]
    one_line = " ".join(line for line in lines if line)
    spread = "\r\n\t".join(one_line.split(" "))
    docs = {id(node): node for node in ast.walk(read(text)) if getattr(node, "doc", None)}
    if not docs:
        assert ast.alike(read(text), read(one_line))
    assert ast.alike(read(one_line), read(spread))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("a + b * c", "(a + (b * c))"),
        ("a - b - c", "((a - b) - c)"),
        ("a / b // c % d @ e", "((((a / b) // c) % d) @ e)"),
        ("-x^2", "(- (x ^ 2))"),
        ("2 ^ 3 ^ 4", "(2 ^ (3 ^ 4))"),
        ("2 ^ -x ^ 2", "(2 ^ (- (x ^ 2)))"),
        ("-a * b", "((- a) * b)"),
        ("a * -b", "(a * (- b))"),
        ("--a", "(- (- a))"),
        ("(a + b) * c", "((a + b) * c)"),
        ("a + 1 < b * 2", "((a + 1) < (b * 2))"),
        ("not a == b and c or d", "(((not (a == b)) and c) or d)"),
        ("not not a", "(not (not a))"),
        ("if a then b else c + 1", "(if a then b else (c + 1))"),
        ("if a then b else if c then d else e", "(if a then b else (if c then d else e))"),
        ("if a then b else c -> relu", "((if a then b else c) -> relu(; ))"),
        ("a + b -> f -> g", "((a + b) -> f(; ) -> g(; ))"),
        ("f(x -> relu, y)", "f((x -> relu(; )), y; )"),
        ("x -> lstm(h=h0, c=c0; 256)", "(x -> lstm(h=h0, c=c0; 256))"),
        ("x -> conv(6, kernel=5)", "(x -> conv(; 6, kernel=5))"),
        ("conv(x; 6, kernel=5)", "conv(x; 6, kernel=5)"),
        ("f(a, b)", "f(a, b; )"),
        ("f()", "f(; )"),
        ("f(;)", "f(; )"),
        ("x -> a.b(1)", "(x -> a.b(; 1))"),
        ("x -> 3 * (f -> g(2))", "(x -> 3 * (f(; ) -> g(; 2)))"),
        ("x -> n * (2 * (f))", "(x -> n * (2 * (f(; ))))"),
        ("x -> (n + 1) * (f)", "(x -> (n + 1) * (f(; )))"),
        ("x[i]", "x[i]"),
        ("x[1:3, :, ::2, a:, :b, 1:2:3]", "x[1:3:, ::, ::2, a::, :b:, 1:2:3]"),
        ("f(x)[0][1] ^ 2", "(f(x; )[0][1] ^ 2)"),
        ("tower.dense1.weight * 2", "(tower.dense1.weight * 2)"),
        ("1e-4 * 2.5E+3", "(1e-4 * 2.5E+3)"),
        ("step + epoch * exact", "(step + (epoch * exact))"),
    ],
)
def test_expressions_bind_as_in_formulas(text, expected):
    assert shown(expression(text)) == expected


def test_numbers_texts_and_truth_values_have_their_values():
    def values(text):
        return [argument.value.value for argument in expression(text).inputs]

    assert values("f(3, 0.5, 1e3, 007)") == [3, 0.5, 1000.0, 7]
    assert [type(value) for value in values("f(3, 1e3)")] == [int, float]
    assert values(r'f("a b", "\"\\\n\t", "")') == ["a b", '"\\\n\t', ""]
    assert values("f(true, false)") == [True, False]


def test_a_call_knows_whether_it_has_a_semicolon():
    assert expression("f(x;)").has_semicolon
    assert not expression("f(x)").has_semicolon
    stage = expression("x -> f(y;)").stages[0]
    assert stage.has_semicolon and len(stage.inputs) == 1 and stage.settings == ()


def test_types_have_axes_classes_or_neither():
    def type_of(text):
        return statement(f"input x: {text}").type

    assert type_of("float").axes is None
    assert type_of("float[]").axes == ()
    assert [axis.at_most for axis in type_of("float[<= time, 3]").axes] == [True, False]
    sequence = type_of("class(vocab + 1)[time]")
    assert shown(sequence.classes) == "(vocab + 1)" and len(sequence.axes) == 1
    assert type_of("bool").classes is None


def test_settings_of_a_signature_have_kinds_bounds_choices_and_defaults():
    text = (
        "fn f(x, y: float[n]; units: int > 0 = 3, rate: float >= 0 < 1 = 0.5, flag: bool, "
        "act: word = relu, n: size, round: exact or floor or ceil = exact, slope = 0.01, lr) = x"
    )
    (fn,) = read(text).definitions
    x, y = fn.signature.inputs
    assert x.type is None and y.type.kind.text == "float"
    described = {
        setting.name.text: (
            setting.kind and setting.kind.text,
            [f"{bound.operator} {bound.value.text}" for bound in setting.bounds],
            [choice.text for choice in setting.choices],
            setting.default and shown(setting.default),
        )
        for setting in fn.signature.settings
    }
    assert described == {
        "units": ("int", ["> 0"], [], "3"),
        "rate": ("float", [">= 0", "< 1"], [], "0.5"),
        "flag": ("bool", [], [], None),
        "act": ("word", [], [], "relu"),
        "n": ("size", [], [], None),
        "round": (None, [], ["exact", "floor", "ceil"], "exact"),
        "slope": (None, [], [], "0.01"),
        "lr": (None, [], [], None),
    }


def test_a_fn_has_a_value_or_a_body():
    formula, body = read("fn f(x) = x fn g() { let a = 1 return a }").definitions
    assert formula.body is None and formula.value.text == "x"
    assert body.value is None and [type(s) for s in body.body] == [ast.Let, ast.Return]


@pytest.mark.parametrize(
    ("text", "within", "expected"),
    [
        ("let a, b = f(x)", "model m", {"names": ["a", "b"]}),
        ("return a, b", "cell c(x)", {"values": 2}),
        ("output a", "model m", {"name": None}),
        ("output a = b", "model m", {"name": "a"}),
        ("loss penalty = l2(w)", "model m", {"name": "penalty"}),
        ("metric accuracy(a, b)", "model m", {"name": None}),
        ("state v = 0", "block b(x)", {"name": "v", "type": None}),
        ("next v = v + 1", "block b(x)", {"name": "v"}),
        ("layer tower = dense(3) -> relu", "model m", {"name": "tower", "stages": 2}),
        ("validate split = 0.9", "train", {"source": None}),
        ('validate csv("a.csv")', "train", {"split": None}),
        ("freeze a, b.c", "train", {"paths": 2}),
        ("optimizer adam for a, b.c", "train", {"paths": 2}),
        ("optimizer adam(lr = 1)", "train", {"paths": 0}),
        ("epochs = 10", "train", {"name": "epochs"}),
    ],
)
def test_statements_have_their_parts(text, within, expected):
    node = statement(text, within)
    for field, value in expected.items():
        found = getattr(node, field)
        if isinstance(value, list):
            found = [name.text for name in found]
        elif isinstance(value, int):
            found = len(found)
        elif isinstance(value, str):
            found = found.text
        assert found == value


def test_the_optimizer_of_a_training_has_settings_alone():
    optimizer = statement("optimizer adam(lr = 1)", "train").optimizer
    assert optimizer.inputs == () and len(optimizer.settings) == 1


def test_a_doc_comment_belongs_to_the_declaration_beneath_it():
    file = read(
        "## no\n# a\n## first\n##   second\n\ndim n = 3 ## not a doc\n# plain\ndim m\nmodel a {\n "
        " ## the data\n  input x: float\n  output x\n  ## of nothing\n}\n## of nothing, too\n"
    )
    n, m, model = file.definitions
    assert n.doc == "no\nfirst\n  second"
    assert m.doc is None
    assert [node.doc for node in model.body] == ["the data", None]


def test_every_comment_is_kept_in_order():
    file = read(SHARED + "# last")
    assert [comment.text for comment in file.comments] == [
        "## two texts that mean the same",
        "# of varying length",
        "# last",
    ]
    assert all(comment.span.text == comment.text for comment in file.comments)
    assert [comment.is_doc for comment in file.comments] == [True, False, False]


@pytest.mark.parametrize("text", EXAMPLES.values(), ids=EXAMPLES)
def test_a_node_spans_its_parts_in_order(text):
    for node in ast.walk(read(text)):
        last = node.span.start
        parts = sorted(ast.children(node), key=lambda part: part.span.start)
        for part in parts:
            assert last <= part.span.start and part.span.end <= node.span.end
            last = part.span.end
        if isinstance(node, ast.Name | ast.Operator | ast.Number | ast.Path):
            assert node.span.text == node.text


def test_a_span_is_the_text_of_its_rule():
    (let,) = read("model m { let y = (a + b) * f(x) -> g }").definitions[0].body
    assert let.span.text == "let y = (a + b) * f(x) -> g"
    product = let.value.value
    assert product.span.text == "(a + b) * f(x)" and product.operator.span.text == "*"
    assert product.left.span.text == "a + b"
    assert let.value.stages[0].span.text == "g"


def test_alike_leaves_places_out_and_nothing_else():
    assert ast.alike(read("dim n = 3"), read("dim  n=3 # three"))
    for other in ("dim n = 4", "dim m = 3", "seq n = 3", "dim n", "dim n = 3 dim m", "dim n = 3.0"):
        assert not ast.alike(read("dim n = 3"), read(other))


def test_walk_visits_a_tree_of_any_depth():
    node = ast.Name("x", Source("x.dl", "").end)
    for _ in range(10_000):
        node = ast.Path((node,), node.span)
    assert sum(1 for _ in ast.walk(node)) == 10_001


# What is reported


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # A sign for another.
        ("dim n == 3", ["1:7 `==` compares two values; `=` defines a name"]),
        (
            "fn f(x) = if x = 3 then 1 else 2",
            ["1:16 `=` defines a name; `==` compares two values"],
        ),
        ("fn f(x) = x ** 2", ["1:13 `**` is written `^` here"]),
        (
            "fn f(x) = a && !b || c",
            [
                "1:13 `&&` is written `and` here",
                "1:16 `!` is written `not` here",
                "1:19 `||` is written `or` here",
            ],
        ),
        ("use 'a.dl'", ['1:5 use double quotes for a string: `"`']),
        ("use a", ["1:5 expected a string in double quotes after `use`, found `a`"]),
        # Brackets.
        ("model m {\n let y = f(x, 3\n output y\n}", ["2:16 a `)` is missing after `3`"]),
        ("model m {\n let y = (x + z[3\n output y\n}", ["2:18 a `]` is missing after `3`"]),
        ("model m {\n output y\n\ntrain { }", ["4:1 a `}` is missing before `train`"]),
        (
            "model m {\n output y\n\noptimizer o(w, g) {\n next w = g\n}",
            ["4:1 a `}` is missing before `optimizer`"],
        ),
        ("model m {\n output y\n", ["1:9 the `{` of this `model` is never closed"]),
        ("model m { output y }\n}", ["2:1 this `}` closes nothing"]),
        ("fn f(x) = x)", ["1:12 this `)` closes nothing"]),
        ("fn f(x) = f(x]", ["1:14 expected `)`, found `]`"]),
        (
            "model m:\n output x\ntrain:\n epochs = 3\n",
            [
                "1:8 a body goes in braces `{ }`, not after a `:`",
                "3:6 a body goes in braces `{ }`, not after a `:`",
            ],
        ),
        # Names.
        ("model m { let loss = 3 }", ["1:15 `loss` is a reserved word and cannot be a name"]),
        ("fn f(input) = input * 2", ["1:6 `input` is a reserved word and cannot be a name"]),
        ("dim for = 3", ["1:5 `for` is a reserved word and cannot be a name"]),
        (
            "dim λ = 3",
            ["1:5 `λ` is not a name: names have the letters a to z and A to Z, digits and `_`"],
        ),
        ("dim n = 3x", ["1:9 `3x` is neither a number nor a name"]),
        ("dim n = .5", ["1:9 a number starts with a digit"]),
        ("dim n = 3.", ["1:9 `3.` is neither a number nor a name"]),
        ("dim n = 1e999", ["1:9 this number is too large"]),
        ("dim n = " + "9" * 5000, ["1:9 this number is too large"]),
        # Words.
        ("modle m { output x }", ["1:1 no definition starts with `modle`"]),
        ("fn f(x) = x\nmodle m { output x }", ["2:1 no definition starts with `modle`"]),
        ("model m {\n lett y = 3\n}", ["2:2 no statement starts with `lett`"]),
        ("model m {\n let y = x\n outptu y\n}", ["3:2 no statement starts with `outptu`"]),
        ("x = 3", ["1:1 no definition starts with `x`"]),
        ("3 + 4", ["1:1 a file consists of definitions, but `3` does not start one"]),
        # Places.
        ("return 3", ["1:1 `return` is not inside a definition"]),
        ("let x = 3\nlet y = 4\nmodel m { }", ["1:1 `let` is not inside a definition"]),
        ("model m { return x }", ["1:11 `return` is not allowed in a `model`"]),
        ("fn f(x) { param w: float = 0 return x }", ["1:11 `param` is not allowed in a `fn`"]),
        (
            "model m { x = 3 }",
            ["1:11 `x = ...` is a setting of `train`; in a `model`, write `let x = ...`"],
        ),
        (
            "train { validate splt = 0.9 }",
            ["1:18 `validate` takes a source or `split = ...`, not `splt = ...`"],
        ),
        # Formulas.
        ("fn f(x) = a < b < c", ["1:17 comparisons cannot be chained"]),
        (
            "fn f(x) = 1 + if x then 2 else 3",
            ["1:15 `if` inside a formula needs parentheses: `(if ...)`"],
        ),
        ("fn f(x) = if x then 3", ["1:22 the `else` is missing: an `if` always has a value"]),
        ("fn f(x) = x +", ["1:14 expected a value after `+`, but the file ends there"]),
        (
            "model m {\n let y = x +\n output y\n}",
            ["2:13 expected a value after `+`, but the statement ends there"],
        ),
        ("model m { let y = * 4 }", ["1:19 expected a value after `=`, found `*`"]),
        (
            "model m { let y = relu x output y }",
            ["1:24 an operator is missing between `relu` and `x`"],
        ),
        (
            "model m { let y = x -> dense 10 }",
            ["1:24 arguments go in parentheses: `dense(10)`"],
        ),
        (
            "model m { let y = x -> (relu) }",
            ["1:31 expected `*` after `)`, but the statement ends there"],
        ),
        ("fn f(x) = conv(x; 6 kernel=5)", ["1:21 a `,` is missing between `6` and `kernel`"]),
        (
            "model m {\n let y = 3;\n output y,\n}",
            ["2:11 a statement ends without a `;`", "3:10 a statement ends without a `,`"],
        ),
        ("model m { output a, b }", ["1:19 `output` takes one value"]),
        ("model m { input z float[3] }", ["1:19 expected `:` and a type after `z`, found `float`"]),
        ("fn f(x; 3) = 2", ["1:9 expected a setting's name or `)` after `;`, found `3`"]),
        ("dim n = 3 4", ["1:11 expected an operator or the next definition after `3`, found `4`"]),
        (
            "model m { let y = x -> dense(units: 10) }",
            ["1:35 `units` is set with `=`, not `:`"],
        ),
        ("model m { loss total: mse(y, t) }", ["1:21 `total` is set with `=`, not `:`"]),
        ("model m { loss = mse(y, t) }", ["1:16 `loss` is followed by its value, without `=`"]),
        (
            "train { optimizer = sgd(lr=1) data = digits() }",
            [
                "1:19 `optimizer` is followed by its value, without `=`",
                "1:36 `data` is followed by its value, without `=`",
            ],
        ),
        (
            "model m { let y = x -> conv(3, kernel=(3, 3)) }",
            ["1:41 expected an operator or `)` after `3`, found `,`"],
        ),
        (
            "model m { let y = x -> conv(3, kernel=[3, 3]) }",
            ["1:39 expected the value of the setting after `=`, found `[`"],
        ),
        # Texts and signs.
        ('use "a\ndim n = 3', ['1:5 this string is not closed: a `"` is missing in its line']),
        (r'use "a\q"', [r"1:7 `\q` is not allowed in a string"]),
        ("dim n = $3", ["1:9 `$` is not allowed here"]),
        ("dim n = \x003", ["1:9 the character U+0000 is not allowed here"]),
    ],
)
def test_a_usual_slip_is_explained(text, expected):
    assert mistakes(text) == expected


def test_a_parameter_without_a_type_or_value_is_shown_a_whole_one():
    _, (first, second) = parse(Source("x.dl", "model m { param u = 0 param s: float[4] output u }"))
    assert (
        first.help
        == second.help
        == "it has a type and an initial value: `param name: float[3] = he`"
    )


def test_what_was_opened_is_shown_with_what_is_missing():
    _, (bracket, brace) = parse(Source("x.dl", "model m {\n let y = f(x\n\ndim n = 3\n"))
    assert [(label.span.line, label.span.column) for label in bracket.labels] == [(2, 11)]
    assert [(label.span.line, label.span.column) for label in brace.labels] == [(1, 9)]


@pytest.mark.parametrize(
    ("text", "mended"),
    [
        ("dim n == 3", "dim n = 3"),
        ("fn f(x) = x ** 2", "fn f(x) = x^2"),
        ("use 'a.dl'", 'use "a.dl"'),
        ("modle m { }", "model m { }"),
        ("model m { lett x = 3 }", "model m { let x = 3 }"),
        ("model m { x = 3 }", "model m { let x = 3 }"),
        ("fn f(x) = f(x; 6 k=5)", "fn f(x) = f(x; 6, k=5)"),
        ("fn f(x) = .5 * x", "fn f(x) = 0.5 * x"),
        ("fn f(x) = a && b", "fn f(x) = a and b"),
        ("model m { let x = 3; }", "model m { let x = 3 }"),
        ("model m { loss = x }", "model m { loss  x }"),
        ("fn f(x) = f(x; k: 5)", "fn f(x) = f(x; k= 5)"),
    ],
)
def test_a_fix_mends_the_file(text, mended):
    _, (diagnostic,) = parse(Source("x.dl", text))
    (fix,) = diagnostic.fixes
    for edit in sorted(fix.edits, key=lambda edit: -edit.span.start):
        text = text[: edit.span.start] + edit.replacement + text[edit.span.end :]
    assert ast.alike(read(text), read(mended))


def test_three_mistakes_give_three_messages():
    text = (
        "model m {\n let a = 3 +\n let b = f(1,,2)\n input z float[3]\n let d = 4\n output d\n}\n"
    )
    assert [message.split()[0] for message in mistakes(text)] == ["2:13", "3:14", "4:10"]


def test_what_is_sound_is_kept_and_what_is_not_leaves_its_names():
    text = (
        "dim n = 3\nmodel m {\n let a, b = 3 +\n let c = 4\n loss d = * 2\n}\nfn f(x; 3) = x\nseq t"
        " = 9\n"
    )
    file, diagnostics = parse(Source("x.dl", text))
    assert len(diagnostics) == 3
    dim, model, fn, seq = file.definitions
    assert isinstance(dim, ast.Dim) and isinstance(seq, ast.Seq)
    first, let, loss = model.body
    assert isinstance(let, ast.Let)
    broken = [(b.keyword, [name.text for name in b.names]) for b in (first, loss, fn)]
    assert broken == [("let", ["a", "b"]), ("loss", ["d"]), ("fn", ["f"])]
    assert fn.span.text == "fn f(x; 3) = x"


def test_mistakes_in_the_body_of_a_broken_definition_are_reported_too():
    assert len(mistakes("block f(x; 3) {\n let a = +\n let b = 2\n return b)\n}\n")) == 3


def test_a_mended_slip_leaves_a_whole_tree():
    file, diagnostics = parse(Source("x.dl", "modle m {\n lett y = f(x ** 2\n output y\n"))
    assert len(diagnostics) == 4
    (model,) = file.definitions
    assert [type(node) for node in model.body] == [ast.Let, ast.Output]


def test_a_file_full_of_mistakes_has_a_bounded_report():
    found = mistakes("model m {\n" + " let x = +\n" * 300 + "}\n")
    assert len(found) == MOST + 1
    assert found[-1].endswith(f"more than {MOST} errors; the first {MOST} are shown")


# Hostile texts

SIZE = 10_000
HOSTILE = {
    "open": "(" * SIZE,
    "open in a formula": "const x = " + "(" * SIZE,
    "balanced": "const x = " + "(" * SIZE + "1" + ")" * SIZE,
    "calls": "const x = " + "f(" * SIZE,
    "indices": "const x = x" + "[0]" * SIZE,
    "open indices": "const x = x" + "[x" * SIZE,
    "closed": ")" * SIZE,
    "braces": "{" * SIZE,
    "closing braces": "}" * SIZE,
    "models": "model m {" * (SIZE // 9),
    "minus": "const x = " + "-" * SIZE + "1",
    "not": "const x = " + "not " * SIZE + "a",
    "plus": "const x = " + "x + " * SIZE + "x",
    "powers": "const x = " + "x ^ " * SIZE + "x",
    "conditions": "const x = " + "if x then x else " * SIZE + "x",
    "open conditions": "const x = " + "if x then " * SIZE,
    "repetitions": "const x = x -> " + "2 * (" * SIZE,
    "let": "let " * SIZE,
    "words": "model m { " + "let " * SIZE + "}",
    "quotes": '"' * SIZE,
    "quotes in lines": '"\n' * SIZE,
    "unknown": "$§" * SIZE,
    "nothing": "\0" * SIZE,
    "returns": "model m { " + "return x " * SIZE + "}",
    "escapes": 'use "' + "\\q" * SIZE + '"',
    "deep again and again": "const x = " + ("(" * 300 + "\nconst x = ") * (SIZE // 300),
}
HOSTILE["very many"] = "const x = " + "(" * 100_000
HARMLESS = {
    "a name": "dim " + "a" * SIZE,
    "dots": "const x = x" + ".x" * SIZE,
    "stages": "const x = x" + " -> f" * SIZE,
    "comments": "##\n" * SIZE,
    "arguments": "const x = f(" + "1, " * SIZE + "1)",
    "lines": "\n" * SIZE,
}


@pytest.mark.parametrize("text", HOSTILE.values(), ids=HOSTILE)
def test_a_hostile_text_gets_a_message(text):
    assert 1 <= len(mistakes(text)) <= MOST + 1


@pytest.mark.parametrize("text", HARMLESS.values(), ids=HARMLESS)
def test_a_long_text_is_read(text):
    assert mistakes(text) == []


def test_deep_nesting_has_a_name_of_its_own_and_hides_nothing():
    text = (
        "const x = "
        + "(" * 10_000
        + "1"
        + ")" * 10_000
        + "\nconst y = 3 +\nconst z = "
        + "x+" * 9999
        + "x"
    )
    file, diagnostics = parse(Source("x.dl", text))
    assert [d.name for d in diagnostics] == ["too-deep", "syntax", "too-deep"]
    assert [d.names[0].text for d in file.definitions] == ["x", "y", "z"]


def test_nesting_up_to_the_limit_is_read():
    assert mistakes("const x = " + "(" * DEEPEST + "1" + ")" * DEEPEST) == []


PIECES = sorted({piece for text in EXAMPLES.values() for piece in text.split()}) + list(
    "()[]{};:,.=\"'#$\\ \n"
)


def holds_for(text: str) -> None:
    """What holds for the parse of any text."""
    source = Source("x.dl", text)
    file, diagnostics = parse(source)
    for diagnostic in diagnostics:
        assert diagnostic.name in ("syntax", "too-deep") and diagnostic.message
        for span in (diagnostic.span, *(label.span for label in diagnostic.labels)):
            assert 0 <= span.start <= span.end <= len(text)
    has_broken = any(isinstance(node, ast.Broken) for node in ast.walk(file))
    assert diagnostics or not has_broken, "what is left out is reported"
    for node in ast.walk(file):
        assert 0 <= node.span.start <= node.span.end <= len(text)


@settings(max_examples=150)
@given(st.data())
def test_a_changed_example_never_breaks_the_parser(data):
    text = data.draw(st.sampled_from(list(EXAMPLES.values())))
    for _ in range(data.draw(st.integers(1, 4))):
        start = data.draw(st.integers(0, len(text)))
        end = data.draw(st.integers(start, min(len(text), start + 30)))
        text = text[:start] + data.draw(st.sampled_from(["", " ", *PIECES])) + text[end:]
    holds_for(text)


@settings(max_examples=150)
@given(st.lists(st.sampled_from(PIECES), max_size=40).map(" ".join))
def test_words_in_any_order_never_break_the_parser(text):
    holds_for(text)


@settings(max_examples=100)
@given(st.text(max_size=80))
def test_any_text_never_breaks_the_parser(text):
    holds_for(text)


@settings(max_examples=60)
@given(st.sampled_from(list(EXAMPLES.values())), st.data())
def test_a_file_cut_off_anywhere_is_reported(text, data):
    text = text[: data.draw(st.integers(0, len(text)))]
    holds_for(text)
    if text.count("{") > text.count("}"):
        assert mistakes(text)
