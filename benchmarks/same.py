"""`python -m benchmarks.same ../old`: does this checkout emit what another one emits?

A refactoring must not change what the compiler emits. Both checkouts emit every model of `models/`
and `benchmarks/models/`: programs, optimized graphs, plans, and the calls and kernels of training,
evaluation and predictions, for one thread and for two. Nothing is compiled to machine code. Modules
that a kernel imports from are ignored. Names may differ if one replaces the other throughout a
text: they are listed, to be read.

The texts of the other checkout are kept in the folder of temporary files, as long as its commit is
the same.
"""

from __future__ import annotations

import ast
import difflib
import gzip
import hashlib
import itertools
import json
import os
import re
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import click

ROOT = Path(__file__).resolve().parent.parent
FOLDERS = ("models", "benchmarks/models")
EMITTED = ROOT / "benchmarks" / "emitted.py"
TOKEN = re.compile(r"[^\W\d]\w*|\d[\w.]*|\s+|.")
MOST_LINES = 40  # of each diff, unless all are asked for

Texts = Mapping[str, str]


@dataclass
class Comparison:
    """What comparing some texts found.

    How many are equal, which differ, which names were mapped.
    """

    equal: int = 0
    in_comments: list[str] = field(default_factory=list)  # titles of kernels with the same code
    different: list[str] = field(default_factory=list)  # titles
    names: Counter[tuple[str, str]] = field(default_factory=Counter)

    def add(self, title: str, old: str | None, new: str | None) -> None:
        """Compare one text with its counterpart; None if it is missing."""
        if old is None or new is None:
            self.different.append(title)
        elif old == new:
            self.equal += 1
        elif (renamed := mapping(old, new)) is not None:
            self.equal += 1
            self.names.update(renamed.items())
        elif ("kernel" in title or "listing" in title) and (
            renamed := mapping(code(old), code(new))
        ) is not None:
            self.in_comments.append(title)
            self.names.update(renamed.items())
        else:
            self.different.append(title)


def mapping(old: str, new: str) -> dict[str, str] | None:
    """The names of `old` that another name of `new` replaces throughout; None if more differs."""
    if old == new:
        return {}
    there: dict[str, str] = {}
    back: dict[str, str] = {}
    for before, after in itertools.zip_longest(tokens(old), tokens(new)):
        if before is None or after is None:
            return None
        if not (before.isidentifier() and after.isidentifier()):
            if before != after:
                return None
        elif there.setdefault(before, after) != after or back.setdefault(after, before) != before:
            return None
    return {before: after for before, after in there.items() if before != after}


def tokens(text: str) -> Iterator[str]:
    """Names, numbers, and everything else; any space within a line is one space."""
    for match in TOKEN.finditer(text):
        token = match[0]
        yield token if not token.isspace() else "\n" if "\n" in token else " "


def code(kernel: str) -> str:
    """A kernel's code without comments, imports and layout; the text itself if it is not Python.

    An assignment of several values is one for each, and numbers that have a name are put in.
    """
    try:
        tree = ast.parse(kernel)
    except SyntaxError:
        return kernel
    numbers = {}
    statements: list[ast.stmt] = []
    for node in tree.body:
        match node:
            case ast.Import() | ast.ImportFrom() | ast.Expr(ast.Constant(str())):
                continue
            case ast.Assign([ast.Name(name)], value) if is_number(value):
                numbers[name] = ast.Constant(eval(ast.unparse(value)))
            case _:
                statements.append(node)
    tree.body = statements
    tree = Plain(numbers).visit(tree)
    tree.body = [
        each
        for number, each in enumerate(tree.body)
        if not isinstance(each, ast.Assign) or is_called(each, tree.body[number:])
    ]
    # the options in comments come before the source
    options = itertools.takewhile(lambda line: line.startswith("# "), kernel.splitlines())
    return "\n".join([*options, ast.unparse(tree)])


