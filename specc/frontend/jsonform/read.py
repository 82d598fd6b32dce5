"""From the JSON form of a file to its .dl text, with checks.

    to_text({"kind": "File", "definitions": [{"kind": "Dim", "name": "n", "value": 3}]})
    # "dim n = 3\\n"
    read(text, "m.json")        # the source of a file in JSON form

Errors name their location with a JSON pointer: `/definitions/0/value: expected the name of a
value`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping
from typing import Any

from specc.diagnostics import Diagnostic, SpecError
from specc.frontend.jsonform import indices
from specc.frontend.jsonform.shapes import (
    BINDING,
    BODIES,
    CONDITIONAL,
    DEEPEST,
    DEFINITIONS,
    EXPRESSIONS,
    NAME,
    NUMBER,
    PATH,
    PIPELINE,
    POSTFIX,
    SIGN,
    STATEMENTS,
    SUM,
    Shape,
    binding_of,
    least_of,
    shapes,
    written,
)
from specc.frontend.layout.format import formatted
from specc.frontend.program.check import recursion
from specc.frontend.syntax import ast
from specc.frontend.syntax.build import ESCAPES, keyword_of
from specc.source import Source, Span

STRING = re.compile(r'"(?:[^"\\]|\\.)*"')


def read(text: str, name: str) -> Source:
    """Return the .dl source of a file in JSON form. Raises SpecError for an invalid one."""

    def refused(constant: str) -> Any:
        raise ValueError(f"`{constant}` is not a number")

    source = Source(name, text)
    try:
        record = json.loads(text, parse_constant=refused)
    except json.JSONDecodeError as error:
        at = min(error.pos, len(text))
        raise _refused(
            f"this is not JSON: {error.msg}", Span(source, at, min(at + 1, len(text)))
        ) from None
    except (ValueError, RecursionError) as error:
        what = "it is nested too deeply" if isinstance(error, RecursionError) else str(error)
        raise _refused(f"this is not JSON: {what}", Span(source, 0, 0)) from None
    _refuse_surrogates(source)
    return Source(f"{name} (as .dl)", to_text(record, name))


def _refuse_surrogates(source: Source) -> None:
    """Refuse `"\\ud800"`, half of a character, which cannot be written to a file."""
    for match in STRING.finditer(source.text) if "\\u" in source.text else ():
        try:
            json.loads(match[0]).encode()
        except UnicodeEncodeError as error:
            half = rf"\u{ord(error.object[error.start]):04x}"
            span = Span(source, match.start(), match.end())
            raise _refused(
                f"`{half}` is only half of a character: two such escapes make one", span
            ) from None


def to_text(record: Any, name: str = "model.json") -> str:
    """Return the .dl text of a JSON form. Raises SpecError, which names the wrong field."""
    with recursion(20 * DEEPEST):
        text = _TextWriter(name).file(record)
    return formatted(Source(f"{name} (as .dl)", text))


def _refused(message: str, span: Span, help: str | None = None) -> SpecError:
    return SpecError([Diagnostic("bad-json", "error", message, span, help=help)])


class _TextWriter:
    """Checks a record against the classes of the tree while writing it."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.depth = 0

    def wrong(self, pointer: str, message: str) -> SpecError:
        return _refused(
            f"{pointer or '/'}: {message}",
            Span(Source(self.name, ""), 0, 0),
            help="`specc schema` prints the JSON Schema of this form",
        )

    def fields(self, record: Any, pointer: str, classes: tuple[type, ...]) -> type:
        """Return the class of a record, whose fields are as they must be."""
        names = [cls.__name__ for cls in classes]
        wanted = (
            f"an object of the kind {' or '.join(names)}"
            if len(names) < 5
            else "an object with a `kind`"
        )
        if not isinstance(record, Mapping):
            raise self.wrong(pointer, f"expected {wanted}, found {_shown(record)}")
        kind = record.get("kind", names[0] if len(names) == 1 else None)
        if kind not in names:
            found = f"`{kind}`" if isinstance(kind, str) else "none"
            raise self.wrong(pointer, f"expected {wanted}, and the kind is {found}")
        cls = classes[names.index(kind)]
        known = shapes(cls)
        for key in record:
            if key != "kind" and key not in known:
                listed = ", ".join(f"`{each}`" for each in known)
                raise self.wrong(
                    f"{pointer}/{key}", f"`{kind}` has no field `{key}`; it has {listed}"
                )
        for key, shape in known.items():
            if key not in record:
                if shape.is_required:
                    raise self.wrong(pointer, f"`{kind}` needs the field `{key}`")
                continue
            self._field(cls, key, shape, record[key], f"{pointer}/{key}")
        return cls

    def _field(self, cls: type, key: str, shape: Shape, value: Any, pointer: str) -> None:
        if shape.is_list:
            if not isinstance(value, list):
                raise self.wrong(pointer, f"expected a list, found {_shown(value)}")
            if len(value) < shape.least:
                raise self.wrong(pointer, "expected at least one")
            for place, each in enumerate(value):
                self._one(cls, key, shape, each, f"{pointer}/{place}")
        else:
            self._one(cls, key, shape, value, pointer)

    def _one(self, cls: type, key: str, shape: Shape, value: Any, pointer: str) -> None:
        if key in ("breaks", "parens"):
            if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value <= 10**6:
                raise self.wrong(pointer, f"expected an integer, found {_shown(value)}")
            if key == "parens" and not 1 <= value <= 100:
                raise self.wrong(pointer, f"expected 1 to 100, found {value}")
        elif cls is ast.Number and key == "value":
            if not isinstance(value, (int, float)) or isinstance(value, bool):
                raise self.wrong(pointer, f"expected a number, found {_shown(value)}")
        elif shape.words:
            if value not in shape.words:
                raise self.wrong(
                    pointer, f"expected one of {' '.join(shape.words)}, found {_shown(value)}"
                )
        elif shape.pattern is not None:
            if not isinstance(value, str):
                raise self.wrong(pointer, f"expected a string, found {_shown(value)}")
            if shape.pattern and not re.fullmatch(shape.pattern.rstrip("$"), value):
                what = {NAME: "a name", PATH: "a name", NUMBER: "digits"}.get(
                    shape.pattern, "a line that starts with `#`"
                )
                raise self.wrong(pointer, f"expected {what}, found {_shown(value)}")
        elif not shape.classes and not isinstance(value, bool):
            raise self.wrong(pointer, f"expected true or false, found {_shown(value)}")

    # Statements

    def file(self, record: Any) -> str:
        self.fields(record, "", (ast.File,))
        lines: list[str] = []
        for each, at in _items(record, "definitions", ""):
            self._commented(each, at, DEFINITIONS, lines)
        lines += record.get("end_comments", ())
        return "\n".join(lines) + "\n"

    def _commented(
        self, record: Any, pointer: str, classes: tuple[type, ...], lines: list[str]
    ) -> None:
        cls = self.fields(record, pointer, classes)
        lines += record.get("comments", ())
        if "doc" in record:
            lines += [f"## {line}".rstrip() for line in record["doc"].splitlines()]
        lines.append(STATEMENT[cls](self, record, pointer))
        if cls in BODIES and "body" in record:
            lines[-1] += " { " + record.get("body_comment", "")
            for each, at in _items(record, "body", pointer):
                self._commented(each, at, STATEMENTS, lines)
            lines += record.get("end_comments", ())
            lines.append("}")
        elif cls in BODIES and cls is not ast.Fn:
            lines[-1] += " {}"
        if "comment" in record:
            lines[-1] += "  " + record["comment"]

    def _head(self, record, pointer: str, word: str) -> str:
        text = f"{word} {record['name']}" if "name" in record else word
        if "signature" in record:
            text += self.signature(record["signature"], f"{pointer}/signature")
        if "type" in record:
            text += f": {self.type(record['type'], f'{pointer}/type')}"
        if "value" in record:
            text += (" = " if "name" in record else " ") + self.value(record, "value", pointer)
        return text

    def signature(self, record: Any, pointer: str) -> str:
        self.fields(record, pointer, (ast.Signature,))
        inputs = []
        for each, at in _items(record, "inputs", pointer):
            self.fields(each, at, (ast.SignatureInput,))
            inputs.append(
                each["name"]
                + (f": {self.type(each['type'], f'{at}/type')}" if "type" in each else "")
                + (f" = {each['default']}" if "default" in each else "")
            )
        settings = [self._setting(each, at) for each, at in _items(record, "settings", pointer)]
        return "(" + ", ".join(inputs) + ("; " + ", ".join(settings) if settings else "") + ")"

    def _setting(self, record: Any, pointer: str) -> str:
        self.fields(record, pointer, (ast.SignatureSetting,))
        text = record["name"]
        kinds = record.get("choices") or ([record["of"]] if "of" in record else [])
        if kinds:
            text += ": " + " or ".join(kinds)
        for bound, at in _items(record, "bounds", pointer):
            self.fields(bound, at, (ast.Bound,))
            text += f" {bound['operator']} {self.value(bound, 'value', at, SUM)}"
        if "default" in record:
            text += f" = {self.value(record, 'default', pointer)}"
        return text

    def type(self, record: Any, pointer: str) -> str:
        self.fields(record, pointer, (ast.Type,))
        text = record["of"]
        if "classes" in record:
            text += f"({self.value(record, 'classes', pointer)})"
        if "axes" in record:
            axes = []
            for each, at in _items(record, "axes", pointer):
                self.fields(each, at, (ast.Axis,))
                axes.append("<= " * each.get("at_most", False) + self.value(each, "size", at, SUM))
            text += f"[{', '.join(axes)}]"
        return text

    # Values

    def value(self, record: Any, name: str, pointer: str, least: int = PIPELINE) -> str:
        return self.expression(record[name], f"{pointer}/{name}", least)

    def expression(self, record: Any, pointer: str, least: int = PIPELINE) -> str:
        if isinstance(record, bool):
            return "true" if record else "false"
        if isinstance(record, (int, float)):
            text = written(abs(record))
            return text if record >= 0 else f"-{text}" if least <= SIGN else f"(-{text})"
        if isinstance(record, str):
            if not re.fullmatch(PATH.rstrip("$"), record):
                raise self.wrong(pointer, f"expected the name of a value, found {_shown(record)}")
            return record
        cls = self.fields(record, pointer, EXPRESSIONS)
        self.depth += 1
        if self.depth > DEEPEST:
            raise self.wrong(pointer, "this is nested too deeply")
        text = VALUE[cls](self, record, pointer)
        self.depth -= 1
        extra = record.get("parens", 0) + (binding_of(cls, record.get("operator", "")) < least)
        return "(" * extra + text + ")" * extra

    def number(self, record: Any, pointer: str) -> str:
        text = record["text"]
        if "value" in record and float(text) != record["value"]:
            raise self.wrong(
                pointer, f"the text {text} and the value {record['value']} are two numbers"
            )
        return text

    def binary(self, record: Any, pointer: str) -> str:
        sign = record["operator"]
        _, left, right = BINDING[sign]
        return (
            f"{self.value(record, 'left', pointer, left)} {sign}"
            f" {self.value(record, 'right', pointer, right)}"
        )

    def unary(self, record: Any, pointer: str) -> str:
        sign = record["operator"]
        operand = self.value(record, "operand", pointer, least_of(ast.Unary, "operand", sign))
        return f"-{operand}" if sign == "-" else f"not {operand}"

    def conditional(self, record: Any, pointer: str) -> str:
        parts = [
            self.value(record, name, pointer, CONDITIONAL)
            for name in ("condition", "value", "otherwise")
        ]
        return f"if {parts[0]} then {parts[1]} else {parts[2]}"

    def index(self, record: Any, pointer: str) -> str:
        items = []
        for each, at in _items(record, "items", pointer):
            if isinstance(each, Mapping) and each.get("kind") == "Slice":
                self.fields(each, at, (ast.Slice,))
                ends = [
                    self.value(each, name, at, CONDITIONAL) if name in each else ""
                    for name in ("start", "stop", "step")
                ]
                items.append(f"{ends[0]}:{ends[1]}" + (f":{ends[2]}" if ends[2] else ""))
            else:
                items.append(self.expression(each, at, CONDITIONAL))
        return f"{self.value(record, 'value', pointer, POSTFIX)}[{', '.join(items)}]"

    def call(self, record: Any, pointer: str) -> str:
        """Return the text of a call in a formula: `word(inputs; settings)`."""
        for name in ("comment", "comments", "empty_parens", "options"):
            if name in record:
                raise self.wrong(f"{pointer}/{name}", "only a call in a pipeline may have this")
        inputs, settings = (
            self._arguments(record, name, pointer) for name in ("inputs", "settings")
        )
        sign = "; " if settings else ";" if record.get("has_semicolon") else ""
        return f"{record['word']}({inputs}{sign}{settings})"

    def stage(self, record: Any, pointer: str) -> str:
        """Return the text of a stage: `word`, `word(settings)` or `word(inputs; settings)`."""
        if self.fields(record, pointer, (ast.Call, ast.Repeat)) is ast.Repeat:
            count = self.value(record, "count", pointer, POSTFIX)
            if not isinstance(record["count"], (int, str)) and not count.startswith("("):
                count = count if re.fullmatch(NUMBER, count) else f"({count})"
            index = f"{record['index']} " if "index" in record else ""
            return f"{count} * {index}({self.stages(record, pointer)})"
        inputs, settings = (
            self._arguments(record, name, pointer) for name in ("inputs", "settings")
        )
        word = record["word"]
        if options := self._arguments(record, "options", pointer):
            word = f"{word}({options})"
        if inputs or record.get("has_semicolon"):
            return f"{word}({inputs}; {settings})"
        is_bare = not settings and not options and not record.get("empty_parens")
        return word if is_bare else f"{word}({settings})"

    def source(self, record: Any, pointer: str) -> str:
        """Return the text of a data source, which is always a call."""
        self.fields(record, pointer, (ast.Call,))
        return self.call(record, pointer)

    def _arguments(self, record: Any, name: str, pointer: str) -> str:
        found = []
        for each, at in _items(record, name, pointer):
            self.fields(each, at, (ast.Argument,))
            found.append(
                (f"{each['name']}=" if "name" in each else "") + self.value(each, "value", at)
            )
        return ", ".join(found)

    def stages(self, record: Any, pointer: str, breaks: tuple[int, ...] = ()) -> str:
        text = ""
        for number, (each, at) in enumerate(_items(record, "stages", pointer)):
            stage = self.stage(each, at)
            comments = each.get("comments", ())
            if number or record["kind"] == "Pipeline":
                before = record["stages"][number - 1] if number else record
                after = f"  {before['comment']}" if "comment" in before else ""
                is_broken = number in breaks or after or comments
                text += (
                    after
                    + "".join(f"\n{line}" for line in comments)
                    + ("\n-> " if is_broken else " -> ")
                )
            elif comments:
                raise self.wrong(
                    f"{at}/comments", "the first stage of a layer cannot have comments"
                )
            text += stage
        if "comment" in record["stages"][-1]:
            raise self.wrong(
                f"{pointer}/stages/{len(record['stages']) - 1}/comment",
                "the comment after the last stage belongs to the statement",
            )
        return text

    def pipeline(self, record: Any, pointer: str) -> str:
        breaks = tuple(record.get("breaks", ()))
        return self.value(record, "value", pointer, CONDITIONAL) + self.stages(
            record, pointer, breaks
        )

    def text(self, record: Any, pointer: str) -> str:
        return _quoted(record["value"])


