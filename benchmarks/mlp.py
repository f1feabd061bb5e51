"""The MLP head's members trained as one batched model, against one after the other.

From the root of the repository: ``python -m benchmarks.mlp [--fast]``
"""

import copy
import dataclasses
from collections.abc import Callable, Sequence
from typing import Annotated

import numpy as np
import torch
import typer
from numpy.typing import NDArray
from torch import Tensor, nn

from benchmarks.machine import describe
from benchmarks.timing import timed
from benchmarks.views import make_view
from models.folds import assign_folds, inner_folds
from models.heads.mlp import MLPHead
from models.heads.mlp_training import (
    AVERAGED_STEPS,
    FEWEST_STEPS,
    TrainingSet,
    predict_members,
    train,
)
from models.metrics import mean_pearson
from models.view import FoldedView

Predict = Callable[[NDArray[np.float32]], NDArray[np.float32]]
"""From inputs [n_rows, n_columns] to standardised predictions [n_rows, n_targets]."""

N_ROWS, N_ROWS_FAST = 15_806, 1_500
BANDS, BANDS_FAST = (1024,), (256,)
N_FOLDS, N_SEEDS = 5, 3


def main(fast: Annotated[bool, typer.Option(help="A tenth of the rows.")] = False) -> None:
    """Time five folds times three seeds."""
    typer.echo(f"{describe()}, {torch.get_num_threads()} threads")
    data = make_view(N_ROWS_FAST if fast else N_ROWS, BANDS_FAST if fast else BANDS)
    folds = assign_folds(data.people, N_FOLDS, 0)
    compare_on(FoldedView(data.x, data.y, data.people, folds))


def compare_on(view: FoldedView) -> None:
    """Train the default head's members for all folds of a view in three ways, and print.

    Projections come first and are not counted: all three ways share them.
    """
    head = MLPHead(n_seeds=N_SEEDS)
    projections = [view.projection(fold, head.n_components, head.seed) for fold in view.folds]
    sets = [
        training_set(view, fold, axes.apply(view.inputs), head.seed)
        for fold, axes in zip(view.folds, projections, strict=True)
    ]
    n_rows, n_columns = sets[0].inputs.shape
    typer.echo(
        f"{len(sets)} folds x {N_SEEDS} seeds, {n_rows} x {n_columns} -> "
        f"{sets[0].targets.shape[1]} targets, {head.hidden} hidden, "
        f"batches of {head.batch_size}"
    )
    batched_s = None
    for name, way in (
        ("as one batched model", batched),
        ("one member after the other, the same code", one_by_one),
        ("one after the other, plain PyTorch", plain),
    ):
        way(sets[:1], MLPHead(n_seeds=N_SEEDS, max_epochs=1))  # loads what torch loads late
        seconds, members = timed(lambda way=way: way(sets, head))
        batched_s = batched_s or seconds
        oof = np.full(view.targets.shape, np.nan)
        for fold, axes, predictors in zip(view.folds, projections, members, strict=True):
            inputs = axes.apply(view.inputs[view.fold_of_row == fold])
            oof[view.fold_of_row == fold] = np.mean([each(inputs) for each in predictors], axis=0)
        score = mean_pearson(view.targets, oof, view.fold_of_row)
        typer.echo(
            f"{name}: {seconds:.1f} s; ratio {seconds / batched_s:.1f}; mean Pearson {score:.4f}"
        )


def training_set(
    view: FoldedView, fold: int, inputs: NDArray[np.float32], seed: int
) -> TrainingSet:
    """Make the training set without a fold, as the head does."""
    rows = view.training_rows(fold)
    targets = view.targets[rows]
    standardised = (targets - np.nanmean(targets, axis=0)) / np.nanstd(targets, axis=0)
    inner = inner_folds(view.inner_groups[rows], seed)
    held = np.stack([inner == number % (inner.max() + 1) for number in range(N_SEEDS)])
    return TrainingSet(inputs[rows], standardised.astype(np.float32), held)


def batched(sets: Sequence[TrainingSet], head: MLPHead) -> list[list[Predict]]:
    """Train all members of all sets together."""
    return [[lambda x, n=n: predict_members(n, x).mean(axis=0)] for n in train(sets, head)]


def one_by_one(sets: Sequence[TrainingSet], head: MLPHead) -> list[list[Predict]]:
    """Call the same code for one member at a time."""
    members = []
    for part in sets:
        alone = [dataclasses.replace(part, held=held[None]) for held in part.held]
        members.append([each for one in alone for (each,) in batched([one], head)])
    return members


def plain(sets: Sequence[TrainingSet], head: MLPHead) -> list[list[Predict]]:
    """Train one `nn.Module` per member, as one would write it by hand."""
    return [
        [train_plain(part, held, head, number) for number, held in enumerate(part.held)]
        for part in sets
    ]


class PlainNetwork(nn.Module):
    """The network of a member: hidden layers and a linear path beside them."""

    def __init__(self, n_columns: int, n_targets: int, head: MLPHead) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        n_in = n_columns
        for width in head.hidden:
            layers += [nn.Linear(n_in, width), nn.ReLU(), nn.Dropout(head.dropout)]
            n_in = width
        self.deep = nn.Sequential(*layers, nn.Linear(n_in, n_targets))
        self.linear = nn.Linear(n_columns, n_targets, bias=False)
        nn.init.zeros_(self.deep[-1].weight)
        nn.init.zeros_(self.linear.weight)

    def forward(self, x: Tensor) -> Tensor:
        """Return outputs [n_rows, n_targets]."""
        out: Tensor = self.deep(x) + self.linear(x)
        return out


def train_plain(part: TrainingSet, held: NDArray[np.bool_], head: MLPHead, number: int) -> Predict:
    """Train one network with AdamW and early stopping on its averaged parameters."""
    torch.manual_seed(number)
    x, y = torch.from_numpy(part.inputs[~held]), torch.from_numpy(part.targets[~held])
    x_held, y_held = torch.from_numpy(part.inputs[held]), torch.from_numpy(part.targets[held])
    network = PlainNetwork(x.shape[1], y.shape[1], head)
    average = copy.deepcopy(network)
    optimizer = torch.optim.AdamW(
        network.parameters(), lr=head.learning_rate, weight_decay=head.weight_decay
    )
    lowest, waited, step, best = np.inf, 0, 0, copy.deepcopy(network)
    for _ in range(head.max_epochs):
        first = step
        while step - first < max(FEWEST_STEPS, -(-len(x) // head.batch_size)):
            for rows in torch.randperm(len(x)).split(head.batch_size):
                optimizer.zero_grad()
                nn.functional.mse_loss(network(x[rows]), y[rows]).backward()
                optimizer.step()
                step += 1
                with torch.no_grad():
                    for mean, now in zip(average.parameters(), network.parameters(), strict=True):
                        mean.lerp_(now, 1 / min(step, AVERAGED_STEPS))
        with torch.no_grad():
            loss = nn.functional.mse_loss(average.eval()(x_held), y_held).item()
        waited += 1
        if loss < lowest:
            lowest, waited, best = loss, 0, copy.deepcopy(average)
        if waited >= head.patience:
            break

    @torch.no_grad()
    def predict(inputs: NDArray[np.float32]) -> NDArray[np.float32]:
        predicted: NDArray[np.float32] = best.eval()(torch.from_numpy(inputs)).numpy()
        return predicted

    return predict


if __name__ == "__main__":
    typer.run(main)