def is_number(node: ast.expr) -> bool:
    """Return whether an expression is made of numbers alone."""
    return not any(isinstance(each, ast.Call | ast.Name | ast.Tuple) for each in ast.walk(node))


def is_called(made: ast.Assign, following: Sequence[ast.stmt]) -> bool:
    """Return whether the next kernel uses the function that is made for it, if it is one."""
    if not isinstance(made.value, ast.Call):
        return True
    kernel = next((each for each in following if isinstance(each, ast.FunctionDef)), None)
    names = (
        [] if kernel is None else [each for each in ast.walk(kernel) if isinstance(each, ast.Name)]
    )
    return any(each.id == ast.unparse(made.targets[0]) for each in names)


class Plain(ast.NodeTransformer):
    """Writes in one way what Python can write in several."""

    def __init__(self, numbers: Mapping[str, ast.Constant]):
        self._numbers = numbers

    def visit_FunctionDef(self, node: ast.FunctionDef) -> ast.FunctionDef:
        if ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
        self.generic_visit(node)
        return node

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return self._numbers.get(node.id, node)

    def visit_Compare(self, node: ast.Compare) -> ast.expr:
        self.generic_visit(node)
        if all(isinstance(each, ast.Constant) for each in (node.left, *node.comparators)):
            return ast.Constant(eval(ast.unparse(node)))
        return node

    def visit_Call(self, node: ast.Call) -> ast.Call:
        self.generic_visit(node)
        if isinstance(node.func, ast.Name) and node.func.id == "range":
            if len(node.args) == 3 and ast.unparse(node.args[2]) == "1":
                del node.args[2]
            if len(node.args) == 2 and ast.unparse(node.args[0]) == "0":
                del node.args[0]
        return node

    def visit_Assign(self, node: ast.Assign) -> ast.Assign | list[ast.Assign]:
        self.generic_visit(node)
        match node:
            case ast.Assign([ast.Tuple(places)], ast.Tuple(values)):
                return [
                    ast.copy_location(ast.Assign([place], value), node)
                    for place, value in zip(places, values, strict=True)
                ]
        return node


# The texts of a checkout.


def models(checkout: Path) -> list[str]:
    """The model files of a checkout, relative to it."""
    return sorted(
        path.relative_to(checkout).as_posix()
        for folder in FOLDERS
        for path in (checkout / folder).glob("*.dl")
    )


def start(checkout: Path, files: Sequence[str], output: Path) -> subprocess.Popen[bytes]:
    """Start a process that writes the texts of the models, a line each."""
    environment = {**os.environ, "PYTHONPATH": str(checkout)}
    with output.open("wb") as stream:
        return subprocess.Popen(
            [sys.executable, "-P", str(EMITTED), str(checkout), *files],
            stdout=stream,
            env=environment,
        )


def kept_file(checkout: Path) -> Path | None:
    """Where the texts of a checkout are kept; None if it has changes that are not committed."""

    def git(*arguments: str) -> str:
        done = subprocess.run(
            ["git", "-C", str(checkout), *arguments], capture_output=True, text=True, check=False
        )
        return done.stdout.strip() if not done.returncode else "?"

    commit = git("rev-parse", "HEAD")
    if commit == "?" or git("status", "--porcelain", "--", "specc", "grammars", *FOLDERS):
        return None
    key = hashlib.sha256(f"{commit} {sys.version}".encode() + EMITTED.read_bytes()).hexdigest()
    user = os.getuid() if hasattr(os, "getuid") else 0
    folder = Path(tempfile.gettempdir()) / f"specc-same-{user}"
    folder.mkdir(mode=0o700, exist_ok=True)
    return folder / f"{key[:24]}.json.gz"


def read(text: str) -> dict[str, dict[str, str]]:
    """The texts of each model by their titles."""
    found = {}
    for line in text.splitlines():
        model = json.loads(line)
        found[model["file"]] = {
            title: model["bodies"][key] for title, key in model["titles"].items()
        }
    return found


