"""What `specc explain` says about a word of the language or the name of a mistake.

    explanation("conv")             # its formula, settings, shapes, an example, where it is defined
    explanation("shape-mismatch")   # its page: what it means, a wrong and a fixed program
    nearest("batch_norm")           # "batchnorm"

Pages are Markdown files, `specc/pages/<name>.md`: a title, a sentence, text, and programs between
fences.
"""

from __future__ import annotations

import json
from functools import cache
from pathlib import Path
from typing import Any

from specc.diagnostics import closest
from specc.frontend.explain.examples import sample
from specc.frontend.explain.training import ABOUT, about
from specc.frontend.layout.format import formatted
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.words import library
from specc.frontend.words.facts import without_example
from specc.frontend.words.messages import SYNONYMS
from specc.frontend.words.settings import Declared, schema
from specc.frontend.words.signatures import Primitive, Signature, signature_of
from specc.source import Source

PAGES = Path(__file__).parents[2] / "pages"


@cache
def pages() -> dict[str, str]:
    """Return the pages on mistakes and warnings, by their names."""
    return {path.stem: path.read_text(encoding="utf-8") for path in sorted(PAGES.glob("*.md"))}


def words() -> dict[str, list[str]]:
    """Return the words of the language, by the kind of what they are."""
    found: dict[str, list[str]] = {}
    for name in library.words():
        found.setdefault(Path(library.source_of(name).name).stem, []).append(name)
    found["primitives"] = sorted(PRIMITIVES)
    return found


def explanation(name: str) -> str | None:
    """Return the text on a word or a mistake; None if there is no such name."""
    page = pages().get(name)
    if page is not None:
        return page
    parts = [_word(name)] if name in library.words() or name in PRIMITIVES else []
    if name in ABOUT:
        parts.append(about(name))
    return "\n".join(parts) or None


def nearest(name: str) -> str | None:
    """Return the name that was probably meant."""
    return closest(name, [*library.words(), *PRIMITIVES, *pages(), *ABOUT], SYNONYMS)


def summary(name: str) -> str:
    """Return the first sentence of a page."""
    paragraphs = pages()[name].split("\n\n")
    return " ".join(paragraphs[1].split())


def contents() -> str:
    """Return all names that can be explained."""
    lines = ["Words, by the file of the library that defines them:", ""]
    for kind, names in words().items():
        lines += _wrapped(f"  {kind:<14}", names)
    lines += ["", *_wrapped("Settings of `train`:", list(ABOUT))]
    lines += ["", "Mistakes and warnings:", ""]
    width = max(map(len, pages()), default=0)
    lines += [f"  {name:<{width}}  {summary(name)}" for name in pages()]
    return "\n".join(lines) + "\n"


def _wrapped(head: str, names: list[str]) -> list[str]:
    lines = [head]
    for name in names:
        if len(lines[-1]) + 1 + len(name) > 100:
            lines.append(" " * len(head))
        lines[-1] += f" {name}"
    return lines


def _word(name: str) -> str:
    definition = library.lookup(name) or PRIMITIVES[name]
    signature = signature_of(definition)
    if isinstance(definition, Primitive):
        code = definition.build.__code__
        file = Path(code.co_filename).relative_to(PAGES.parent.parent).as_posix()
        kind, doc, place = (
            "primitive",
            _unwrapped(without_example(definition.doc)),
            f"{file}:{code.co_firstlineno}",
        )
    else:
        source, span = library.source_of(name), definition.span
        kind, doc = type(definition).__name__.lower(), without_example(definition.doc or "")
        place = f"specc/{source.name}:{span.line}"
    parts = [_head(name, signature), f"{kind}, {place}", doc]
    if signature.settings:
        parts.append("Settings\n" + _settings(signature.settings))
    text = formatted(Source(f"{name}.dl", sample(name)))
    parts.append("Example\n" + _indented(text) + _result(text))
    if not isinstance(definition, Primitive):
        parts.append("Definition\n" + _indented(definition.span.text))
    if signature.settings:
        parts.append(
            "Settings as a JSON Schema\n" + _indented(_compact(schema(signature.settings, name)))
        )
    return "\n\n".join(part.rstrip() for part in parts) + "\n"


def _head(name: str, signature: Signature) -> str:
    """Return a signature as the language writes it, in lines of at most 100 columns."""
    text = f"{name}{signature}"
    if len(text) <= 100:
        return text
    inputs, _, settings = str(signature)[1:-1].partition("; ")
    lines = _wrapped(" ", [f"{each}," for each in settings.split(", ")])
    return "\n".join([f"{name}(", f"  {inputs};", *lines]).rstrip(",") + "\n)"


def _compact(rule: dict[str, Any]) -> str:
    """Return a JSON object, a property a line."""
    lines = []
    for key, value in rule.items():
        if key == "properties" and value:
            inner = [f"    {json.dumps(name)}: {json.dumps(each)}" for name, each in value.items()]
            lines.append('  "properties": {\n' + ",\n".join(inner) + "\n  }")
        else:
            lines.append(f"  {json.dumps(key)}: {json.dumps(value)}")
    return "{\n" + ",\n".join(lines) + "\n}"


def _unwrapped(doc: str | None) -> str:
    from textwrap import fill

    return fill(" ".join((doc or "").split()), 100, break_on_hyphens=False)


def _indented(text: str) -> str:
    return "".join(f"  {line}".rstrip() + "\n" for line in text.rstrip().split("\n"))


def _settings(settings: tuple[Declared, ...]) -> str:
    """Return a line for each setting: its name, what it may be, and its default."""
    rows = []
    for each in settings:
        text = str(each)
        head, equals, default = text.partition(" = ")
        name, _, kind = head.partition(": ")
        given = (
            "required"
            if each.is_required
            else f"default {default}"
            if equals
            else "may be left out"
        )
        rows.append((name, kind or "any", given))
    widths = [max(len(row[i]) for row in rows) for i in range(2)]
    return "\n".join(f"  {a:<{widths[0]}}  {b:<{widths[1]}}  {c}" for a, b, c in rows)


def _result(text: str) -> str:
    """What the example comes to: the shapes of its inputs and outputs, and its parameters."""
    from specc.frontend.program.check import check
    from specc.frontend.syntax.parse import parse
    from specc.ir import sizes

    program = check(parse(Source("example.dl", text))[0])
    assert program is not None, "an example of the library has no model; please report this"
    rows = [(each.name, sizes.show(each.node.type.shape)) for each in program.outputs]
    rows += [(f"parameter {each.path}", sizes.show(each.type.shape)) for each in program.parameters]
    rows += [(f"state {each.path}", sizes.show(each.type.shape)) for each in program.states]
    width = max(len(row[0]) for row in rows)
    return "\n" + "\n".join(f"  {name:<{width}}  {shape}" for name, shape in rows)
