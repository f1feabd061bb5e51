"""Ridge regression on an RBF kernel."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Ints
from models.heads.kernel import KernelHead
from models.heads.ridge import ALPHAS
from models.heads.search import Range
from models.kernel import KernelFeatures
from models.ridge.candidates import RidgeCandidates
from models.ridge.gram import FoldGram
from models.ridge.penalties import LinearCandidates

Matrix = NDArray[np.float64]


class KernelRidgeHead(KernelHead):
    """Kernel ridge regression with one penalty per target, chosen on grouped folds.

    Parameters
    ----------
    alphas : tuple of float
        Candidate penalties, as multiples of the mean eigenvalue of the centred kernel.
    width : float
        Squared width of the kernel, in units of the mean squared distance of two rows.
    memory_limit_mib : int
        Largest kernel in MiB (512: 11,585 rows). More rows are approximated by landmarks.
    n_landmarks : int
        Number of rows that stand for all, then.
    seed : int
        Seed of the landmarks and of the inner folds.
    """

    def __init__(
        self,
        alphas: Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)] = ALPHAS,
        width: Annotated[float, Field(gt=0), Range(0.1, 10.0, log=True)] = 1.0,
        memory_limit_mib: Annotated[int, Field(ge=1)] = 512,
        n_landmarks: Annotated[int, Field(ge=2)] = 2048,
        seed: int = 0,
    ) -> None:
        self.alphas = alphas
        self.width = width
        self.memory_limit_mib = memory_limit_mib
        self.n_landmarks = n_landmarks
        self.seed = seed

    def _family(
        self,
        basis: KernelFeatures,
        features: NDArray[np.float32],
        fold_of_row: Ints,
        targets: Matrix,
    ) -> LinearCandidates:
        gram = FoldGram(features, fold_of_row, is_kernel=basis.is_kernel)
        return RidgeCandidates(gram, targets, self.alphas)
