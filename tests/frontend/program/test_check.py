"""The checker: the content of a program, and all errors in one run."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from specc.diagnostics import Report, SpecError
from specc.frontend.program.check import check
from specc.frontend.syntax import ast
from specc.frontend.syntax.parse import parse
from specc.frontend.syntax.reading import read_source
from specc.ir.graph import topological
from specc.ir.sizes import open_size
from specc.ir.types import Type
from specc.source import Source

ROOT = Path(__file__).parents[3]
MODELS = sorted((ROOT / "models").glob("*.dl"))


def program(text, name="x.dl", **overrides):
    """The program of a text; raises SpecError with what is wrong."""
    file, found = parse(Source(name, text))
    report = Report(found)
    result = check(file, overrides, report)
    report.raise_errors()
    return result


def mistakes(text, **overrides):
    """(name, line, message) of each mistake."""
    with pytest.raises(SpecError) as error:
        program(text, **overrides)
    return [(each.name, each.span.line, each.message) for each in error.value.diagnostics]


def shapes(result):
    return {each.path: each.type.shape for each in result.parameters}


def inputs_of(node, role):
    return sorted(
        e.op.label for e in topological([node]) if e.op.name == "Input" and e.op.role == role
    )


@pytest.mark.parametrize("path", MODELS, ids=lambda path: path.stem)
def test_every_model_is_good(path):
    source = read_source(path)
    assert program(source.text, str(path)) is not None


def test_lenet_is_the_network_of_the_lecture():
    lenet = program((ROOT / "models" / "lenet.dl").read_text())
    assert shapes(lenet) == {
        "conv1.weight": (6, 1, 5, 5),
        "conv1.bias": (6,),
        "conv2.weight": (16, 6, 5, 5),
        "conv2.bias": (16,),
        "dense1.weight": (120, 400),
        "dense1.bias": (120,),
        "dense2.weight": (84, 120),
        "dense2.bias": (84,),
        "dense3.weight": (10, 84),
        "dense3.bias": (10,),
    }
    assert [each.path for each in lenet.parameters if not each.is_weight] == [
        "conv1.bias",
        "conv2.bias",
        "dense1.bias",
        "dense2.bias",
        "dense3.bias",
    ]
    image, label = lenet.ports
    assert (image.role, image.kind, image.shape) == ("input", "float", (1, 28, 28))
    assert (label.role, label.kind, label.classes) == ("target", "class", 10)
    assert [each.name for each in lenet.losses] == ["cross_entropy", "penalty"]
    assert [each.node.type.batched for each in lenet.losses] == [True, False]
    assert [each.name for each in lenet.metrics] == ["accuracy"]
    assert [each.name for each in lenet.outputs] == ["scores"]
    assert [each.path for each in lenet.updates] == list(shapes(lenet))
    assert (lenet.recipe.epochs, lenet.recipe.batch, lenet.recipe.seed) == (10, 64, 0)
    assert lenet.recipe.data.arguments[1] == "train-labels-idx1-ubyte.gz"
    assert lenet.recipe.data.settings == {"scale": 1 / 255}
    assert lenet.recipe.data.argument_spans[0].text == '"train-images-idx3-ubyte.gz"'


def test_the_table_of_layers_has_a_line_for_each_use():
    lenet = program((ROOT / "models" / "lenet.dl").read_text())
    assert [each.path for each in lenet.layers] == [
        "conv1",
        "relu1",
        "maxpool1",
        "conv2",
        "relu2",
        "maxpool2",
        "flatten1",
        "dense1",
        "relu3",
        "dense2",
        "relu4",
        "dense3",
    ]
    first = lenet.layers[0]
    assert first.text == "conv(6, kernel=5, pad=2)"
    assert first.input.shape == (1, 28, 28) and first.output.shape == (6, 28, 28)
    assert first.parameters == ("conv1.weight", "conv1.bias")
    listed = [path for each in lenet.layers for path in each.parameters]
    assert sorted(listed) == sorted(shapes(lenet))


def test_a_check_imports_neither_numpy_nor_numba():
    code = (
        "import sys; from specc.frontend.syntax.parse import parse; from"
        " specc.frontend.program.check import check;"
        "from specc.frontend.syntax.reading import read_source;assert"
        " check(parse(read_source('models/lenet.dl'))[0]);assert not {'numpy', 'numba'} &"
        " set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code], check=True, cwd=ROOT)


def test_nodes_know_the_line_and_word_they_come_from():
    result = program("model m {\n input x: float[4]\n let y = x -> dense(3) -> relu\n output y\n}")
    node = result.outputs[0].node
    assert (node.origin.name, node.origin.word, node.origin.span.text) == ("y", "relu1", "relu")
    dense = result.layers[0].node
    assert (dense.origin.word, dense.origin.span.text) == ("dense1", "dense(3)")
    for each in topological([node]):
        assert each.origin.span is None or each.origin.span.source.name == "x.dl"


def test_blocks_and_layers_give_paths():
    result = program("""
        block residual(x: float[n]) {
          layer inner = dense(n) -> relu
          let y = x -> dense(n) -> dense(n)
          return x + inner(y)
        }
        model m {
          input x: float[4]
          layer tower = dense(4)
          layer two = dense(5) -> relu -> dense(4)
          let y = x -> residual -> tower -> residual -> two
          output y
        }
        """)
    assert list(shapes(result))[::2] == [
        "residual1.dense1.weight",
        "residual1.dense2.weight",
        "residual1.inner.dense1.weight",
        "tower.weight",
        "residual2.dense1.weight",
        "residual2.dense2.weight",
        "residual2.inner.dense1.weight",
        "two.dense1.weight",
        "two.dense2.weight",
    ]


def test_a_repeated_stage_has_weights_of_its_own_each_time():
    result = program(
        "dim k = 2 model m { input x: float[4] output x -> k + 1 * (dense(4)) }".replace(
            "k + 1", "(k + 1)"
        )
    )
    assert list(shapes(result))[::2] == ["dense1.weight", "dense2.weight", "dense3.weight"]


def test_a_layer_shares_its_weights_between_its_uses():
    result = program("""model m { input a: float[4] input b: float[4]
        layer tower = dense(8) -> relu -> dense(2)
        output tower(a) - tower(b)
        loss l2(tower.dense1.weight) }""")
    assert list(shapes(result)) == [
        "tower.dense1.weight",
        "tower.dense1.bias",
        "tower.dense2.weight",
        "tower.dense2.bias",
    ]
    assert inputs_of(result.losses[0].node, "param") == ["tower.dense1.weight"]


def test_weights_are_all_parameters_but_biases_and_factors():
    result = program("""model m { input x: float[3, 4, 4]
        loss penalty = l2(weights)
        param w: float[3] = normal
        let y = x -> conv(2, kernel=3) -> batchnorm -> flatten -> prelu -> dense(3)
        output w * y }""")
    assert inputs_of(result.losses[0].node, "param") == ["conv1.weight", "dense1.weight", "w"]


def test_a_word_can_be_a_setting():
    result = program(
        """block layer2(x: float[n]; units: int > 0, activation: word = relu, init: word = he) {
          return x -> dense(units, init=init) -> activation }
        model m { input x: float[4]
          output x -> layer2(3, activation=tanh) -> layer2(2) -> layer2(2, init=zeros) }"""
    )
    ops = [each.op.name for each in topological([result.outputs[0].node])]
    assert ops.count("Tanh") == 1 and ops.count("Maximum") == 2
    randoms = [
        [e.op.label for e in topological([each.initial]) if e.op.name == "Random"]
        for each in result.parameters[::2]
    ]
    assert randoms == [["layer21.dense1.weight"], ["layer22.dense1.weight"], []]


def test_a_word_of_the_user_hides_that_of_the_library_in_his_file_alone():
    result = program("""fn relu(x) = max(x, 1)
        block softplus(x) { return x -> relu }
        model m { input x: float[4] output softplus(x) output gelu(x) }""")
    (constant,) = [e for e in topological([result.outputs[0].node]) if e.op.name == "Const"]
    assert constant.op.value == 1.0


def test_overrides_change_sizes_constants_and_settings():
    text = """dim classes = 10 dim hidden = 2 * classes const rate = 0.1
    model m { input x: float[4] let y = x -> dense(hidden) -> dense(classes) output y
      loss sum(y) }
    train { optimizer sgd(lr=rate) epochs = 3 }"""
    result = program(text, classes=3, epochs="2 * 4", rate="1/4", seed=7)
    assert shapes(result)["dense1.weight"] == (6, 4) and shapes(result)["dense2.weight"] == (3, 6)
    assert (result.recipe.epochs, result.recipe.seed) == (8, 7)
    constants = [e.op.value for e in topological([result.updates[0].next]) if e.op.name == "Const"]
    assert constants == [0.25]


@pytest.mark.parametrize(
    ("overrides", "name", "message"),
    [
        (
            {"clases": 3},
            "unknown-override",
            "the file has no dimension, constant or setting `clases`",
        ),
        ({"classes": "ten"}, "unknown-name", "`ten` is not defined"),
        (
            {"classes": "2.5"},
            "wrong-kind",
            "the size `classes` must be an integer, not the number 2.5",
        ),
        (
            {"classes": "1 dim x = 3"},
            "unknown-override",
            "the value of `classes` must be one number or formula, not `1 dim x = 3`",
        ),
        ({"lr": -1}, "bad-setting", "`lr` must be >= 0, not -1"),
        ({"mu": 0.9}, "unknown-override", "the file has no dimension, constant or setting `mu`"),
        (
            {"optimizer.mu": 0.9},
            "unknown-override",
            "the optimizer of the file has no setting `mu`",
        ),
        (
            {"model.lr": 0.9},
            "unknown-override",
            "the file has no dimension, constant or setting `lr`",
        ),
        (
            {"net.classes": 3},
            "unknown-override",
            "`net.classes` has an unknown prefix",
        ),
        (
            {"optimizer": 3},
            "unknown-override",
            "the value of `optimizer` must be the name of an optimizer",
        ),
        ({"optimizer": "adman"}, "unknown-name", "unknown optimizer `adman`"),
        ({"data": 3}, "unknown-override", "the value of `data` must be a data source"),
        ({"a b": 3}, "unknown-override", "`a b=3` is not a name with a value"),
        ({"epochs": 0}, "bad-setting", "`epochs` must be > 0, not 0"),
        (
            {"batch_size": 3},
            "unknown-override",
            "the file has no dimension, constant or setting `batch_size`",
        ),
    ],
)
def test_an_override_goes_through_the_checks_of_the_file(overrides, name, message):
    text = """dim classes = 10
    model m { input x: float[4] let y = x -> dense(classes) output y loss sum(y) }
    train { optimizer sgd(lr=0.1) }"""
    with pytest.raises(SpecError) as error:
        program(text, **overrides)
    (found,) = error.value.diagnostics
    assert (found.name, found.message) == (name, message)
    assert found.span.source.name == "command line"


def constants(update):
    return {e.op.value for e in topological([update.next]) if e.op.name == "Const"}


def test_an_override_reaches_all_that_a_file_says_of_its_training():
    text = """dim batch = 3
    model m { input x: float[4] let a = x -> dense(batch) let b = a -> dense(1) output b
      loss sum(b) }
    train { data csv("a.csv") validate split = 0.5 optimizer momentum(0.25, mu = 0.75)
      optimizer sgd(lr=0.5) for dense1 }"""
    plain = program(text, **{"train.batch": 7, "lr": 0.125, "optimizer.mu": "0.5 / 2"})
    assert plain.recipe.batch == 7 and shapes(plain)["dense1.weight"] == (3, 4)
    updates = {each.path: each for each in plain.updates}
    assert {0.125, 0.25} <= constants(updates["dense2.weight"])
    assert constants(updates["dense1.weight"]) == {0.125}
    sized = program(text, **{"model.batch": 5})
    assert sized.recipe.batch == 32 and shapes(sized)["dense1.weight"] == (5, 4)
    first = program(text, batch=6)  # a dimension goes before a setting of its name
    assert first.recipe.batch == 32 and shapes(first)["dense1.weight"] == (6, 4)
    other = program(text, optimizer="adam", lr=0.0625, data='csv("b.csv")', validate=0.75)
    updates = {each.path: each for each in other.updates}
    assert 0.0625 in constants(updates["dense2.weight"])
    assert [each.path for each in updates["dense2.weight"].states] == [
        "dense2.weight.m", "dense2.weight.v",
    ]  # fmt: skip
    assert other.recipe.data.arguments == ("b.csv",) and other.recipe.validate == 0.25
    third = program(text, optimizer="adam(lr = 0.03125)", test='npz("c.npz")')
    assert 0.03125 in constants({each.path: each for each in third.updates}["dense2.weight"])
    assert third.recipe.test.word == "npz"


def test_open_sizes_stay_symbols():
    result = program("""dim n dim m = n + 1
        model open { input x: float[n] output x -> dense(m) -> dense(3)
          output mean(x) }""")
    n = open_size("n")
    assert result.open_sizes == ("n",)
    assert result.ports[0].shape == (n,)
    assert shapes(result)["dense1.weight"] == (n + 1, n)
    bound = program("dim n model open { input x: float[n] output x -> dense(3) }", n=7)
    assert bound.open_sizes == () and shapes(bound)["dense1.weight"] == (3, 7)


def test_optimizers_are_for_what_they_name_and_the_rest():
    result = program("""model m { input x: float[4]
          layer tower = dense(3) -> dense(2)
          let y = x -> tower -> dense(1)
          output y loss sum(y * y) }
        train { freeze dense1.bias
          optimizer sgd(lr=0.1)
          optimizer adam() for tower.dense1, tower.dense2.bias }""")
    states = {each.path: [s.path for s in each.states] for each in result.updates}
    assert result.frozen == ("dense1.bias",)
    assert states == {
        "tower.dense1.weight": ["tower.dense1.weight.m", "tower.dense1.weight.v"],
        "tower.dense1.bias": ["tower.dense1.bias.m", "tower.dense1.bias.v"],
        "tower.dense2.weight": [],
        "tower.dense2.bias": ["tower.dense2.bias.m", "tower.dense2.bias.v"],
        "dense1.weight": [],
    }
    assert inputs_of(result.updates[0].next, "schedule") == ["step"]
    assert inputs_of(result.updates[0].next, "gradient") == ["tower.dense1.weight"]


def test_a_running_state_has_a_path_and_a_next_value():
    result = program("model m { input x: float[3, 4, 4] output x -> batchnorm }")
    assert [each.path for each in result.states] == ["batchnorm1.mean", "batchnorm1.variance"]
    for state in result.states:
        assert state.type == Type("float", (3,)) == state.next.type
        assert inputs_of(state.next, "state") == [state.path]
    assert set(inputs_of(result.outputs[0].node, "mode")) == {"training"}


def test_terms_are_named_by_their_words_made_unique():
    result = program("""model m { input x: float[4] target t: class(4)
        output x output softmax(x) output x -> softmax
        loss cross_entropy(x, t) loss 2 * cross_entropy(x, t) loss x[0] * x[1] loss last = x[0]
        metric accuracy(x, t) metric t == argmax(x) }""")
    assert [each.name for each in result.outputs] == ["x", "softmax", "softmax2"]
    assert [each.name for each in result.losses] == [
        "cross_entropy",
        "cross_entropy2",
        "loss",
        "last",
    ]
    assert [each.name for each in result.metrics] == ["accuracy", "argmax"]


def test_used_files_bring_their_words_and_sizes(tmp_path):
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "inner.dl").write_text("const two = 2\nfn twice(x) = two * x\n")
    (tmp_path / "blocks.dl").write_text(
        'use "sub/inner.dl"\ndim n = 3\nfn four(x) = twice(twice(x))\n'
    )
    path = tmp_path / "main.dl"
    path.write_text(
        'use "blocks.dl"\nuse "sub/inner.dl"\nmodel m { input x: float[n] output four(x) }'
    )
    result = program(path.read_text(), str(path))
    assert result.ports[0].shape == (3,)
    assert [e.op.name for e in topological([result.outputs[0].node])].count("Mul") == 2


def test_a_file_of_definitions_is_good_and_has_no_program():
    assert program("fn twice(x) = 2 * x") is None


def test_all_mistakes_come_in_one_run_in_order():
    found = mistakes("""model m {
          input x: float[4]
          let a = x -> dens(3)
          let b = a -> dense(0) -> nothing
          let c = y + 1
          loss sum(x -> conv(2, kernel=1))
        }
        train { epochs = 0 optimizer sgd() }""")
    assert [(name, line) for name, line, _ in found] == [
        ("unknown-name", 3),
        ("bad-setting", 4),
        ("unknown-name", 4),
        ("unknown-name", 5),
        ("shape-mismatch", 6),
        ("bad-setting", 8),
        ("missing-setting", 8),
    ]


def test_a_mistake_in_a_repeated_stage_is_told_once():
    found = mistakes("model m { input x: float[4] output x -> 3 * (dense(4) -> foo) }")
    assert [name for name, _, _ in found] == ["unknown-name"]


def test_long_models_and_deep_formulas_are_walked():
    lets = "\n".join(f"let y{i} = relu(y{i - 1})" for i in range(1, 2000))
    assert program(f"model m {{ input y0: float[4] {lets} output y1999 }}")
    deep = "sin(" * 90 + "x" + ")" * 90
    fns = "\n".join(f"fn f{i}(x) = {deep.replace('x', f'f{i - 1}(x)')}" for i in range(1, 30))
    assert program(f"fn f0(x) = x {fns} model m {{ input x: float[4] output f29(x) }}")


def test_definitions_nested_too_deeply_are_refused():
    fns = "\n".join(f"fn f{i}(x) = f{i - 1}(x)" for i in range(1, 60))
    found = mistakes(f"fn f0(x) = x {fns} model m {{ input x: float[4] output f59(x) }}")
    assert [name for name, _, _ in found] == ["too-deep"]


def test_without_a_report_mistakes_are_raised():
    file, _ = parse(Source("x.dl", "model m { input x: float[4] output y }"))
    with pytest.raises(SpecError):
        check(file)


def test_a_check_leaves_nothing_behind():
    text = (ROOT / "models" / "strided.dl").read_text()
    one, other = program(text), program(text)
    assert shapes(one) == shapes(other)
    assert [str(each.node.op) for each in one.layers] == [
        str(each.node.op) for each in other.layers
    ]


TEXTS = [path.read_text() for path in MODELS]
TOKENS = [re.findall(r"\w+|->|[<>=!]=|//|\s+|[^\w\s]", text) for text in TEXTS]
VOCABULARY = sorted({token for tokens in TOKENS for token in tokens if not token.isspace()})


@given(
    st.sampled_from(TOKENS),
    st.lists(
        st.tuples(st.integers(0, 10_000), st.sampled_from(VOCABULARY)), min_size=1, max_size=3
    ),
)
@settings(max_examples=150)
def test_a_damaged_model_is_refused_in_words(tokens, changes):
    tokens = list(tokens)
    for place, token in changes:
        tokens[place % len(tokens)] = f" {token} "
    source = Source("x.dl", "".join(tokens))
    file, found = parse(source)
    report = Report(found)
    result = check(file, {}, report)
    assert (result is None) == bool(report.errors) or not any(
        isinstance(d, ast.Model) for d in file.definitions
    )
    for each in report:
        assert each.message and each.span.end <= len(each.span.source.text)


def test_a_number_changes_a_sequence_that_is_called_like_a_setting_for_columns():
    text = (
        "seq time = 5 model m { input x: float[time, 2] target t: float[1] "
        "let y = x -> last -> dense(1) output y loss mse(y, t) } "
        "train { optimizer sgd(lr = 0.1) }"
    )
    program = check(parse(Source("x.dl", text))[0], {"time": 9})
    assert program.ports[0].shape == (9, 2)