def emitted(
    old: Path, new: Path, chosen: Sequence[str]
) -> tuple[dict[str, dict[str, str]], dict[str, dict[str, str]]]:
    """The texts of both checkouts, emitted side by side."""
    kept = kept_file(old)
    with tempfile.TemporaryDirectory() as folder:
        outputs = {new: Path(folder) / "new", old: Path(folder) / "old"}
        processes = []
        for checkout, output in outputs.items():
            if checkout == old and kept is not None and kept.exists():
                output.write_bytes(gzip.decompress(kept.read_bytes()))
                continue
            files = [file for file in models(checkout) if not chosen or Path(file).stem in chosen]
            processes.append(start(checkout, files, output))
        try:
            failed = [process.wait() for process in processes]
        finally:
            for process in processes:
                process.kill()
        if any(failed):
            raise click.ClickException("a checkout could not be emitted: see the error above")
        if kept is not None and not chosen and not kept.exists():
            whole = kept.with_suffix(f".{os.getpid()}")
            whole.write_bytes(gzip.compress(outputs[old].read_bytes(), 1))
            whole.replace(kept)
        texts = [read(outputs[checkout].read_text()) for checkout in (old, new)]
    for each in texts:
        for file in [file for file in each if chosen and Path(file).stem not in chosen]:
            del each[file]
    return texts[0], texts[1]


def diff(title: str, old: str | None, new: str | None, everything: bool) -> str:
    """The lines that differ; a text that is missing is empty."""
    lines = list(
        difflib.unified_diff(
            (old or "").splitlines(), (new or "").splitlines(), "other", "this", lineterm="", n=2
        )
    )
    more = [f"... {len(lines) - MOST_LINES} more lines"] if len(lines) > MOST_LINES else []
    shown = lines if everything else lines[:MOST_LINES] + more
    return "\n".join([f"--- {title}", *shown])


@click.command()
@click.argument("checkout", type=click.Path(exists=True, file_okay=False, path_type=Path))
@click.option("--models", "chosen", default="", help="Names of models, as `lenet,tiny`.")
@click.option("--diff", "show", is_flag=True, help="Print the first difference of each model.")
@click.option("--all", "everything", is_flag=True, help="Print all differences, in full.")
def main(checkout: Path, chosen: str, show: bool, everything: bool) -> None:
    """Compare what this checkout emits with what the one in the folder CHECKOUT emits.

    Exits with 1 if something differs beyond names, or the comments of kernels.
    """
    names = [name for name in chosen.split(",") if name]
    if unknown := set(names) - {Path(file).stem for file in models(ROOT)}:
        raise click.UsageError(f"there is no model {', '.join(sorted(unknown))}")
    old, new = emitted(checkout.resolve(), ROOT, names)
    whole = Comparison()
    for file in sorted({*old, *new}):
        if file not in old or file not in new:
            click.echo(f"{file}: only in {'this' if file in new else 'the other'} checkout")
            continue
        found = Comparison()
        for title in dict.fromkeys((*old[file], *new[file])):
            found.add(title, old[file].get(title), new[file].get(title))
        if found.different:
            click.echo(f"{file}: {len(found.different)} of {len(new[file])} texts differ")
            for title in found.different if everything else found.different[:3]:
                click.echo(f"    {title}")
            for title in found.different if everything else found.different[:1] if show else ():
                click.echo(diff(title, old[file].get(title), new[file].get(title), everything))
        whole.equal += found.equal
        whole.different += found.different
        whole.in_comments += found.in_comments
        whole.names += found.names
    for (before, after), count in whole.names.most_common():
        click.echo(f"name: {before} -> {after} ({count} texts)")
    if whole.in_comments:
        click.echo(f"{len(whole.in_comments)} kernels differ in comments or layout alone")
    click.echo(f"{whole.equal} texts are the same, {len(whole.different)} differ")
    sys.exit(bool(whole.different))


if __name__ == "__main__":
    main()
