"""The common part of the classifier and the regressor: parameters, training, outputs."""

from __future__ import annotations

from dataclasses import replace
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from scipy.sparse import issparse
from sklearn.base import BaseEstimator, ClassifierMixin, RegressorMixin
from sklearn.exceptions import NotFittedError
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state, column_or_1d
from sklearn.utils.validation import _check_sample_weight, check_is_fitted, validate_data

from specc.net.fitting import fit_data
from specc.net.training import untrainable
from specc.passes.weigh import WEIGHT, weighed
from specc.recipe import Column, Port
from specc.runs.starts import begin
from specc.runtime.data import Data, DataPart
from specc.sklearn.default import BATCH, EPOCHS, NORMALIZED_DECAY
from specc.source import Source

if TYPE_CHECKING:
    from specc.ir.program import Program
    from specc.net.net import Net


class SpecEstimator(BaseEstimator):
    """The base class of `SpecClassifier` and `SpecRegressor`."""

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        epochs: int | None = None,
        batch: int | None = None,
        dtype: str | None = None,
        random_state=None,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        n_jobs: int | None = None,
        **overrides,
    ) -> None:
        self.model = model
        self.epochs = epochs
        self.batch = batch
        self.dtype = dtype
        self.random_state = random_state
        self.warm_start = warm_start
        self.early_stopping = early_stopping
        self.validation_fraction = validation_fraction
        self.n_iter_no_change = n_iter_no_change
        self.n_jobs = n_jobs
        for name, value in overrides.items():
            setattr(self, name, value)

    # Parameters: those of the signature, and overrides of the model's settings.

    def _overrides(self) -> dict[str, Any]:
        return dict(vars(self).get("_given", {}))

    def __setattr__(self, name: str, value: Any) -> None:
        # overrides are kept apart, because an estimator has no attributes except parameters and
        # results
        if name.startswith("_") or name.endswith("_") or name in self._get_param_names():
            super().__setattr__(name, value)
        else:
            self.__dict__.setdefault("_given", {})[name] = value

    def __getattr__(self, name: str) -> Any:
        given = vars(self).get("_given", {})
        if name in given:
            return given[name]
        raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the parameters, including overrides."""
        return {**super().get_params(deep), **self._overrides()}

    def set_params(self, **params):
        """Set parameters; a name that the estimator does not have is an override of the model.

        If the model does not have the name either, `fit` raises an error.
        """
        for name, value in params.items():
            if name.endswith("_") or name.startswith("_") or "__" in name:
                raise ValueError(f"{name!r} is not a parameter of {type(self).__name__}")
            setattr(self, name, value)
        return self

    # Training.

    def fit(self, X, y, sample_weight=None):
        """Train on X `[n, features]` and y; with `warm_start`, from the current weights."""
        X, y, weight = self._checked(X, y, sample_weight, is_first=True)
        seed = check_random_state(self.random_state).randint(2**31 - 1)
        if not (self.warm_start and hasattr(self, "net_")):
            self._learn_scales(X, y, weight)
            self.net_ = self._compiled(X, y, seed)
            self.loss_curve_: list[float] = []
        data = self._data(X, y, weight, seed)
        self._train(data, self.epochs, seed)
        return self

    def partial_fit(self, X, y, sample_weight=None):
        """Train for one epoch on X and y, from the current weights."""
        is_first = not hasattr(self, "net_")
        X, y, weight = self._checked(X, y, sample_weight, is_first)
        if is_first:
            self._seed = check_random_state(self.random_state).randint(2**31 - 1)
            self._learn_scales(X, y, weight)
            self.net_ = self._compiled(X, y, self._seed)
            self.loss_curve_ = []
        self._train(self._data(X, y, weight, None), 1, getattr(self, "_seed", 0))
        return self

    def _checked(self, X, y, sample_weight, is_first: bool):
        """Return X, y and the weights of the examples as arrays. Raises ValueError for bad data."""
        X, y = validate_data(
            self,
            X,
            y,
            accept_sparse="csr",
            dtype=[np.float64, np.float32],
            multi_output=True,
            y_numeric=isinstance(self, RegressorMixin),
            reset=is_first,
        )
        X = _dense(X)
        if y.ndim == 2 and y.shape[1] == 1:
            y = column_or_1d(y, warn=True)
        if self.dtype is not None:
            X = X.astype(self.dtype)
        y, weight = self._encoded(y, sample_weight, is_first)
        if sample_weight is not None:
            own = _check_sample_weight(sample_weight, X, dtype=np.float64, ensure_non_negative=True)
            if not own.any():
                raise ValueError("Sample weights must contain at least one non-zero number.")
            weight = own if weight is None else weight * own
        return X, y, weight

    def _encoded(self, y, sample_weight, is_first: bool):
        """Return y as the model's target, and the weight of each example's class or None."""
        return y, None

    def _text(self) -> str:
        """Return the text of the default model."""
        raise NotImplementedError

    def _source(self) -> tuple[Any, dict[str, str]]:
        from specc.runs.train import source_and_content

        text = self.model
        if text is None:
            examples = max(self._examples, 10.0)  # a sum of small weights does not mean no examples
            share = min(BATCH, examples) / (examples * (self.epochs or EPOCHS))
            decay = NORMALIZED_DECAY * share**0.5
            text = self._text().replace("DECAY", f"{decay:.4g}")
        source, _, values = source_and_content(text)
        return source, dict(values)

    def _compiled(self, X, y, seed: int) -> Net:
        """Compile the model with the sizes of X and y."""
        from specc import driver

        source, values = self._source()
        changes = {**values, **{name: str(value) for name, value in self._overrides().items()}}
        sizes = self._sizes(_loaded(source.name, source.text, tuple(changes.items())), X, y)
        given = tuple({**sizes, **changes}.items())
        program = _loaded(source.name, source.text, given)
        self._check_ports(program, X, y)
        batch = self.batch or program.recipe.batch
        threads = _threads(self.n_jobs)
        dtype = "float32" if X.dtype == np.float32 else "float64"
        if reason := untrainable(program):
            raise ValueError(f"{program.name} cannot be trained: {reason}")
        program = replace(program, recipe=replace(program.recipe, batch=batch, seed=seed))
        net = driver.compile(weighed(program), min(batch, len(X)), dtype, threads, seed)
        begin(net, Path(source.name).parent)
        return net

    def _sizes(self, program: Program, X, y) -> dict[str, int]:
        """Return the symbolic dimensions that X and y determine, by name."""
        found: dict[str, int] = {}

        def bind(size: object, value: int) -> None:
            if isinstance(size, int) or not str(size).isidentifier():
                return
            found[str(size)] = value

        (x,), (target,) = _ports(program, "input"), _ports(program, "target")
        if len(x.shape) == 1:
            bind(x.shape[0], X.shape[1])
        if target.kind == "class":
            bind(target.classes, len(self.classes_))
        if len(target.shape) == 1:
            bind(target.shape[0], 1 if y.ndim == 1 else y.shape[1])
        return found

    def _check_ports(self, program: Program, X, y) -> None:
        """Raise ValueError if the model does not fit X and y."""
        (x,) = _ports(program, "input")
        if x.kind != "float" or int(np.prod(x.shape)) != X.shape[1]:
            raise ValueError(
                f"X has {X.shape[1]} features, but `{x.name}` of {program.name} is"
                f" {x.kind}{list(x.shape)}"
            )

    def _learn_scales(self, X, y, weight) -> None:
        """Learn how the default network standardizes its inputs."""
        self._shift = self._scale = None
        self._examples = float(len(X) if weight is None else weight.sum())
        if self.model is None:
            self._shift, self._scale = mean_and_scale(X, weight)

    def _inputs(self, X) -> dict[str, Column]:
        (x,) = _ports(self.net_.program, "input")
        if self._shift is not None:
            X = ((X - self._shift) * self._scale).astype(X.dtype)
        return {x.name: Column(np.ascontiguousarray(X.reshape(len(X), *x.shape)))}

    def _targets(self, y) -> np.ndarray:
        (target,) = _ports(self.net_.program, "target")
        kinds = {"class": np.int32, "bool": bool}
        dtype = kinds.get(target.kind, self.net_.dtype)
        return np.ascontiguousarray(y.reshape(len(y), *target.shape), dtype)

    def _data(self, X, y, weight, seed: int | None) -> Data:
        """Return the training and validation examples; without a `seed`, only training examples."""
        (target,) = _ports(self.net_.program, "target")
        weight = np.ones(len(X)) if weight is None else weight / weight.mean()
        columns = {
            **self._inputs(X),
            target.name: Column(self._targets(y)),
            WEIGHT: Column(weight.astype(self.net_.dtype)),
        }
        rows = np.arange(len(X))
        parts = {"training": rows}
        if self.early_stopping and seed is not None:
            is_stratified = isinstance(self, ClassifierMixin) and y.ndim == 1
            training, validation = train_test_split(
                rows,
                test_size=self.validation_fraction,
                random_state=seed,
                stratify=y if is_stratified else None,
            )
            parts = {"training": np.sort(training), "validation": np.sort(validation)}
        return Data({name: DataPart(columns, each) for name, each in parts.items()})

    def _train(self, data: Data, epochs: int | None, seed: int) -> None:
        recipe = replace(
            self.net_.program.recipe,
            seed=seed,
            patience=self.n_iter_no_change if self.early_stopping else None,
        )
        found = fit_data(self.net_, data, recipe, epochs)
        self.loss_curve_ += [each.training["loss"] for each in found]
        self.n_iter_ = len(self.loss_curve_)

    # Predictions.

    def _outputs(self, X) -> np.ndarray:
        """Return the output that is compared with y, `[n, *shape]`."""
        check_is_fitted(self, "net_")
        X = validate_data(self, X, accept_sparse="csr", dtype=[np.float64, np.float32], reset=False)
        X = _dense(X)
        found = self.net_.predict_rows(self._inputs(X.astype(self.net_.dtype, copy=False)))
        return found[self._output_name()]

    def _output_name(self) -> str:
        program = self.net_.program
        if not program.outputs:
            raise NotFittedError(f"{program.name} has no output")
        return program.outputs[0].name

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.sparse = True
        return tags


def _ports(program: Program, role: str) -> list[Port]:
    """Return the only input or target of a model, in a list. Raises ValueError otherwise."""
    found = [port for port in program.ports if port.role == role and "." not in port.name]
    if len(found) != 1:
        raise ValueError(
            f"{program.name} has {len(found)} {role}s: an estimator needs a model with one"
        )
    return found


def _dense(X):
    """Convert a sparse matrix to an array."""
    return X.toarray() if issparse(X) else X


def mean_and_scale(values: np.ndarray, weight) -> tuple[np.ndarray, np.ndarray]:
    """Return the weighted mean of each column, and 1 / deviation (1 if it is constant)."""
    values = values.astype(float)
    mean = np.average(values, axis=0, weights=weight)
    deviation = np.sqrt(np.average((values - mean) ** 2, axis=0, weights=weight))
    is_constant = deviation <= 10 * np.finfo(float).eps * np.abs(mean)
    return mean, 1 / np.where(is_constant, 1.0, deviation)


@lru_cache(maxsize=64)
def _loaded(name: str, text: str, changes: tuple[tuple[str, str | int], ...]) -> Program:
    """Return the program of a text; cached, because parameter searches repeat programs."""
    from specc import driver

    return driver.load(Source(name, text), dict(changes))


def _threads(n_jobs: int | None) -> int:
    from specc import driver

    if n_jobs is None:
        return 1
    return n_jobs if n_jobs > 0 else max(1, driver.processors() + 1 + n_jobs)
