"""Principal components of a training set, from its Gram matrix."""

from dataclasses import dataclass

import numpy as np
import scipy.linalg
from sklearn.utils.extmath import randomized_range_finder, svd_flip

from models.arrays import Floats, Floats32
from models.ridge.equations import RidgeEquations

SMALL = 400
"""Up to this size a full decomposition is quicker than a randomized one."""
N_OVERSAMPLES = 16
N_ITERATIONS = 2
"""The Gram matrix squares the spectrum, so each pass counts twice."""


@dataclass(frozen=True)
class Projection:
    """From scaled inputs to principal components that keep their relative sizes.

    Attributes
    ----------
    axes : array of float32 [n_columns, n_components]
        Orthonormal, times one scale that brings the training rows to mean square 1.
    mean : array of float32 [n_columns]
    """

    axes: Floats32
    mean: Floats32

    def apply(self, inputs: Floats) -> Floats32:
        """Project inputs [n_rows, n_columns] to [n_rows, n_components]."""
        # Centring afterwards spares a copy of the inputs.
        projected: Floats32 = (inputs @ self.axes).astype(np.float32)
        return projected - self.mean @ self.axes


def principal_axes(equations: RidgeEquations, n_components: int, seed: int) -> Projection:
    """Find the leading principal components of a training set.

    Exact where the Gram matrix is small; else within a space of directions that it stretches most
    (Halko et al., 2011, algorithms 4.4 and 5.3).

    Parameters
    ----------
    equations : RidgeEquations
        Of the training rows; they hold its centred Gram matrix.
    n_components : int
        At most as many as rows - 1 or columns are taken. All columns, in this order of size, where
        there are no more of them.
    seed : int
        Of the randomized solver.
    """
    n_rows, n_columns = int(equations.rows.sum()), equations.inputs.shape[1]
    n_components = max(1, min(n_components, n_rows - 1, n_columns))
    values, vectors = _leading(equations.matrix, n_components, seed)
    values = np.maximum(values, 0)
    # Directions without variance (fewer distinct rows than components) add nothing.
    kept = values > 1e-6 * max(values[0], np.finfo(np.float32).tiny)
    lengths = np.sqrt(values) if equations.of_rows else np.ones_like(values)
    factors = np.divide(1, lengths, out=np.zeros_like(values), where=kept)
    mean_square = values.sum() / n_components / n_rows
    factors *= 1 / np.sqrt(mean_square) if mean_square > 0 else 0
    vectors *= factors
    axes = equations.coefficients(vectors).astype(np.float32, copy=False)
    return Projection(axes, equations.mean.astype(np.float32))


def _leading(matrix: Floats, n: int, seed: int) -> tuple[Floats, Floats]:
    """Return the n largest eigenvalues of a symmetric matrix and their vectors [size, n]."""
    space = None
    if len(matrix) > SMALL:
        space = randomized_range_finder(
            matrix,
            size=min(n + N_OVERSAMPLES, len(matrix)),
            n_iter=N_ITERATIONS,
            power_iteration_normalizer="QR",  # without, float32 loses the weaker components
            random_state=seed,
        )
        matrix = space.T @ (matrix @ space)
    values, vectors = scipy.linalg.eigh(matrix, overwrite_a=space is not None)
    values, vectors = values[::-1][:n], vectors[:, ::-1][:, :n]
    vectors = vectors if space is None else space @ vectors
    return values, svd_flip(vectors, None)[0]  # the same signs whatever the rounding
