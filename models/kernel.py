"""A Gaussian (RBF) kernel between rows: products with it and equations in it, block by block.

The kernel of 30,000 rows takes 4 GB, and a single decomposition of it minutes. Neither is needed:
the equations of all targets, folds and penalties are solved together by conjugate gradients, which
take a handful of products with blocks that are made anew each time. Few are enough because features
of some landmarks, drawn by randomly pivoted Cholesky decomposition (Chen et al., 2023, arXiv
2207.06503), come near the kernel: they are the preconditioner (Rudi et al., 2017; Frangella et al.,
2023). Landmarks alone, in place of all rows, cost scores: on 10,000 faces of FER+ kernel ridge
reached .457 with 3,072 of them and .483 with all rows.
"""

from dataclasses import dataclass, replace

import numpy as np
import scipy.linalg

from models.arrays import Bools, Floats, Floats32, Floats64, Numbers
from models.projection import Projection

CHUNK_ROWS = 512
LANDMARKS_AT_ONCE = 256
LEAST_RESIDUAL = 1e-5
"""What float32 leaves of a kernel of 1; rows that are explained so far are no landmarks."""
OFFSET = 1.0
"""Added to the kernel: predictions get a level of their own that costs next to nothing."""


@dataclass(frozen=True, eq=False, repr=False)
class KernelRows:
    """Rows as the kernel sees them; it is ``exp(-gamma |a - b|^2) + OFFSET`` between two.

    Attributes
    ----------
    points : array of float32 [n_rows, n_axes + 2]
        Coordinates, and what makes the logarithm of the kernel a product of two points.
    gamma : float
    axes : array of float32 [n_columns, n_axes], optional
        At right angles, where products between rows are taken along these alone. The lengths of
        rows stay whole, and so does the kernel between a row and itself.
    axis_length : float
        Of each axis.
    """

    points: Floats32
    gamma: float
    axes: Floats32 | None = None
    axis_length: float = 1.0

    def times(self, inputs: Floats32, weights: Floats) -> Floats64:
        """Multiply the kernel between inputs and these rows with weights [n_rows, n]."""
        product = np.empty((len(inputs), weights.shape[1]))
        turned, weights = _turned(self.points), weights.astype(np.float32)
        for chunk in _chunks(len(inputs)):
            points = _points(inputs[chunk], self.gamma, self.axes, self.axis_length)
            product[chunk] = _kernel(points, turned) @ weights
        product += OFFSET * weights.sum(axis=0, dtype=np.float64)
        return product

    def products(self, weights: Floats32) -> Floats32:
        """Multiply the kernel between these rows with weights [n_rows, n]."""
        total = self.lost()[:, None] * weights
        total += (OFFSET * weights.sum(axis=0, dtype=np.float64)).astype(np.float32)
        chunks = _chunks(len(self.points))
        for number, own in enumerate(chunks):
            turned = _turned(self.points[own])
            for other in chunks[number:]:
                block = _kernel(self.points[other], turned)
                total[other] += block @ weights[own]
                if other != own:
                    total[own] += block.T @ weights[other]
        return np.asarray(total, np.float32)

    def only(self, rows: Bools | Numbers) -> "KernelRows":
        """Return some of the rows."""
        return replace(self, points=self.points[rows])

    def lost(self) -> Floats32:
        """Return what axes leave out of the kernel between a row and itself [n_rows]."""
        norms = np.einsum("ij,ij->i", self.points, _turned(self.points))
        return np.asarray(1 - np.exp(np.minimum(norms, 0)), np.float32)


def kernel_rows(inputs: Floats32, gamma: float, projection: Projection | None = None) -> KernelRows:
    """Make rows of inputs [n_rows, n_columns]; with a projection, along its axes alone."""
    axes, length = None, 1.0
    if projection is not None:
        axes = projection.axes
        length = float(np.linalg.norm(axes, axis=0).max()) or 1.0  # 0 where all rows are the same
    return KernelRows(_points(inputs, gamma, axes, length), gamma, axes, length)


