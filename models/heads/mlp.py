"""A small neural network on a projection of the view, averaged over several members."""

from typing import Annotated

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from models.arrays import Groups, group_codes
from models.folds import assign_folds
from models.heads.base import ProjectedHead

N_VALIDATION_FOLDS = 5


class MLPHead(ProjectedHead):
    """Mean of several small networks for all targets, each stopped early on held-out people.

    Each member holds out another fifth of the groups to choose its epoch (with fewer than two
    groups: of the rows). Members are trained at once as one batched model, on the GPU when there
    is one. A network starts as the mean predictor and, with few rows, stays close to it.

    Parameters
    ----------
    n_components : int
        Principal components fed to the network; a view with no more columns is used as it is.
    hidden : tuple of int
        Widths of the hidden layers (GELU).
    dropout : float
        Share of hidden units dropped in training.
    learning_rate, weight_decay : float
        As in AdamW.
    batch_size, max_epochs : int
        Rows per step, and the largest number of passes over the rows.
    patience : int
        Epochs without a better validation error after which a member stops.
    n_seeds : int
        Number of members.
    seed : int
        Seed of the projection, the validation folds, first weights, batches and dropout.
    """

    def __init__(
        self,
        n_components: Annotated[int, Field(ge=1)] = 128,
        hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (128,),
        dropout: Annotated[float, Field(ge=0, lt=1)] = 0.5,
        learning_rate: Annotated[float, Field(gt=0)] = 1e-3,
        weight_decay: Annotated[float, Field(ge=0)] = 1e-2,
        batch_size: Annotated[int, Field(ge=1)] = 128,
        max_epochs: Annotated[int, Field(ge=1)] = 200,
        patience: Annotated[int, Field(ge=1)] = 15,
        n_seeds: Annotated[int, Field(ge=1)] = 3,
        seed: int = 0,
    ) -> None:
        self.n_components = n_components
        self.hidden = hidden
        self.dropout = dropout
        self.learning_rate = learning_rate
        self.weight_decay = weight_decay
        self.batch_size = batch_size
        self.max_epochs = max_epochs
        self.patience = patience
        self.n_seeds = n_seeds
        self.seed = seed

    def _fit(
        self, inputs: NDArray[np.float32], targets: NDArray[np.float64], groups: Groups
    ) -> None:
        # Imported here, so that reading settings does not wait seconds for torch.
        from models.heads import mlp_network

        self.layers_ = mlp_network.train_members(
            inputs,
            targets.astype(np.float32),
            self._validation_rows(groups),
            mlp_network.Training(
                hidden=self.hidden,
                dropout=self.dropout,
                learning_rate=self.learning_rate,
                weight_decay=self.weight_decay,
                batch_size=self.batch_size,
                max_epochs=self.max_epochs,
                patience=self.patience,
                seed=self.seed,
            ),
        )

    def _predict(self, inputs: NDArray[np.float32]) -> NDArray[np.float64]:
        from models.heads import mlp_network

        members = mlp_network.predict_members(self.layers_, inputs)
        return np.asarray(members.mean(axis=0), dtype=np.float64)

    def _validation_rows(self, groups: Groups) -> NDArray[np.bool_]:
        """Rows held out by each member [n_seeds, n_rows]."""
        codes = group_codes(groups)
        if codes.max() == 0:
            codes = np.arange(len(codes))
        n_folds = min(N_VALIDATION_FOLDS, int(codes.max()) + 1)
        held = []
        for member in range(self.n_seeds):
            # Every round over the folds shuffles the groups anew.
            fold_of_row = assign_folds(codes, n_folds, self.seed + member // n_folds)
            held.append(fold_of_row == member % n_folds)
        return np.stack(held)
