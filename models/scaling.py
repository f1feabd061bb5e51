"""What every head does to its inputs: fill gaps, standardise, and project when asked to."""

from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.decomposition import PCA
from sklearn.utils.validation import check_array, check_is_fitted

from models.arrays import Floats

LEAST_LIMIT = 10.0
"""Standardised values are cut here, or at the largest training value if that is larger."""


class InputScaler(TransformerMixin, BaseEstimator):  # type: ignore[misc]
    """Impute, standardise and, if asked, project; all from the training rows.

    A NaN becomes the training mean of its column, so a missing modality adds nothing. Columns are
    brought to mean 0 and standard deviation 1; constant columns become 0. Values of new rows
    farther out than 10 standard deviations and than any training value are cut to that limit:
    a column that hardly varied in training must not throw a new prediction off.

    Parameters
    ----------
    n_components : int, optional
        Project to this many principal components (scikit-learn `PCA`: exact for small inputs,
        seeded randomized otherwise), at most rows - 1. The components keep their relative sizes
        and share one scale, mean square 1. Inputs with no more columns than this are not
        projected.
    seed : int
        Seed of the randomized solver.
    """

    def __init__(self, n_components: int | None = None, seed: int = 0) -> None:
        self.n_components = n_components
        self.seed = seed

    def fit(self, X: Floats, y: Any = None) -> Self:  # noqa: ARG002 (scikit-learn's signature)
        """Learn means, scales and the projection from X [n_rows, n_columns]."""
        self._fit(_checked(X))
        return self

    def fit_transform(self, X: Floats, y: Any = None) -> NDArray[np.float32]:  # noqa: ARG002
        """Fit on X [n_rows, n_columns] and return it transformed, as `transform` would."""
        return self._project(self._fit(_checked(X)))

    def transform(self, X: Floats) -> NDArray[np.float32]:
        """Return X as float32 [n_rows, n_columns], or [n_rows, n_components] when projected.

        Raises
        ------
        ValueError
            When X holds infinite values or has another number of columns than in training.
        """
        check_is_fitted(self)
        X = _checked(X)
        if X.shape[1] != len(self.mean_):
            raise ValueError(
                f"X has {X.shape[1]} columns, the fitted head {len(self.mean_)}; "
                "pass the view the head was fitted on."
            )
        return self._project(self._standardise(X))

    def _fit(self, X: Floats) -> NDArray[np.float32]:
        known = ~np.isnan(X)
        n_known = np.maximum(known.sum(axis=0), 1)
        self.mean_ = np.where(known, X, 0).sum(axis=0, dtype=np.float64) / n_known
        deviation = np.where(known, X - self.mean_, 0)
        std = np.sqrt(np.square(deviation).sum(axis=0) / n_known)
        # Below float32 resolution a spread is rounding, not signal.
        float32 = np.finfo(np.float32)
        varies = std > np.maximum(float32.eps * np.abs(self.mean_), float32.tiny)
        self.inverse_scale_ = np.divide(1.0, std, out=np.zeros_like(std), where=varies)
        largest = np.abs(deviation).max(axis=0) * self.inverse_scale_
        self.limit_ = np.maximum(largest, LEAST_LIMIT)
        standardised: NDArray[np.float32] = (deviation * self.inverse_scale_).astype(np.float32)
        self._fit_projection(standardised)
        return standardised

    def _fit_projection(self, standardised: NDArray[np.float32]) -> None:
        self.pca_: PCA | None = None
        n_rows, n_columns = standardised.shape
        if self.n_components is None or n_columns <= self.n_components:
            return
        n_components = min(self.n_components, n_rows - 1)
        with np.errstate(invalid="ignore"):  # an input without variation: 0 / 0 in unused ratios
            self.pca_ = PCA(n_components, random_state=self.seed).fit(standardised)
        mean_square = float(self.pca_.explained_variance_.mean())
        self.component_scale_ = np.float32(1 / np.sqrt(mean_square) if mean_square > 0 else 0)

    def _standardise(self, X: Floats) -> NDArray[np.float32]:
        scaled = (X - self.mean_) * self.inverse_scale_
        within: NDArray[np.float32] = np.clip(scaled, -self.limit_, self.limit_).astype(np.float32)
        return np.nan_to_num(within, copy=False)

    def _project(self, standardised: NDArray[np.float32]) -> NDArray[np.float32]:
        if self.pca_ is None:
            return standardised
        projected: NDArray[np.float32] = self.pca_.transform(standardised)
        return projected * self.component_scale_


def _checked(X: Floats) -> Floats:
    checked: Floats = check_array(
        X, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan", input_name="X"
    )
    return checked