def landmark_features(rows: KernelRows, marked: Bools, n_landmarks: int, seed: int) -> Floats32:
    """Make features [n_rows, n] whose products come near the kernel, less its offset.

    Landmarks are drawn from the marked rows [n_rows]: fewer than asked for, where there are no more
    of these or others would add nothing. A row is the likelier the less of its kernel those before
    it explain.
    """
    generator = np.random.default_rng(seed)
    n_most = min(n_landmarks, int(marked.sum()))
    values = np.zeros((len(marked), n_most), np.float32)
    residual, n = np.where(marked, 1 - rows.lost(), 0).astype(np.float64), 0
    while n < n_most and len(left := np.flatnonzero(residual > LEAST_RESIDUAL)):
        n_drawn = min(LANDMARKS_AT_ONCE, n_most - n, len(left))
        share = residual[left] / residual[left].sum()
        drawn = np.sort(generator.choice(left, n_drawn, replace=False, p=share))
        turned, known = _turned(rows.points[drawn]), values[drawn, :n].T
        # Of alike rows, rounding can leave a matrix that is no kernel.
        own = _kernel(rows.points[drawn], turned) - known.T @ known
        sizes, axes = np.linalg.eigh(own.astype(np.float64))
        root = (axes / np.sqrt(np.maximum(sizes, LEAST_RESIDUAL))).astype(np.float32)
        for chunk in _chunks(len(marked)):
            kernel = _kernel(rows.points[chunk], turned) - values[chunk, :n] @ known
            values[chunk, n : n + n_drawn] = kernel @ root
        block = values[:, n : n + n_drawn]
        residual -= np.einsum("ij,ij->i", block, block)
        residual[drawn] = 0
        n += n_drawn
    return values[:, :n]


