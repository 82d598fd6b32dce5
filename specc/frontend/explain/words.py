"""The page of a function, layer, cell or optimizer of the library.

word_page("conv")     # its formula, settings, shapes, an example, where it is defined
"""

from __future__ import annotations

import json
from pathlib import Path
from textwrap import fill
from typing import Any

from specc.frontend.explain.examples import sample
from specc.frontend.layout.format import formatted
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.words import library
from specc.frontend.words.facts import without_example
from specc.frontend.words.settings import Declared, schema
from specc.frontend.words.signatures import Primitive, Signature, signature_of
from specc.source import Source

PACKAGE = Path(__file__).parents[2]


def groups() -> dict[str, list[str]]:
    """Return the names in the library, by the file that defines them."""
    found: dict[str, list[str]] = {}
    for name in library.words():
        found.setdefault(Path(library.source_of(name).name).stem, []).append(name)
    found["primitives"] = sorted(PRIMITIVES)
    return found


def is_word(name: str) -> bool:
    """Return whether the library has a function, layer, cell or optimizer of this name."""
    return name in library.words() or name in PRIMITIVES


def definition_of(name: str) -> Any:
    """Return the definition of a name: a node of the syntax tree or a `Primitive`."""
    return library.lookup(name) or PRIMITIVES[name]


def doc_of(name: str) -> str:
    """Return the doc comment of a definition, without its example."""
    definition = definition_of(name)
    doc = without_example(definition.doc or "")
    return unwrapped(doc) if isinstance(definition, Primitive) else doc


def location_of(name: str) -> tuple[str, int]:
    """Return the file and line that define a name."""
    definition = definition_of(name)
    if isinstance(definition, Primitive):
        code = definition.build.__code__
        file = Path(code.co_filename).relative_to(PACKAGE.parent).as_posix()
        return file, code.co_firstlineno
    return f"specc/{library.source_of(name).name}", definition.span.line


def kind_of(name: str) -> str:
    """Return the kind of a definition: "fn", "block", "cell", "optimizer" or "primitive"."""
    definition = definition_of(name)
    return "primitive" if isinstance(definition, Primitive) else type(definition).__name__.lower()


def word_page(name: str) -> str:
    """Return the page about a definition of the library."""
    definition = definition_of(name)
    signature = signature_of(definition)
    file, line = location_of(name)
    parts = [head(name, signature), f"{kind_of(name)}, {file}:{line}", doc_of(name)]
    if signature.settings:
        parts.append("Settings\n" + _settings(signature.settings))
    text = formatted(Source(f"{name}.dl", sample(name)))
    parts.append("Example\n" + indented(text) + "\n" + result(text))
    if not isinstance(definition, Primitive):
        parts.append("Definition\n" + indented(definition.span.text))
    if signature.settings:
        parts.append(
            "Settings as a JSON Schema\n" + indented(_compact(schema(signature.settings, name)))
        )
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def head(name: str, signature: Signature) -> str:
    """Return a signature as the language writes it, in lines of at most 100 columns."""
    text = f"{name}{signature}"
    if len(text) <= 100:
        return text
    inputs, _, settings = str(signature)[1:-1].partition("; ")
    lines = wrapped(" ", [f"{each}," for each in settings.split(", ")])
    return "\n".join([f"{name}(", f"  {inputs};", *lines]).rstrip(",") + "\n)"


def wrapped(head: str, names: list[str]) -> list[str]:
    """Return names in lines of at most 100 columns; the first line starts with `head`."""
    lines = [head]
    for name in names:
        if len(lines[-1]) + 1 + len(name) > 100:
            lines.append(" " * len(head))
        lines[-1] += f" {name}"
    return lines


def _compact(rule: dict[str, Any]) -> str:
    """Return the text of a JSON object, one property per line."""
    lines = []
    for key, value in rule.items():
        if key == "properties" and value:
            inner = [f"    {json.dumps(name)}: {json.dumps(each)}" for name, each in value.items()]
            lines.append('  "properties": {\n' + ",\n".join(inner) + "\n  }")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}"


def unwrapped(doc: str | None) -> str:
    return fill(" ".join((doc or "").split()), 100, break_on_hyphens=False)


def indented(text: str) -> str:
    return "".join(f"  {line}".rstrip() + "\n" for line in text.rstrip().split("\n"))


def _settings(settings: tuple[Declared, ...]) -> str:
    """Return one line per setting: its name, its type and its default."""
    rows = []
    for each in settings:
        text = str(each)
        head, equals, default = text.partition(" = ")
        name, _, kind = head.partition(": ")
        given = "required" if each.is_required else f"default {default}" if equals else "optional"
        rows.append((name, kind or "any", given))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows)


def result(text: str) -> str:
    """Return the shapes of a program's outputs, parameters and states, one per line."""
    from specc.frontend.program.check import check
    from specc.frontend.syntax.parse import parse
    from specc.ir import sizes

    program = check(parse(Source("example.dl", text))[0])
    assert program is not None, "an example of the library has no model; please report this"
    rows = [(each.name, sizes.show(each.node.type.shape)) for each in program.outputs]
    rows += [(f"parameter {each.path}", sizes.show(each.type.shape)) for each in program.parameters]
    rows += [(f"state {each.path}", sizes.show(each.type.shape)) for each in program.states]
    width = max(len(row[0]) for row in rows)
    return "\n".join(f"  {name:<{width}}  {shape}" for name, shape in rows)
