"""Programs with random errors: each is either rejected with a message, or takes a training step.

    verdict(mutated(12345))      # "refused", "stepped", "compiled", ...; anything else raises

A mutation is made of its number alone: `python tests/mutations.py 12345` prints the program and
its verdict.
"""

from __future__ import annotations

import random
import signal
import sys
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from math import prod
from pathlib import Path

import numpy as np

from specc import driver, pipeline
from specc.backend.listing import listing
from specc.backend.reference import evaluate
from specc.cli.render import render
from specc.diagnostics import Report, SpecError
from specc.drawing.diagram import diagram
from specc.drawing.svg import drawing
from specc.drawing.table import layer_table
from specc.frontend.fix.apply import fixed_source
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.syntax import ast
from specc.frontend.syntax.lex import lex
from specc.frontend.syntax.parse import parse
from specc.frontend.syntax.reading import read_source
from specc.frontend.words import library
from specc.ir.graph import Graph
from specc.ir.kind import Kind
from specc.ir.program import Program
from specc.net.arrays import completed, examples
from specc.net.net import Net
from specc.ops.carry import loops, straightened
from specc.ops.contract import Contract
from specc.ops.peers import bind_batch
from specc.source import Source

ROOT = Path(__file__).resolve().parents[1]
EXAMPLES = 3
"""Examples in the batch of a step."""
MOST_ELEMENTS = 2_000_000
"""The most elements of all values of a step.

Larger ones are counted as "too large", and not run.
"""
MOST_CALLS = 20_000
"""The most NumPy calls of a step, including those in loops."""
SECONDS = 60
"""The most seconds for a program (a typical one takes 0.01 s)."""
NUMBERS = [
    "0", "1", "2", "3", "5", "7", "0.5", "1.5", "1e-9", "1e30", "1e38", "1e400", "1000000",
    "1000000000000000000", "(-1)", "(-2.5)", "(1/3)", "(2 ^ 40)", "(1/0)", "(0/0)",
]  # fmt: skip
"""The values that replace a number, besides its neighbours."""


# Mutations


@cache
def corpus() -> tuple[Source, ...]:
    """Return the programs to mutate, in a fixed order."""
    paths = [
        *ROOT.glob("models/*.dl"),
        *ROOT.glob("examples/**/*.dl"),
        *ROOT.glob("tests/good/*.dl"),
    ]
    return tuple(read_source(path) for path in sorted(paths))


@cache
def vocabulary() -> dict[str, list[str]]:
    """Return the tokens of the corpus by kind."""
    found: dict[str, set[str]] = {}
    for source in corpus():
        for token in lex(source, Report()).tokens:
            if token.text:
                found.setdefault(token.kind, set()).add(token.text)
    return {kind: sorted(texts) for kind, texts in sorted(found.items())}


@cache
def words() -> list[str]:
    return sorted({*library.words(), *PRIMITIVES})


def mutated(number: int) -> Source:
    """Return a program of the corpus with one to three random changes, determined by a number."""
    chance = random.Random(number)
    source = chance.choice(corpus())
    text = source.text
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        text = chance.choice(CHANGES)(chance, text)
    return Source(source.name, text)


def _tokens(text: str) -> list:
    return [token for token in lex(Source("x.dl", text), Report()).tokens if token.text]


def _replaced(text: str, token, new: str) -> str:
    return text[: token.start] + new + text[token.end :]


def character(chance: random.Random, text: str) -> str:
    at, length = chance.randrange(len(text) + 1), chance.choice((0, 1, 1, 1, 2, 9))
    new = chance.choice(
        ("", "", chance.choice("()[]{};:,.=-><+*/^@#\"' \n0aλ_\0\\"), text[at : at + 7])
    )
    return text[:at] + new + text[at + length :]


def token(chance: random.Random, text: str) -> str:
    tokens = _tokens(text)
    if not tokens:
        return text
    at = chance.randrange(len(tokens))
    one, other = tokens[at], tokens[at - 1]
    new = chance.choice(
        [
            "",
            f"{one.text} {one.text}",
            f"({one.text})",
            chance.choice(vocabulary().get(one.kind, [""])),
            chance.choice(vocabulary().get(one.kind, [""])),
            chance.choice(vocabulary()[chance.choice(list(vocabulary()))]),
            other.text,
        ]
    )
    return _replaced(text, one, f" {new} ")


