"""The options of a sweep, and its study.

The name of a study is that of the model and a hash of everything that its trials depend on: the
text, the files that it uses, the data files and the overrides. The same command therefore continues
a study.
"""

from __future__ import annotations

import hashlib
import json
import warnings
from collections.abc import Mapping
from dataclasses import field
from pathlib import Path
from typing import TYPE_CHECKING, Any

from specc.runtime.errors import run_error
from specc.system.records import dataclass

if TYPE_CHECKING:
    import optuna

    from specc.frontend.search.space import Space
    from specc.source import Source

SAMPLERS = ("tpe", "random", "grid")
DIGITS = 8  # number of hex digits of a hash in names
TRIALS = 40
POINTS = 5
"""Number of grid points in a range of real numbers."""
EXTRA = "a sweep needs Optuna: pip install 'specc-nn[sweep]'"


@dataclass(frozen=True)
class SweepPlan:
    """What each process of a sweep must know.

    `trials` is the total number over all processes and all calls.
    `monitor` is the column whose value chooses the best epoch; empty for the loss without
    penalties.
    """

    name: str  # of the file, for messages and relative paths
    text: str
    folder: str  # where relative data paths start
    overrides: Mapping[str, str]
    runs: str
    storage: str
    study: str
    sampler: str = "tpe"
    is_pruned: bool = False
    trials: int = TRIALS
    threads: int | None = None
    dtype: str = "float32"
    seed: int = 0
    is_max: bool = False
    given: Mapping[str, Any] = field(default_factory=dict)
    monitor: str = ""

    @property
    def source(self) -> Source:
        from specc.source import Source

        return Source(self.name, self.text)

    @property
    def own_folder(self) -> Path:
        """The folder for the sweep's own files, beside the model's runs."""
        return Path(self.runs) / self.study.rpartition("-")[0] / "sweeps" / self.study

    def space(self) -> Space:
        """Return the searches of the file."""
        from specc import driver

        found = driver.space_of(self.source, self.overrides)
        assert found is not None, "a sweep without a search; please report this"
        return found


def study_name(model: str, texts: Mapping[str, str], overrides: Mapping[str, str]) -> str:
    """Return the name of the study for some texts and overrides: `digits-1f08a2c4`."""
    said = json.dumps([dict(sorted(texts.items())), dict(sorted(overrides.items()))])
    return f"{model}-{hashlib.sha256(said.encode()).hexdigest()[:DIGITS]}"


def own_storage(runs: Path, model: str, study: str) -> str:
    """Return the default storage of a sweep: a file beside the model's runs.

    Raises `RunError` if its folder cannot be made.
    """
    folder = runs / model / "sweeps" / study
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise run_error(f"cannot create `{folder}`: {error.strerror}", folder) from None
    return f"sqlite:///{(folder / 'study.db').resolve()}"


def optuna_module() -> Any:
    """Import Optuna and silence its messages. Raises `RunError` if it is not installed."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            import optuna
    except ImportError:
        raise run_error(EXTRA, Path()) from None
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
    return optuna


def study_of(plan: SweepPlan, worker: int = 0) -> optuna.Study:
    """Open or create the study. Raises `RunError` if the storage cannot be opened."""
    optuna = optuna_module()
    pruner = optuna.pruners.MedianPruner(n_startup_trials=5, n_warmup_steps=1)
    try:
        found = optuna.create_study(
            study_name=plan.study,
            storage=_storage(plan.storage),
            sampler=_sampler(plan, worker),
            pruner=pruner if plan.is_pruned else optuna.pruners.NopPruner(),
            direction="maximize" if plan.is_max else "minimize",
            load_if_exists=True,
        )
    except Exception as error:
        # SQLAlchemy has dozens of exception classes for a bad URL
        reason = str(error).split("\n")[0]
        raise run_error(
            f"cannot open the storage `{plan.storage}`: {reason}",
            Path(plan.storage),
            help="use a URL such as sqlite:///sweep.db or postgresql://user:password@host/database",
        ) from None
    return found


def _storage(url: str) -> Any:
    optuna = optuna_module()
    # several processes may write to the same file, so each waits up to 60 s for the others
    options = {"connect_args": {"timeout": 60}} if url.startswith("sqlite") else {}
    return optuna.storages.RDBStorage(url, engine_kwargs=options)


def _sampler(plan: SweepPlan, worker: int) -> Any:
    samplers = optuna_module().samplers
    seed = plan.seed + worker
    if plan.sampler == "tpe":
        # searches that occur in the same trials are drawn jointly (Optuna's group=True)
        return samplers.TPESampler(seed=seed, multivariate=True, group=True)
    return samplers.RandomSampler(seed=seed)
