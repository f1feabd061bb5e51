"""Heads on an RBF kernel: one kernel matrix for every target, fold and penalty."""

from abc import abstractmethod
from dataclasses import dataclass
from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Ints, take_rows
from models.heads.base import PositiveFloats
from models.heads.linear import LinearHead
from models.heads.ridge import ALPHAS
from models.heads.search import Range
from models.kernel import KernelFeatures, fit_features
from models.ridge.candidates import RidgeCandidates
from models.ridge.gram import FoldGram
from models.ridge.penalties import LinearCandidates
from models.view import FoldedView

Matrix = NDArray[np.float64]


@dataclass(eq=False, repr=False)
class KernelHead(LinearHead):
    """A regression that is linear in features of a kernel; subclasses say which.

    In a cross-fit, one kernel over all labelled rows serves all folds; landmarks, where the kernel
    is too large, are drawn from all of them: no label is used.

    Parameters
    ----------
    width : float
        Squared width of the kernel, in units of the mean squared distance of two rows.
    memory_limit_mib : int
        Largest kernel in MiB (512: 11,585 rows). More rows are approximated by landmarks.
    n_landmarks : int
        Number of rows that stand for all, then.
    seed : int
        Seed of the landmarks and of the inner folds.
    """

    width: Annotated[float, Field(gt=0), Range(0.1, 10.0, log=True)] = 1.0
    memory_limit_mib: Annotated[int, Field(ge=1)] = 512
    n_landmarks: Annotated[int, Field(ge=2)] = 2048
    seed: int = 0

    @abstractmethod
    def _family(
        self, features: NDArray[np.float32], is_kernel: bool, fold_of_row: Ints, targets: Matrix
    ) -> LinearCandidates:
        """Regressions to choose from, on the kernel [n_rows, n_rows] or features that stand for it.

        `fold_of_row` and `targets` have no gaps.
        """

    def _candidates(
        self,
        inputs: NDArray[np.float32],
        fold_of_row: Ints,
        targets: Matrix,
        view: FoldedView | None = None,  # noqa: ARG002
    ) -> tuple[KernelFeatures, NDArray[np.float32], LinearCandidates]:
        rows = np.asarray(fold_of_row >= 0)
        basis = fit_features(
            take_rows(inputs, rows), self.width, self.memory_limit_mib, self.n_landmarks, self.seed
        )
        features = basis.transform(inputs)
        family = self._family(
            take_rows(features, rows), basis.is_kernel, fold_of_row[rows], targets[rows]
        )
        return basis, features, family


@dataclass(eq=False, repr=False)
class KernelRidgeHead(KernelHead):
    """Kernel ridge regression with one penalty per target, chosen on grouped folds.

    Parameters
    ----------
    width, memory_limit_mib, n_landmarks, seed
        As in `KernelHead`.
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the centred kernel.
    """

    alphas: PositiveFloats = ALPHAS

    def _family(
        self, features: NDArray[np.float32], is_kernel: bool, fold_of_row: Ints, targets: Matrix
    ) -> RidgeCandidates:
        return RidgeCandidates(FoldGram(features, fold_of_row, is_kernel), targets, self.alphas)
