"""The scikit-learn regressor: a model of numbers."""

from __future__ import annotations

import numpy as np
from sklearn.base import RegressorMixin

from specc.sklearn.default import NUMBERS
from specc.sklearn.estimator import SpecEstimator, mean_and_scale


class SpecRegressor(RegressorMixin, SpecEstimator):
    """A scikit-learn regressor, with the parameters of `SpecClassifier` except `class_weight`.

    The model's only target is a number or a vector of numbers. The default network also
    standardizes y.

    >>> from sklearn.datasets import load_diabetes
    >>> X, y = load_diabetes(return_X_y=True)
    >>> SpecRegressor(epochs=60, random_state=0).fit(X, y).score(X, y) > 0.5
    True
    """

    def _text(self) -> str:
        return NUMBERS

    def _learn_scales(self, X, y, weight) -> None:
        super()._learn_scales(X, y, weight)
        self._y_shift, self._y_scale = None, None
        self._is_vector = y.ndim == 2
        if self.model is None:
            self._y_shift, self._y_scale = mean_and_scale(y.reshape(len(y), -1), weight)

    def _targets(self, y) -> np.ndarray:
        if self._y_shift is not None:
            y = (y.reshape(len(y), -1) - self._y_shift) * self._y_scale
        return super()._targets(y)

    def predict(self, X) -> np.ndarray:
        """Return the predicted numbers, `[n]` or `[n, outputs]`."""
        found = self._outputs(X)
        found = found.reshape(len(found), -1)
        if self._y_shift is not None:
            found = found / self._y_scale + self._y_shift
        return found if self._is_vector else found[:, 0]

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.target_tags.multi_output = self.model is None
        return tags