def _items(record: Any, name: str, pointer: str) -> list[tuple[Any, str]]:
    """Return the items of a list in a record, each with its pointer."""
    return [(each, f"{pointer}/{name}/{k}") for k, each in enumerate(record.get(name, ()))]


def _quoted(text: str) -> str:
    signs = {plain: "\\" + sign for sign, plain in ESCAPES.items()}
    return '"' + "".join(signs.get(each, each) for each in text) + '"'


def _shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 40 else text[:40] + "…"


def _of(word: str) -> Callable[[_TextWriter, Any, str], str]:
    return lambda writer, record, pointer: writer._head(record, pointer, word)


def _fn(writer: _TextWriter, record: Any, pointer: str) -> str:
    if ("value" in record) == ("body" in record):
        raise writer.wrong(pointer, "`Fn` needs either a `value` or a `body`")
    return writer._head(record, pointer, "fn")


def _source_or_split(cls: type) -> Callable[[_TextWriter, Any, str], str]:
    word = keyword_of(cls)

    def text(writer: _TextWriter, record: Any, pointer: str) -> str:
        if ("source" in record) == ("split" in record):
            raise writer.wrong(pointer, f"`{cls.__name__}` needs either a `source` or a `split`")
        if "split" in record:
            return f"{word} split = {writer.value(record, 'split', pointer)}"
        return f"{word} {writer.source(record['source'], f'{pointer}/source')}"

    return text


