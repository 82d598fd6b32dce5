"""The listing of `specc build`: nothing that a user names or writes becomes code in it."""

from __future__ import annotations

import ast
import keyword

import pytest

from specc import driver
from specc.source import Source

NAMES = [
    'a"""+print(1)+""".dl',
    "a\nprint(1).dl",
    "a\\.dl",
    'a"',
    "a\rprint(1)#.dl",
    "\udc80.dl",
    "ü.dl",
    "\u2028print(1).dl",
]


def tree(text: str, name: str = "x.dl", **changes) -> ast.Module:
    """The listing as Python reads it: a docstring, imports, functions, and no other code."""
    listing = driver.build(driver.load(Source(name, text), changes), batch=2)
    listing.encode()
    found = ast.parse(listing)
    assert isinstance(found.body[0], ast.Expr) and isinstance(found.body[0].value, ast.Constant)
    for each in found.body[1:]:
        assert isinstance(each, (ast.ImportFrom, ast.Import, ast.FunctionDef, ast.Assign)), (
            ast.dump(each)
        )
    called = {
        node.func.id
        for node in ast.walk(found)
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert "print" not in called
    return found


SMALL = """model m {
  input x: float[3]
  let y = x
    * 2  # print(1)
  output y + 1
  param w: float[] = 1
  loss w * sum(y)
}
train { optimizer sgd(lr = 0.1) }
"""


@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_any_name_is_named_and_is_not_code(name):
    head = ast.get_docstring(tree(SMALL, name), clean=False)
    signs = (
        each if each.isprintable() else each.encode("unicode_escape").decode() for each in name
    )
    assert head.startswith(f"m: the code that specc compiled from {''.join(signs)}.\n")


def test_the_settings_of_an_optimizer_do_not_bring_the_name_of_the_file_in():
    tree(
        """model m { input x: float[3] target y: float[3]
let p = x -> dense(3) output p loss mse(p, y) }
train { data csv("a.csv") optimizer sgd(lr = cosine(0.1, 0)) }
""",
        "a\nprint(1)\n.dl",
    )


def test_names_that_python_keeps_for_itself_are_readable_in_the_code():
    words = [
        *keyword.kwlist,
        *keyword.softkwlist,
        "print",
        "sum",
        "np",
        "real",
        "m",
        "shard",
        "table",
    ]
    usable = [
        word
        for word in words
        if driver.check(Source("x.dl", f"model m {{ input {word}: float[3] output {word} * 2 }}"))[
            0
        ]
    ]
    assert {"lambda", "import", "sum", "print"} <= set(usable)
    inputs = "".join(f"input {word}: float[3]\nlet y_{word} = exp({word})\n" for word in usable)
    tree(f"model m {{\n{inputs}output {' + '.join(f'y_{word}' for word in usable)}\n}}\n")
    kept = [word for word in usable if keyword.iskeyword(word)]
    values = "".join(f"let {word} = exp(x * {number})\n" for number, word in enumerate(kept, 2))
    total = " + ".join(f"sum({word})" for word in kept)
    tree(f"model m {{\ninput x: float[3]\n{values}output {total}\n}}\n")
    for word in ("lambda", "import", "async"):
        tree(
            f"model {word} {{ input x: float[3] target y: float[3] param {word}: float[3] = 0.5\n"
            f"let p = x * {word} -> dense(3) layer global = dense(3)\n"
            "output global(p) loss mse(global(p), y) }\n"
            'train { data csv("a.csv") optimizer adam(lr = 0.1) }'
        )


def test_a_step_of_several_batches_adds_up_gradients_and_updates_once():
    text = """model m { input x: float[30] target y: float[3]
let p = x -> dense(40) -> relu -> dense(3) output p loss mse(p, y) }
train { data csv("a.csv") optimizer adam(lr = cosine(0.1, 0)) batch = 32 * 4 }
"""
    listing = driver.build(driver.load(Source("x.dl", text)))
    found = ast.parse(listing)
    functions = {each.name: each for each in found.body if isinstance(each, ast.FunctionDef)}
    loop, update = functions["step"].body
    assert isinstance(loop, ast.For) and ast.unparse(loop.iter) == "range(4)"
    assert [ast.unparse(each) for each in loop.body] == [
        "forward(m)",
        "backward(m)",
        "add_gradients(m)",
    ]
    assert ast.unparse(update) == "update(m)"
    called = {
        node.func.id
        for part in ("forward", "backward", "add_gradients", "update")
        for node in ast.walk(functions[part])
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
    }
    assert len(called) > 5 and called - functions.keys() <= {"table"}, called - functions.keys()
    assert "add_gradients" not in driver.build(driver.load(Source("x.dl", SMALL)))
