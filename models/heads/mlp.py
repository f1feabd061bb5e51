"""A small neural network on a projection of the view, averaged over several members."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Literal, Self

import numpy as np
from pydantic import Field
from sklearn.base import clone

from models.arrays import Floats32, Floats64, Groups
from models.folds import WHOLE, inner_folds
from models.heads.base import Choice, ProjectedHead, Range
from models.view import CrossFit, FoldedView

if TYPE_CHECKING:
    from models.heads.mlp_training import TrainingSet


ROWS_PER_STEP, MOST_STEPS = 5000, 4
"""On 16,000 faces of FER+ one network reached 0.454 with 128 components, 0.471 with 400; on 6,400
three reached 0.446 with 128 and 0.423 with 512."""


@dataclass(eq=False, repr=False)
class MLPHead(ProjectedHead):
    """Mean of several small networks for all targets, each stopped early on held-out people.

    Each member holds out another inner fold of the groups to choose its epoch. All members, in a
    cross-fit those of all training sets, are trained at once as one batched model. A network is a
    linear path beside hidden layers; it starts as the mean predictor and, with few rows, stays
    close to it.

    Parameters
    ----------
    loss : {"mse", "pearson", "ccc"}
        What is minimised, and what stops a member (`models.heads.mlp_training.loss_of`). Pearson
        correlation leaves scale and offset free: each member's outputs are brought to target units
        by a least-squares line on its own training rows, before members are averaged. Predictions
        by "ccc" vary more than those of the others, as the coefficient asks for.
    n_components : int
        Principal components fed to the network; a view with no more columns is used as it is. With
        many rows weak components help too: so many are taken for every `ROWS_PER_STEP` rows, up to
        `MOST_STEPS` times.
    hidden : tuple of int
        Widths of the hidden layers (ReLU).
    dropout : float
        Share of hidden units dropped in training.
    learning_rate, weight_decay : float
        As in AdamW: parameters shrink by the product of both each step.
    batch_size, max_epochs : int
        Rows per step, and the largest number of epochs. An epoch is a pass over the rows. With few
        rows batches are smaller, so that a pass has at least 4, and an epoch has at least 20.
    patience : int
        Epochs without a better loss on held-out rows after which a member stops.
    n_seeds : int
        Number of members.
    seed : int
        Seed of the projection, the inner folds, first weights, batches and dropout.

    Attributes
    ----------
    network_ : list of array
        Parameters of all members (`models.heads.mlp_training.Parameters`).
    """

    loss: Annotated[Literal["mse", "pearson", "ccc"], Choice(("mse", "pearson", "ccc"))] = "mse"
    n_components: Annotated[int, Field(ge=1)] = 128
    hidden: Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)] = (64,)
    dropout: Annotated[float, Field(ge=0, lt=1), Range(0.0, 0.7)] = 0.3
    learning_rate: Annotated[float, Field(gt=0), Range(3e-4, 1e-2, log=True)] = 3e-3
    weight_decay: Annotated[float, Field(ge=0), Range(0.03, 10.0, log=True)] = 1.0
    batch_size: Annotated[int, Field(ge=1)] = 128
    max_epochs: Annotated[int, Field(ge=1)] = 100
    patience: Annotated[int, Field(ge=1)] = 5
    n_seeds: Annotated[int, Field(ge=1)] = 3

    def components_for(self, n_rows: int) -> int:
        """Return `n_components` for every `ROWS_PER_STEP` rows, `MOST_STEPS` times at most."""
        return self.n_components * max(1, min(n_rows // ROWS_PER_STEP, MOST_STEPS))

    def _cross_fit(self, view: FoldedView) -> CrossFit:
        """Train all folds at once."""
        folds = [*view.folds, WHOLE]
        heads, left_out = self._fit_at_once(view, folds)
        predicted = view.empty_predictions()
        for fold, head, inputs in zip(folds, heads, left_out, strict=True):
            predicted[view.places(fold)] = head._predict_scaled(inputs)
        return view.as_cross_fit(predicted, heads[-1])

    def _fit_folds(self, view: FoldedView, folds: Sequence[int]) -> Iterator[Self]:
        yield from self._fit_at_once(view, folds)[0]

    def _fit_at_once(
        self, view: FoldedView, folds: Sequence[int]
    ) -> tuple[list[Self], list[Floats32]]:
        """Return heads trained without each fold, and the rows that it leaves out.

        Those of folds are projected already: with few rows the axes of all folds would outgrow what
        else training takes.
        """
        # Imported here, so that reading settings does not wait seconds for torch.
        from models.heads import mlp_training

        heads, left_out = [clone(self) for _ in folds], []
        alike: dict[tuple[int, int], tuple[list[Self], list[TrainingSet]]] = {}
        for head, fold in zip(heads, folds, strict=True):
            left_out.append(view.left_out(fold)[1])
            if head._begin_fit(view.targets[view.training_rows(fold)]):
                part = head._training_set(*head._training_arrays(view, fold))
                shape = part.inputs.shape[1], part.targets.shape[1]  # differ with few rows
                own_heads, parts = alike.setdefault(shape, ([], []))
                own_heads.append(head)
                parts.append(part)
                del part
                if fold != WHOLE:
                    left_out[-1], head.projection_ = head._applied(left_out[-1]), None
        for own_heads, parts in alike.values():
            networks = mlp_training.train(parts, self)
            for head, network in zip(own_heads, networks, strict=True):
                head.network_ = network
        return heads, left_out

    def _predict(self, inputs: Floats32) -> Floats64:
        from models.heads import mlp_training

        members = mlp_training.predict_members(self.network_, inputs)
        return np.asarray(members.mean(axis=0), dtype=np.float64)

    def _training_set(self, inputs: Floats32, targets: Floats64, groups: Groups) -> "TrainingSet":
        from models.heads import mlp_training

        fold_of_row = inner_folds(groups, self.seed)
        n_folds = int(fold_of_row.max()) + 1
        held = np.stack([fold_of_row == member % n_folds for member in range(self.n_seeds)])
        return mlp_training.TrainingSet(inputs, targets.astype(np.float32), held)
