"""The scope of a file: its own definitions, and those of the files that it imports with `use`.

A path is relative to the importing file, and must stay inside the folder of the checked file.
"""

from __future__ import annotations

from pathlib import Path

from specc.diagnostics import Label, Report, SpecError
from specc.frontend.primitives import PRIMITIVES
from specc.frontend.scope.scope import DEEPEST, Context, Scope
from specc.frontend.syntax import ast
from specc.frontend.syntax.parse import parse
from specc.frontend.syntax.reading import read_source
from specc.source import Source, Span


def file_scope(context: Context, file: ast.File) -> Scope:
    """Return the scope of `file`. Report files that cannot be imported, and duplicate names."""
    library = Scope(context, None, is_library=True, primitives=PRIMITIVES)
    root = _folder(file.source)
    return _scope(context, file, library, root, (_resolved(file.source),), {})


def words_of(file: ast.File) -> Scope:
    """Return the scope of a checked file, to look up its definitions."""
    return file_scope(Context(Report()), file)


def _folder(source: Source) -> Path:
    return Path(source.name).resolve().parent


def _resolved(source: Source) -> Path:
    return Path(source.name).resolve()


def _scope(
    context: Context,
    file: ast.File,
    library: Scope,
    root: Path,
    chain: tuple[Path, ...],
    done: dict[Path, Scope | None],
) -> Scope:
    scope = Scope(context, file.source, library=library)
    for definition in file.definitions:
        if isinstance(definition, ast.Use):
            used = _used(context, definition, file.source, library, root, chain, done)
            if used is not None:
                scope.is_incomplete |= used.is_incomplete
                for name, found in used.definitions.items():
                    _add(context, scope, name, *found, definition.span)
            else:
                scope.is_incomplete = True
        elif isinstance(definition, ast.Broken):
            for each in definition.names:
                scope.definitions.setdefault(each.text, (definition, scope))
        elif isinstance(definition, ast.Named):
            own = definition.name
            _add(context, scope, own.text, definition, scope, own.span)
    return scope


def _add(
    context: Context,
    scope: Scope,
    name: str,
    definition: ast.Definition,
    owner: Scope,
    span: Span,
) -> None:
    earlier = scope.definitions.get(name)
    if earlier is None:
        scope.definitions[name] = (definition, owner)
    elif earlier[0] is not definition and isinstance(earlier[0], ast.Named):
        context.error(
            "duplicate-name",
            f"`{name}` is already defined",
            span,
            labels=[Label(earlier[0].name.span, "first defined here")],
            help="rename one of them",
        )


def _used(
    context: Context,
    use: ast.Use,
    source: Source,
    library: Scope,
    root: Path,
    chain: tuple[Path, ...],
    done: dict[Path, Scope | None],
) -> Scope | None:
    """Return the scope of the file that `use` names; None after an error."""
    text = use.path.value
    if not text.endswith(".dl"):
        context.error("bad-use", f"`use` imports a `.dl` file, not `{text}`", use.path.span)
        return None
    try:
        path = (_folder(source) / text).resolve()
        is_special = path.exists() and not path.is_file()
    except (OSError, RuntimeError, ValueError) as error:  # too long, circular links, a NUL
        reason = getattr(error, "strerror", None) or "it is not a path of a file"
        context.error("cannot-read", f"cannot read `{text}`: {reason}", use.path.span)
        return None
    if Path(text).is_absolute() or not path.is_relative_to(root):
        context.error(
            "bad-use",
            f"`{text}` is outside the folder of the checked file",
            use.path.span,
            help="keep files that belong together in one folder",
        )
        return None
    if path in chain:
        context.error(
            "bad-use",
            f"`{text}` is already being read: the files import each other in a circle",
            use.path.span,
        )
        return None
    if path in done:
        return done[path]
    if len(chain) > DEEPEST:
        context.error(
            "bad-use", f"imports of files are nested more than {DEEPEST} deep", use.path.span
        )
        return None
    if is_special:
        context.error("cannot-read", f"cannot read `{text}`: it is not a file", use.path.span)
        return None
    done[path] = None
    try:
        read = read_source(path)
    except SpecError as error:
        context.error(
            "cannot-read", error.diagnostics[0].message.replace(str(path), text), use.path.span
        )
        return None
    file, diagnostics = parse(Source(str(Path(source.name).parent / text), read.text))
    for each in diagnostics:
        context.report.add(each)
    for definition in file.definitions:
        if isinstance(definition, (ast.Model, ast.Train)):
            word = "model" if isinstance(definition, ast.Model) else "train"
            context.error(
                "bad-use",
                f"`{text}` has a `{word}`, but an imported file may have only definitions",
                use.path.span,
                labels=[Label(definition.span, f"the `{word}`")],
            )
            return None
    done[path] = _scope(context, file, library, root, (*chain, path), done)
    return done[path]
