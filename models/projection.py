"""Principal components of a training set, from its Gram matrix."""

from dataclasses import dataclass

import numpy as np
from sklearn.utils.extmath import randomized_svd

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

    Exact where the Gram matrix is small; else by `randomized_svd` (Halko et al., 2011).

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
    matrix = equations.matrix
    if len(matrix) <= SMALL:
        values, vectors = np.linalg.eigh(matrix)
        values, vectors = values[::-1][:n_components], vectors[:, ::-1][:, :n_components]
    else:
        vectors, values, _ = randomized_svd(
            matrix,
            n_components,
            n_oversamples=N_OVERSAMPLES,
            n_iter=N_ITERATIONS,
            power_iteration_normalizer="QR",  # without, float32 loses the weaker components
            random_state=seed,
        )
    values = np.maximum(values, 0)
    # Directions without variance (fewer distinct rows than components) add nothing.
    kept = values > 1e-6 * max(values[0], np.finfo(np.float32).tiny)
    lengths = np.sqrt(values) if equations.of_rows else np.ones_like(values)
    factors = np.divide(1, lengths, out=np.zeros_like(values), where=kept)
    mean_square = values.sum() / n_components / n_rows
    factors *= 1 / np.sqrt(mean_square) if mean_square > 0 else 0
    axes = equations.coefficients(vectors) * factors
    return Projection(axes.astype(np.float32), equations.mean.astype(np.float32))