def _optimizer(writer: _TextWriter, record: Any, pointer: str) -> str:
    text = "optimizer " + writer.stage(record["optimizer"], f"{pointer}/optimizer")
    return text + (" for " + ", ".join(record["paths"]) if record.get("paths") else "")


def _layer(writer: _TextWriter, record: Any, pointer: str) -> str:
    breaks = tuple(record.get("breaks", ()))
    return f"layer {record['name']} = {writer.stages(record, pointer, breaks)}"


def _return(writer: _TextWriter, record: Any, pointer: str) -> str:
    shown = [writer.expression(each, at) for each, at in _items(record, "values", pointer)]
    return "return " + ", ".join(shown)


def _source(writer: _TextWriter, record: Any, pointer: str) -> str:
    return writer.source(record["source"], f"{pointer}/source")


STATEMENT: dict[type, Callable[[_TextWriter, Any, str], str]] = {
    **{cls: _of(keyword_of(cls)) for cls in (*STATEMENTS, *DEFINITIONS)},
    ast.Use: lambda writer, record, pointer: f"use {_quoted(record['path'])}",
    ast.Fn: _fn,
    ast.Let: indices.let,
    ast.Layer: _layer,
    ast.Return: _return,
    ast.Data: lambda writer, record, pointer: f"data {_source(writer, record, pointer)}",
    ast.Test: _source_or_split(ast.Test),
    ast.Validate: _source_or_split(ast.Validate),
    ast.Start: lambda writer, record, pointer: (
        f"start {', '.join(record['paths'])} = {writer.value(record, 'value', pointer)}"
    ),
    ast.Freeze: lambda writer, record, pointer: f"freeze {', '.join(record['paths'])}",
    ast.TrainOptimizer: _optimizer,
    ast.Setting: lambda writer, record, pointer: (
        f"{record['name']} = {writer.value(record, 'value', pointer)}"
    ),
}
VALUE: dict[type, Callable[[_TextWriter, Any, str], str]] = {
    ast.Number: _TextWriter.number,
    ast.String: _TextWriter.text,
    ast.Boolean: lambda writer, record, pointer: "true" if record["value"] else "false",
    ast.Path: lambda writer, record, pointer: ".".join(record["names"]),
    ast.Unary: _TextWriter.unary,
    ast.Binary: _TextWriter.binary,
    ast.Conditional: _TextWriter.conditional,
    ast.Index: _TextWriter.index,
    ast.Call: _TextWriter.call,
    ast.Over: indices.over,
    ast.Pipeline: _TextWriter.pipeline,
}
