"""The scikit-learn classifier: a model of classes, booleans or several labels."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from sklearn.base import ClassifierMixin
from sklearn.utils.class_weight import compute_sample_weight
from sklearn.utils.multiclass import check_classification_targets, type_of_target

from specc.net.answers import sigmoid, softmax
from specc.sklearn.default import CLASSES, LABELS
from specc.sklearn.estimator import SpecEstimator


class SpecClassifier(ClassifierMixin, SpecEstimator):
    """A scikit-learn classifier.

    `model` is a .dl file, its text, or None for a small dense network. Its only target is a class,
    a boolean, or a vector of numbers for several labels at once.

    epochs, batch        by default those of the model
    dtype                "float32" or "float64"; by default that of X
    class_weight         a dict, or "balanced" to give all classes the same total weight
    warm_start           `fit` continues from the current weights
    early_stopping       holds out a share `validation_fraction`; training ends after
                         `n_iter_no_change` epochs without improvement, with the best weights
    n_jobs               threads; -1 for all processors

    >>> from sklearn.datasets import load_iris
    >>> X, y = load_iris(return_X_y=True)
    >>> SpecClassifier(random_state=0).fit(X, y).score(X, y) > 0.95
    True
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        epochs: int | None = None,
        batch: int | None = None,
        dtype: str | None = None,
        random_state=None,
        class_weight=None,
        warm_start: bool = False,
        early_stopping: bool = False,
        validation_fraction: float = 0.1,
        n_iter_no_change: int = 10,
        n_jobs: int | None = None,
        **overrides,
    ) -> None:
        super().__init__(
            model,
            epochs=epochs,
            batch=batch,
            dtype=dtype,
            random_state=random_state,
            warm_start=warm_start,
            early_stopping=early_stopping,
            validation_fraction=validation_fraction,
            n_iter_no_change=n_iter_no_change,
            n_jobs=n_jobs,
            **overrides,
        )
        self.class_weight = class_weight

    def partial_fit(  # type: ignore[override]  # scikit-learn has two signatures
        self, X, y, classes=None, sample_weight=None
    ):
        """Train for one epoch on X and y; the first call needs all `classes`."""
        if classes is not None and not hasattr(self, "net_"):
            self._all_classes = np.unique(classes)
        return super().partial_fit(X, y, sample_weight)

    def _encoded(self, y, sample_weight, is_first: bool):
        check_classification_targets(y)
        if y.ndim == 2:
            if is_first:
                self._is_multilabel = type_of_target(y).startswith("multilabel")
                self.classes_ = np.arange(y.shape[1])
            if not self._is_multilabel:
                raise ValueError(f"y must be [n], or [n, labels] of 0 and 1, not {list(y.shape)}")
            return np.asarray(y, float), None
        if is_first:
            self._is_multilabel = False
            known = getattr(self, "_all_classes", None)
            self.classes_ = np.unique(y) if known is None else known
            if known is not None:
                del self._all_classes
        numbers = np.searchsorted(self.classes_, y).clip(max=len(self.classes_) - 1)
        if (self.classes_[numbers] != y).any():
            new = sorted(set(np.unique(y).tolist()) - set(self.classes_.tolist()))
            raise ValueError(f"y has classes that earlier data did not have: {new}")
        if self.class_weight is None:
            return numbers, None
        return numbers, compute_sample_weight(self.class_weight, y)

    def _text(self) -> str:
        return LABELS if self._is_multilabel else CLASSES

    def predict_proba(self, X) -> np.ndarray:
        """Return the probability of each class, `[n, classes]`."""
        return self._chances(self._outputs(X))

    def _chances(self, scores: np.ndarray) -> np.ndarray:
        meaning = self.net_.meanings.get(self._output_name())
        is_chance = meaning is not None and meaning.holds == "probabilities"
        if self._is_multilabel:
            return scores if is_chance else sigmoid(scores)
        if scores.ndim == 1 or scores.shape[1:] == (1,) != (len(self.classes_),):
            chance = scores.reshape(-1) if is_chance else sigmoid(scores.reshape(-1))
            return np.stack([1 - chance, chance], axis=1)
        return scores if is_chance else softmax(scores)

    def predict(self, X) -> np.ndarray:
        """Return the most likely class of each example, `[n]`; or 0 and 1, `[n, labels]`."""
        chances = self.predict_proba(X)
        if self._is_multilabel:
            return (chances > 0.5).astype(int)
        return self.classes_[chances.argmax(axis=1)]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.classifier_tags.multi_label = self.model is None
        return tags