def number(chance: random.Random, text: str) -> str:
    tokens = [each for each in _tokens(text) if each.kind == "NUMBER"]
    if not tokens:
        return text
    one = chance.choice(tokens)
    value = float(one.text)
    near = [
        f"{value + 1:g}",
        f"{abs(value - 1):g}",
        f"{2 * value:g}",
        f"{value / 2:g}",
        f"-{one.text}",
    ]
    return _replaced(
        text, one, chance.choice([*near, *near, *NUMBERS, chance.choice(vocabulary()["NUMBER"])])
    )


def name(chance: random.Random, text: str) -> str:
    tokens = [each for each in _tokens(text) if each.kind == "NAME"]
    if not tokens:
        return text
    one = chance.choice(tokens)
    own = [each.text for each in tokens]
    return _replaced(
        text, one, chance.choice([*own[:20], *vocabulary()["NAME"][:20], chance.choice(words())])
    )


def word(chance: random.Random, text: str) -> str:
    tokens = [each for each in _tokens(text) if each.kind == "NAME" and each.text in words()]
    if not tokens:
        return text
    return _replaced(text, chance.choice(tokens), chance.choice(words()))


def stage(chance: random.Random, text: str) -> str:
    arrows = [each for each in _tokens(text) if each.kind == "->"]
    if not arrows:
        return text
    number_ = chance.choice(["", "", "(2)", "(3)", "(4, kernel=3)", "(5; 2)"])
    return _replaced(text, chance.choice(arrows), f"-> {chance.choice(words())}{number_} ->")


def setting(chance: random.Random, text: str) -> str:
    """Rename, change, remove or add a setting of a call or of `train`."""
    tokens = _tokens(text)
    given = [at for at, each in enumerate(tokens[:-1])
             if each.kind == "NAME" and tokens[at + 1].kind == "="]  # fmt: skip
    kind = chance.randrange(4)
    if kind < 2 and given:
        one = tokens[chance.choice(given)]
        names = (
            [tokens[at].text for at in given]
            + list("abcxyz")
            + ["kernel", "stride", "pad", "lr", "units", "batch"]
        )
        return _replaced(text, one, chance.choice(names))
    if kind == 2 and given:
        at = chance.choice(given)
        return text[: tokens[at].start] + text[tokens[min(at + 2, len(tokens) - 1)].end :]
    closing = [each for each in tokens if each.kind == ")"]
    if not closing:
        return text
    one = chance.choice(closing)
    names = [
        "kernel",
        "stride",
        "pad",
        "bias",
        "init",
        "rate",
        "size",
        "axis",
        "lr",
        "mu",
        "groups",
        "dilation",
        "smoothing",
        "units",
    ]
    between, name = chance.choice([", ", "; "]), chance.choice(names)
    value = chance.choice([*NUMBERS, "false", "zeros", "he"])
    return _replaced(text, one, f"{between}{name}={value})")


def statement(chance: random.Random, text: str) -> str:
    """Remove, duplicate or swap a statement or definition, or insert one of another program."""
    own = _statements(text)
    if not own:
        return text
    one, other = sorted((chance.choice(own), chance.choice(own)))
    kind = chance.randrange(4)
    if kind == 0:
        return text[: one[0]] + text[one[1] :]
    if kind == 1:
        return f"{text[: one[1]]}\n{text[slice(*one)]}{text[one[1] :]}"
    if kind == 2 and one[1] <= other[0]:
        return "".join(
            (
                text[: one[0]],
                text[slice(*other)],
                text[one[1] : other[0]],
                text[slice(*one)],
                text[other[1] :],
            )
        )
    foreign = chance.choice(corpus()).text
    more = foreign[slice(*chance.choice(_statements(foreign) or [(0, 0)]))]
    return f"{text[: one[0]]}{more}\n{text[one[0] :]}"


