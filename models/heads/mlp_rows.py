"""What networks are trained on: the rows of several training sets, and batches of them."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor


@dataclass(frozen=True)
class TrainingSet:
    """Rows to train on.

    Attributes
    ----------
    inputs : array of float32 [n_rows, n_columns]
    targets : array of float32 [n_rows, n_targets]
        Standardised; NaN where unlabelled.
    held : array of bool [n_members, n_rows]
        Rows that a member is not trained on but stopped by. A member whose held rows have no usable
        label trains until the last epoch.
    """

    inputs: NDArray[np.float32]
    targets: NDArray[np.float32]
    held: NDArray[np.bool_]


class Table:
    """The rows of all sets on the device, one set after the other.

    Parameters
    ----------
    sets : sequence of TrainingSet
        Those with fewer columns are filled up with zeros.
    device : torch.device

    Attributes
    ----------
    start : array of int [n_sets + 1]
        Number of the first row of each set, and after the last one.
    n_inputs : list of int
        Columns of each set.
    inputs : Tensor [n_rows, n_columns]
    labels, known : Tensor [n_rows, n_targets]
        Labels, 0 where unknown; 1 where known, else 0.
    """

    def __init__(self, sets: Sequence[TrainingSet], device: torch.device) -> None:
        self.device = device
        self.n_inputs = [part.inputs.shape[1] for part in sets]
        self.start = np.cumsum([0, *(len(part.inputs) for part in sets)])
        inputs = np.zeros((self.start[-1], max(self.n_inputs)), np.float32)
        for start, part in zip(self.start, sets, strict=False):
            inputs[start : start + len(part.inputs), : part.inputs.shape[1]] = part.inputs
        self.inputs = torch.from_numpy(inputs).to(device)
        labels = torch.from_numpy(np.concatenate([part.targets for part in sets])).to(device)
        self.known, self.labels = (~labels.isnan()).float(), labels.nan_to_num()

    def batch(self, rows_of_member: list[NDArray[np.int64]]) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs, labels and which are known; members with fewer rows are filled up."""
        sizes = [len(rows) for rows in rows_of_member]
        rows = np.zeros((len(sizes), max(sizes)), np.int64)
        for place, own in enumerate(rows_of_member):
            rows[place, : len(own)] = own
        x, labels, known = self.take(torch.from_numpy(rows))
        if min(sizes) < max(sizes):
            filled = torch.arange(max(sizes)) < torch.tensor(sizes)[:, None]
            known = known * filled.to(self.device)[:, None, :]
        return x, labels, known

    def take(self, rows: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Return inputs [..., n, n_columns], labels and known [..., n_targets, n] of rows."""
        flat = rows.to(self.device).flatten()
        x, labels, known = (
            values.index_select(0, flat).view(*rows.shape, values.shape[1])
            for values in (self.inputs, self.labels, self.known)
        )
        return x, labels.mT, known.mT
