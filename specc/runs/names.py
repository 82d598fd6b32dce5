"""Finds the folders of runs by their names.

folder_of("runs/digits/3")     a folder with a run
folder_of("digits/3")          run 3 of the model `digits`, in the folder `runs`
folder_of("digits")            its newest run
folder_of("@last")             the most recently trained run
folder_of("@best")             the best run of the most recently trained model
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from specc.diagnostics import closest

RUNS = Path("runs")
RECORD = "run.json"
WORDS = ("@last", "@best")


def folder_of(name: str | Path, runs: Path = RUNS) -> Path:
    """Return the folder of a run. Raises `RunError`, with similar names as help, if none."""
    from specc.runtime.errors import run_error

    path = Path(name)
    text = str(name).rstrip("/")
    if text in WORDS:
        return _of_word(text, runs)
    if (path / RECORD).is_file():
        return path
    if text.startswith("@"):
        raise run_error(f"unknown run name `{text}`", runs, help="use `@last` or `@best`")
    inside = runs / path
    if not path.is_absolute() and (inside / RECORD).is_file():
        return inside
    for each in (path, inside):
        if each.is_dir() and (own := sorted(_numbered(each), key=lambda run: int(run.name))):
            return own[-1]
    if path.exists():
        what = "is not a run: it has no run.json" if path.is_dir() else "is a file, not a run"
        raise run_error(f"`{text}` {what}", path, help=_similar(text, runs))
    raise run_error(f"there is no run `{text}`", runs, help=_similar(text, runs))


def is_name(text: str) -> bool:
    """Return whether a text is the name of a run, and not of a file."""
    if text in WORDS or (Path(text) / RECORD).is_file():
        return True
    inside = RUNS / text
    return not Path(text).exists() and (
        (inside / RECORD).is_file() or (inside.is_dir() and any(_numbered(inside)))
    )


def name_of(folder: Path, runs: Path = RUNS) -> str:
    """Return the short name of a run in `runs`, `digits/3`; elsewhere its path."""
    try:
        return folder.relative_to(runs).as_posix()
    except ValueError:
        return str(folder)


def folders(runs: Path = RUNS) -> list[Path]:
    """Return the folders of all runs, sorted by model and number."""
    found = [each.parent for each in runs.glob(f"*/*/{RECORD}") if each.parent.name.isdigit()]
    return sorted(found, key=lambda each: (each.parent.name, int(each.name)))


def trained_last(runs: Path = RUNS) -> Path | None:
    """Return the most recently trained run; None if there is none."""
    found = folders(runs)
    return max(found, key=_trained_at) if found else None


def _trained_at(folder: Path) -> tuple[int, int]:
    """Return the sort key of when a run was last written; ties are broken by number."""
    return (folder / RECORD).stat().st_mtime_ns, int(folder.name)


def _numbered(folder: Path) -> Iterator[Path]:
    return (each for each in folder.iterdir() if each.name.isdigit() and (each / RECORD).is_file())


def _of_word(word: str, runs: Path) -> Path:
    from specc.runtime.errors import run_error

    last = trained_last(runs)
    if last is None:
        raise run_error(
            f"`{word}` does not exist yet: `{runs}` has no runs",
            runs,
            help="start one with `specc train FILE`",
        )
    return last if word == "@last" else _best(list(_numbered(last.parent)), last)


def _best(found: list[Path], last: Path) -> Path:
    """Return the run with the best value of its monitored metric; `last` if none has one."""
    from specc.runs.summary import best_value

    values = {folder: best_value(folder) for folder in found}
    known = {
        folder: value for folder, value in values.items() if value is not None and value == value
    }
    if not known:
        return last
    return min(known, key=lambda each: (known[each], -int(each.name)))


def _similar(text: str, runs: Path) -> str | None:
    known = [name_of(each, runs) for each in folders(runs)]
    near = closest(text, {*known, *(each.rpartition("/")[0] for each in known), *WORDS})
    if near:
        return f"did you mean `{near}`?"
    if not known:
        return f"`{runs}` has no runs; start one with `specc train FILE`"
    shown = ", ".join(f"`{each}`" for each in known[-8:])
    return f"the runs in `{runs}` are {'.., ' if len(known) > 8 else ''}{shown}"
