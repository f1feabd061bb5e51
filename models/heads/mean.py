"""The mean baseline: what every head has to beat."""

import numpy as np
from numpy.typing import NDArray

from models.arrays import Groups
from models.heads.base import Head


class MeanHead(Head):
    """Predict the training mean of every target, whatever the inputs."""

    def _fit(
        self,
        inputs: NDArray[np.float32],  # noqa: ARG002
        targets: NDArray[np.float64],
        groups: Groups,  # noqa: ARG002
    ) -> None:
        self.n_targets_ = targets.shape[1]

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        return np.zeros((len(inputs), self.n_targets_))
