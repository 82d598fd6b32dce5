"""What a sweep keeps beside its runs, so that others can read of it: sweep.json.

keep(plan)
plan = kept(Path("runs/digits/sweeps/digits-1f08a2c4"))
folder_of("digits-1f08a2c4")        # the folder of a sweep by its name, or None
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from pathlib import Path
from urllib.parse import urlsplit

from specc.runtime.errors import run_error
from specc.runtime.files import make_folders, reason, write
from specc.sweeps.plan import SweepPlan, own_storage

FILE = "sweep.json"
RUNS = Path("runs")
UNKEPT = ("given", "runs", "storage")


def keep(plan: SweepPlan) -> None:
    """Write what a sweep was asked to do into its folder. Raises `RunError`.

    A storage's password is not written.
    """
    said = {name: each for name, each in asdict(plan).items() if name not in UNKEPT}
    own = own_storage(Path(plan.runs), _model(plan.study), plan.study)
    has_secret = urlsplit(plan.storage).password is not None
    said["storage"] = "" if plan.storage == own or has_secret else plan.storage
    said["is_secret"] = has_secret
    content = (json.dumps(said, indent=1) + "\n").encode()
    path = plan.own_folder / FILE
    try:
        make_folders(plan.own_folder)
        is_there = path.is_file() and path.read_bytes() == content
    except OSError as error:
        raise run_error(f"cannot write `{path}`: {reason(error)}", path) from None
    if not is_there:
        write(path, content)


def kept(folder: Path) -> SweepPlan:
    """Return the plan of a sweep by its folder. Raises `RunError`."""
    path = folder / FILE
    try:
        said = json.loads(path.read_bytes())
        is_secret, storage = said.pop("is_secret"), said.pop("storage")
        known = {each.name for each in fields(SweepPlan)}
        if not said.keys() <= known:
            raise ValueError
        runs = folder.parents[2]
        plan = SweepPlan(
            **said,
            runs=str(runs),
            storage=storage or own_storage(runs, folder.parents[1].name, folder.name),
        )
    except (OSError, ValueError, TypeError, KeyError, AttributeError):
        raise run_error(f"`{path}` is not what specc wrote", path) from None
    if is_secret:
        raise run_error(
            f"the storage of the sweep `{folder.name}` has a password, which specc does not keep",
            path,
            help="the command of the sweep writes its report at the end; with as many trials as"
            " there are it trains nothing",
        )
    return plan


def folder_of(name: str | Path, runs: Path = RUNS) -> Path | None:
    """Return the folder of a sweep: by its path, or by its name in the folder of runs."""
    path = Path(name)
    if (path / FILE).is_file():
        return path
    found = runs / _model(path.name) / "sweeps" / path.name
    return found if (found / FILE).is_file() else None


def names(runs: Path = RUNS) -> list[str]:
    """Return the names of all sweeps in the folder of runs."""
    return sorted(path.parent.name for path in runs.glob(f"*/sweeps/*/{FILE}"))


def _model(study: str) -> str:
    return study.rpartition("-")[0]