def _statements(text: str) -> list[tuple[int, int]]:
    file, _ = parse(Source("x.dl", text))
    found = []
    for definition in file.definitions:
        found.append((definition.span.start, definition.span.end))
        body = getattr(definition, "body", None) or ()
        found += [(each.span.start, each.span.end) for each in body if isinstance(each, ast.Node)]
    return found


CHANGES: tuple[Callable[[random.Random, str], str], ...] = (
    character, token, token, number, number, name, word, word, stage, setting, statement,
)  # fmt: skip


# Verdicts


class TooLong(Exception):
    """A program exceeded its time limit."""


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TooLong in code that exceeds the time limit, if the system supports it."""
    if not hasattr(signal, "setitimer"):
        yield
        return

    def stop(*_):
        raise TooLong(f"it took more than {seconds} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)


def verdict(source: Source, compiles: bool = False, applies_fixes: bool = False) -> str:
    """Return the verdict on a program; raise an AssertionError or another exception for a bug.

    With `compiles` a model that passes the check is also compiled, and its loss compared with the
    interpreter's; with `applies_fixes` the safe fixes of its errors are applied.
    """
    program, found = driver.check(source)
    errors = [each for each in found if each.severity == "error"]
    render(found, "full")
    if program is not None:  # what `specc show` prints and draws
        layer_table(program)
        drawing(diagram(program))
    for each in found:
        assert each.message and 0 <= each.span.start <= each.span.end <= len(each.span.source.text)
    if applies_fixes:
        fixed_source(source, lambda each: driver.check(each)[1])
    if errors:
        assert program is None
        return "refused"
    if program is None:
        return "definitions"
    if program.open_sizes:
        program, found = driver.check(source, dict.fromkeys(program.open_sizes, 6))
        if program is None:
            assert found
            return "refused once its sizes are bound"
        assert not program.open_sizes
    return step(program, compiles)


def step(program: Program, compiles: bool) -> str:
    """Run a training step (or gradients, or a forward pass) in the interpreter."""
    graph = _graph(program)
    if _elements(program, graph) > MOST_ELEMENTS or _calls(graph) > MOST_CALLS:
        return "too large to run here"
    kind = (
        Kind.TRAIN
        if program.updates
        else Kind.GRADIENTS
        if program.losses and program.parameters
        else Kind.PREDICT
    )
    with np.errstate(all="ignore"):
        net = Net(program, EXAMPLES, "float64", 1, seed=0)
        data = _data(program)
        net.plan(kind)
        try:
            leaves = _leaves(program, net, data)
        except SpecError:
            return "stopped by a schedule"  # that leaves its bounds at the first step
        values = evaluate(graph, leaves, step_by_step=True)
    _check_types(program, values)
    if not compiles:
        return "stepped"
    if kind != Kind.GRADIENTS:  # what `specc build` prints
        source = listing(program, net.compiled(kind), net.settings_graph)
        compile(source, "listing", "exec")
    arrays = {name: column.array for name, column in data.items()}
    with np.errstate(all="ignore"):
        if program.outputs:
            net.forward(**arrays)
        if kind == Kind.PREDICT:
            return "compiled"
        loss = net.step(**arrays) if kind == Kind.TRAIN else net.loss_and_gradients(**arrays)[0]
        for path, array in net.params.items():
            assert array.dtype == np.float64 and array.shape == leaves["param", path].shape
        if not _is_close(loss, values["loss"]):
            # a network of many steps may turn the last digit of a weight into any other result
            moved = {
                key: (1 + 1e-13) * value if key[0] == "param" else value
                for key, value in leaves.items()
            }
            other = evaluate(graph, moved, step_by_step=True)["loss"]
            assert not _is_close(other, values["loss"]), (
                f"compiled {loss}, interpreted {values['loss']}"
            )
            return "compiled, and chaotic"
    return "compiled"


def _is_close(loss: float, wanted: float) -> bool:
    return (
        not np.isfinite(wanted)
        or abs(wanted) > 1e30
        or bool(np.isclose(loss, wanted, rtol=1e-6, atol=1e-9))
    )


def _check_types(program: Program, values) -> None:
    """Check that new weights, states and losses are floats with the right shapes."""
    for update in program.updates:
        states = [(f"state.{state.path}", state.type.shape) for state in update.states]
        wanted = next(each.type.shape for each in program.parameters if each.path == update.path)
        for name, shape in [(f"param.{update.path}", wanted), *states]:
            assert np.asarray(values[name]).dtype == np.float64, name
            assert np.broadcast_shapes(np.shape(values[name]), shape) == shape, name
    for state in program.states if program.losses and program.parameters else ():
        assert state.next is None or np.shape(values[f"state.{state.path}"]) == state.type.shape
    assert all(np.shape(values[f"loss.{term.name}"]) == () for term in program.losses)


def _graph(program: Program) -> Graph:
    if program.updates:
        graph = pipeline.training_step(program).graph
    elif program.losses and program.parameters:
        graph = pipeline.with_gradients(program)
    else:
        graph = pipeline.forward(program, training=False)
    return bind_batch(graph, EXAMPLES)


def _elements(program: Program, graph: Graph) -> int:
    """Return the number of elements of all values that the interpreter holds at once."""
    total = sum(each.type.elements for each in program.parameters)
    for node in graph.nodes:
        total += node.type.elements * (EXAMPLES if node.type.batched else 1)
        if isinstance(node.op, Contract):
            total += EXAMPLES * prod(node.op.extents)
    return total


def _calls(graph: Graph) -> int:
    found = loops(straightened(graph))
    return len(graph.nodes) + sum(len(loop.nodes) * loop.steps for loop in found)


def _data(program: Program):
    rng = np.random.default_rng(0)
    arrays = {}
    for port in program.ports:
        if port.length_of or port.begin_of:
            continue
        shape = (EXAMPLES, *port.shape)
        if port.kind == "class":
            arrays[port.name] = rng.integers(0, port.classes, shape)
        else:
            arrays[port.name] = (
                rng.random(shape) < 0.5 if port.kind == "bool" else rng.standard_normal(shape)
            )
    ports = program.ports
    return examples(
        program.name, ports, completed(ports, arrays, begin=True), [port.name for port in ports]
    )


def _leaves(program: Program, net: Net, data) -> dict:
    leaves = {("param", path): array for path, array in net.params.items()}
    leaves.update({("state", path): array for path, array in net.states.items()})
    leaves.update({("slot", label): array for label, array in net.slots.items()})
    leaves.update({(port.role, port.name): data[port.name].array for port in program.ports})
    leaves["weight_of_example", ""] = np.full(EXAMPLES, 1 / EXAMPLES)
    leaves = {
        key: np.array(value) for key, value in leaves.items()
    }  # a step changes the weights in place
    if program.updates:
        net.graph(Kind.TRAIN)
        settings = net.training.schedule(0, 1, 0, 0)[0]
        leaves.update({("setting", str(number)): value for number, value in enumerate(settings)})
    return leaves


def run(
    numbers: Sequence[int], compiled_share: int = 0, fixed_share: int = 0
) -> tuple[Counter, list[str]]:
    """Return the counts of the verdicts on some mutations, and the programs with bugs.

    Of the models that pass, every `compiled_share`-th is compiled; of all programs, every
    `fixed_share`-th is fixed.
    """
    counts: Counter = Counter()
    bugs = []
    for number_ in numbers:
        source = mutated(number_)
        try:
            with at_most(SECONDS):
                counts[
                    verdict(
                        source,
                        bool(compiled_share) and number_ % compiled_share == 0,
                        bool(fixed_share) and number_ % fixed_share == 0,
                    )
                ] += 1
        except Exception as error:
            counts["bug"] += 1
            bugs.append(f"mutation {number_}, of {source.name}\n{_told(error)}\n{source.text}")
    return counts, bugs


def _told(error: Exception) -> str:
    import traceback

    return "".join(traceback.format_exception(error))


if __name__ == "__main__":
    for number_ in map(int, sys.argv[1:]):
        source = mutated(number_)
        print(source.text)
        print(verdict(source, compiles=True, applies_fixes=True))