class KernelEquations:
    """Equations ``(K + penalty I) x = b``: one per column, each over training rows of its own.

    Parameters
    ----------
    rows : KernelRows
    features : array of float32 [n_rows, n_features]
        From `landmark_features`.
    training : array of bool [n_rows, n_columns]
        The training rows of each equation.
    penalties : array [n_columns]
        Positive; the kernel between a row and itself is 1.
    """

    def __init__(
        self, rows: KernelRows, features: Floats32, training: Bools, penalties: Floats64
    ) -> None:
        self.rows, self.features, self.training = rows, features, training
        self.penalties = penalties.astype(np.float32)
        self._beside = (penalties + rows.lost().mean()).astype(np.float32)
        self._factors: list[tuple[Numbers, Floats32, Floats32]] = []
        sets, set_of_column = np.unique(training, axis=1, return_inverse=True)
        whole = features.T @ features if sets.size else features[:0]
        for number, marked in enumerate(sets.T):
            some = features[marked if marked.mean() < 0.5 else ~marked]
            gram = some.T @ some
            gram = gram if marked.mean() < 0.5 else whole - gram
            mean = features.T @ marked.astype(np.float32) / max(1, int(marked.sum()))
            gram -= np.outer(mean * marked.sum(dtype=np.float32), mean)
            own = np.flatnonzero(set_of_column.ravel() == number)
            for beside in np.unique(self._beside[own]):
                penalised = gram.copy()
                penalised[np.diag_indices(len(gram))] += beside
                factor = scipy.linalg.cholesky(penalised, lower=True, overwrite_a=True)
                self._factors.append((own[self._beside[own] == beside], factor, mean))

    def solve(
        self, right: Floats32, tolerance: float, most_steps: int
    ) -> tuple[Floats32, Floats32]:
        """Solve by preconditioned conjugate gradients.

        Parameters
        ----------
        right : array [n_rows, n_columns]
            The columns b; 0 outside the training rows.
        tolerance : float
            Largest norm of what is missing, relative to b.
        most_steps : int
            After so many the solution is taken as it is, a little smoother than the exact one.

        Returns
        -------
        unknowns x, and their products with the kernel, of all rows [n_rows, n_columns]
        """
        unknowns, products = np.zeros_like(right), np.zeros_like(right)
        missing, direction, before = right.copy(), np.zeros_like(right), np.ones(right.shape[1])
        for _ in range(most_steps):
            # One that is solved stays as it is, whatever the others need.
            open_ = _dots(missing, missing) > tolerance**2 * _dots(right, right)
            if not open_.any():
                break
            step = self.nearly_solved(missing * open_)
            size = _dots(missing, step)
            direction = step + _ratio(size, before) * direction
            before, image = size, self.rows.products(direction)
            share = _ratio(size, self._curvature(direction, image))
            unknowns += share * direction
            products += share * image
            missing -= share * (self.training * image + self.penalties * direction)
        return unknowns, products

    def step(self, missing: Floats32, unknowns: Floats32, products: Floats32) -> Floats32:
        """Go one step towards a solution, in place; return the change of products.

        Arrays are [n_rows, n_columns]: `missing` is what the right side exceeds the left by.
        """
        direction = self.nearly_solved(missing)
        change = self.rows.products(direction)
        share = _ratio(_dots(missing, direction), self._curvature(direction, change))
        change *= share
        unknowns += share * direction
        products += change
        return change

    def nearly_solved(self, right: Floats32) -> Floats32:
        """Solve with products of features in place of the kernel [n_rows, n_columns]."""
        n_rows = np.maximum(self.training.sum(axis=0), 1).astype(np.float32)
        level = right.sum(axis=0) / n_rows
        constant = np.zeros_like(level)
        found = self.features.T @ right
        for own, factor, mean in self._factors:
            centred = found[:, own] - np.outer(mean, level[own] * n_rows[own])
            found[:, own] = scipy.linalg.cho_solve((factor, True), centred, check_finite=False)
            constant[own] = level[own] / (n_rows[own] * (OFFSET + mean @ mean) + self._beside[own])
            level[own] -= mean @ found[:, own]
        found = (right - self.features @ found - level) / self._beside + constant
        return np.asarray(found * self.training, np.float32)

    def _curvature(self, direction: Floats32, image: Floats32) -> Floats64:
        return _dots(direction, image) + self.penalties * _dots(direction, direction)


def _points(inputs: Floats32, gamma: float, axes: Floats32 | None, length: float) -> Floats32:
    """Return ``[sqrt(2 gamma) x, -gamma |x|^2, 1]`` of inputs [n_rows, n_columns]."""
    n_axes = inputs.shape[1] if axes is None else axes.shape[1]
    points = np.ones((len(inputs), n_axes + 2), np.float32)
    points[:, :n_axes] = inputs if axes is None else inputs @ axes
    points[:, :n_axes] *= np.sqrt(2 * gamma) / length
    points[:, -2] = -gamma * np.einsum("ij,ij->i", inputs, inputs)
    return points


def _turned(points: Floats32) -> Floats32:
    """Swap the last two columns: a point times a turned one is the logarithm of the kernel."""
    return np.concatenate([points[:, :-2], points[:, -1:], points[:, -2:-1]], axis=1)


def _kernel(points: Floats32, turned: Floats32) -> Floats32:
    logarithms = points @ turned.T
    kernel: Floats32 = np.exp(np.minimum(logarithms, 0, out=logarithms), out=logarithms)
    return kernel


def _chunks(n_rows: int) -> list[slice]:
    return [slice(start, start + CHUNK_ROWS) for start in range(0, n_rows, CHUNK_ROWS)]


def _dots(a: Floats32, b: Floats32) -> Floats64:
    return np.asarray(np.einsum("ij,ij->j", a, b, dtype=np.float64))


def _ratio(a: Floats64, b: Floats64) -> Floats32:
    return np.divide(a, b, out=np.zeros_like(a), where=b > 0).astype(np.float32)
