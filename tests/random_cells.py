"""Random small cells, for comparisons of compiled code with the interpreter.

text = random_program(random.Random(7))
"""

from __future__ import annotations

import random

FUNCTIONS = ("tanh", "sigmoid", "sin", "relu", "softplus", "gelu")


class _Maker:
    """A writer of random formulas over the available vectors, each with its size."""

    def __init__(self, rng: random.Random, vectors: dict[str, int]):
        self.rng, self.vectors, self.lines = rng, dict(vectors), []
        self.sizes = sorted({*vectors.values(), 2, 3, 5})

    def let(self, expression: str, size: int) -> str:
        name = f"v{len(self.lines)}"
        self.lines.append(f"let {name} = {expression}")
        self.vectors[name] = size
        return name

    def some(self, size: int | None = None) -> str:
        """Return an available vector, if possible of this size."""
        names = [each for each, its in self.vectors.items() if size in (None, its)]
        if not names:
            return self.let(f"{self.some()} -> dense({size})", size)
        return self.rng.choice(names if self.rng.random() < 0.5 else names[-2:])  # rather a new one

    def step(self) -> None:
        """Add a line."""
        rng = self.rng
        a = self.some()
        size = self.vectors[a]
        b = self.some(size)
        units = rng.choice(self.sizes)
        function = rng.choice(FUNCTIONS)
        kind = rng.randrange(15)
        if kind == 0:
            self.let(f"{function}({a})", size)
        elif kind == 1:
            self.let(f"{a} * {b} + {rng.uniform(-1, 1):.2f}", size)
        elif kind == 2:
            self.let(f"{a} - 0.5 * {b}", size)
        elif kind == 3:
            other = self.some()
            self.let(f"concat({a}, {other})", size + self.vectors[other])
        elif kind == 4:
            other = self.some()
            self.let(f"concat({a}, {other}) -> dense({units}) -> {function}", units)
        elif kind == 5:
            self.let(f"{a} -> dense({units})", units)
        elif kind == 6:
            whole = self.let(f"{a} -> dense({2 * units})", 2 * units)
            one, two = f"p{len(self.lines)}", f"q{len(self.lines)}"
            self.lines.append(f"let {one}, {two} = split({whole}; 2)")
            self.vectors |= {one: units, two: units}
        elif kind == 7:
            self.let(f"if {a} > {b} then {function}({a}) else 0.3 * {b}", size)
        elif kind == 8:
            self.let(f"{a} * mean({self.some()})", size)
        elif kind == 9 and size > 1:
            first = rng.randrange(size - 1)
            stop = rng.randrange(first + 1, size + 1)
            self.let(f"{a}[{first}:{stop}]", stop - first)
        elif kind == 10:
            self.let(f"softmax({a})", size)
        elif kind == 11:
            self.let(f"max({a}, {b}) / (1 + {b} * {b})", size)
        elif kind == 12:
            self.let(f"{a} -> {rng.choice(('rnn', 'gru', 'lstm'))}({units})", units)
        elif kind == 13:  # with its states after this step
            out, h, c = (f"{each}{len(self.lines)}" for each in "nhc")
            self.lines.append(f"let {out}, {h}, {c} = {a} -> lstm(h=0.2; {units})")
            self.vectors |= {out: units, h: units, c: units}
        else:
            self.let(f"layernorm({a})" if rng.random() < 0.3 else f"{a} + {function}({b})", size)


def random_program(rng: random.Random) -> str:
    """A model with one or two cells of one to three states each."""
    cells, stages = [], []
    size = inputs = rng.choice((1, 3, 4))
    for number in range(rng.choice((1, 1, 2))):
        states = {f"s{k}": rng.choice((1, 2, 3, 5)) for k in range(rng.randint(1, 3))}
        maker = _Maker(rng, {"x": size, **states})
        for _ in range(rng.randint(1, 9)):
            maker.step()
        result = maker.some()
        nexts = []
        for name, units in states.items():
            value = maker.some(units) if rng.random() < 0.8 else maker.some()
            if maker.vectors[value] != units:
                value = maker.let(f"{value} -> dense({units})", units)
            nexts.append(f"next {name} = {rng.choice((f'tanh({value})', f'0.5 * {value}', value))}")
        declared = [
            f"state {name}: float[{units}] = {rng.choice((0, 0, 0.3))}"
            for name, units in states.items()
        ]
        lines = declared + maker.lines + nexts + [f"return {result}"]
        cells.append(f"cell c{number}(x: float[{size}]) {{\n  " + "\n  ".join(lines) + "\n}\n")
        size = maker.vectors[result]
        stages.append(f"c{number}")
    before, behind = rng.choice(
        (("x", ""), ("reverse(x)", ""), ("x", " -> reverse"), ("tanh(x)", ""))
    )
    loss = rng.choice(
        ("mse(w, y)", "mse(w, y) loss sum(tanh(last(w)))", "mse(w, y) loss more = mean(abs(w))")
    )
    return f"""seq time = {rng.choice((1, 2, 3, 5, 7))}
{"".join(cells)}model m {{
  input x: float[time, {inputs}]
  target y: float[time, 2]
  let w = {before} -> {" -> ".join(stages)}{behind} -> dense(2)
  output w
  loss {loss}
}}
"""
