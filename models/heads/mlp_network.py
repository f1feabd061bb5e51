"""Several small networks trained as one: every tensor has the members as its first axis.

One step of the batched model costs little more than one step of one member. Members share nothing
but the clock: each has its own first weights, batches, dropout and stopping point. All random
numbers come from one seeded generator on the CPU, so a GPU sees the same ones.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import gelu

Layer = tuple[NDArray[np.float32], NDArray[np.float32]]
"""Weights [n_members, n_in, n_out] and offsets [n_members, 1, n_out] of one layer."""


@dataclass(frozen=True)
class Training:
    """How to train; the fields are the parameters of `models.heads.mlp.MLPHead`."""

    hidden: tuple[int, ...]
    dropout: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    seed: int


def train_members(
    inputs: NDArray[np.float32],
    targets: NDArray[np.float32],
    held: NDArray[np.bool_],
    training: Training,
) -> list[Layer]:
    """Train one network per row of `held` and return each at its best epoch.

    The loss is the mean squared error over labelled targets. The last layer starts at zero: a
    fresh network predicts the mean.

    Parameters
    ----------
    inputs : array [n_rows, n_columns]
    targets : array [n_rows, n_targets]
        Standardised; NaN where unlabelled.
    held : array of bool [n_members, n_rows]
        Rows a member is not trained on but stopped by. A member without labelled held rows trains
        until the last epoch.
    training : Training

    Returns
    -------
    list of (weights, offsets)
        One pair per layer, members first.
    """
    device = _device()
    generator = torch.Generator().manual_seed(training.seed)
    x, y = torch.from_numpy(inputs).to(device), torch.from_numpy(targets).to(device)
    labelled, y = ~y.isnan(), y.nan_to_num()
    held_rows = torch.from_numpy(held).to(device)
    held_labels = held_rows[:, :, None] & labelled
    widths = (x.shape[1], *training.hidden, y.shape[1])
    parameters = [p.to(device) for p in _first_parameters(widths, len(held), generator)]
    for parameter in parameters:
        parameter.requires_grad_()
    optimizer = torch.optim.AdamW(
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay
    )
    stopper = _Stopper(parameters, training.patience)
    for _ in range(training.max_epochs):
        for rows in _batches(held, training.batch_size, generator):
            rows = rows.to(device)
            masks = _dropout_masks(rows.shape, training, generator, device)
            predicted = _forward(parameters, x[rows], masks)
            used = labelled[rows] & ~held_rows.gather(1, rows)[:, :, None]
            loss = _mean_squares(predicted, y[rows], used).sum()
            optimizer.zero_grad()
            loss.backward()  # type: ignore[no-untyped-call]
            optimizer.step()
        with torch.no_grad():
            predicted = _forward(parameters, x.expand(len(held), -1, -1))
            errors = _mean_squares(predicted, y.expand_as(predicted), held_labels)
        stopper.update(parameters, errors, has_held=held_labels.any(dim=2).any(dim=1))
        if stopper.done:
            break
    arrays = [p.cpu().numpy() for p in stopper.best]
    return list(zip(arrays[::2], arrays[1::2], strict=True))


def predict_members(layers: list[Layer], inputs: NDArray[np.float32]) -> NDArray[np.float32]:
    """Predictions of every member [n_members, n_rows, n_targets], computed on the CPU."""
    parameters = [torch.from_numpy(array) for layer in layers for array in layer]
    x = torch.from_numpy(inputs).expand(len(parameters[0]), -1, -1)
    with torch.no_grad():
        predicted: NDArray[np.float32] = _forward(parameters, x).numpy()
    return predicted


class _Stopper:
    """Keeps every member's parameters at its best epoch."""

    def __init__(self, parameters: list[Tensor], patience: int) -> None:
        self.best = [p.detach().clone() for p in parameters]
        n_members, device = len(parameters[0]), parameters[0].device
        self._lowest = torch.full((n_members,), torch.inf, device=device)
        self._waited = torch.zeros(n_members, device=device)
        self._patience = patience

    def update(self, parameters: list[Tensor], errors: Tensor, has_held: Tensor) -> None:
        running = self._waited < self._patience
        better = running & ((errors < self._lowest) | ~has_held)
        self._lowest = torch.where(better, errors, self._lowest)
        self._waited = torch.where(better, 0, self._waited + 1)
        # A member that has run out of patience stays out, even while others go on.
        self._waited = torch.where(running, self._waited, self._patience)
        for best, parameter in zip(self.best, parameters, strict=True):
            best[better] = parameter.detach()[better]

    @property
    def done(self) -> bool:
        return bool((self._waited >= self._patience).all())


def _forward(parameters: list[Tensor], x: Tensor, masks: list[Tensor] | None = None) -> Tensor:
    """Return outputs [n_members, n_rows, n_targets] of inputs [n_members, n_rows, n_columns]."""
    last = len(parameters) // 2 - 1
    for depth in range(last):
        x = gelu(torch.baddbmm(parameters[2 * depth + 1], x, parameters[2 * depth]))
        if masks is not None:
            x = x * masks[depth]
    return torch.baddbmm(parameters[2 * last + 1], x, parameters[2 * last])


def _first_parameters(
    widths: tuple[int, ...], n_members: int, generator: torch.Generator
) -> list[Tensor]:
    """Weights and offsets by turns: Kaiming normal, the last layer zero."""
    parameters = []
    for depth, (n_in, n_out) in enumerate(pairwise(widths)):
        weight = torch.zeros(n_members, n_in, n_out)
        if depth < len(widths) - 2:
            weight.normal_(0.0, (2 / n_in) ** 0.5, generator=generator)
        parameters += [weight, torch.zeros(n_members, 1, n_out)]
    return parameters


def _batches(
    held: NDArray[np.bool_], batch_size: int, generator: torch.Generator
) -> Iterator[Tensor]:
    """Shuffled row numbers [n_members, batch] that cover each member's own rows once."""
    n_members, n_rows = held.shape
    keys = torch.rand(n_members, n_rows, generator=generator)
    # Held rows sort last; the loss leaves them out where another member still has rows of its own.
    order = (keys + torch.from_numpy(held)).argsort(dim=1)
    most = int((~held).sum(axis=1).max())
    for start in range(0, most, batch_size):
        yield order[:, start : min(start + batch_size, most)]


def _dropout_masks(
    batch: torch.Size, training: Training, generator: torch.Generator, device: torch.device
) -> list[Tensor]:
    keep = 1 - training.dropout
    return [
        (torch.rand(*batch, width, generator=generator) < keep).to(device) / keep
        for width in training.hidden
    ]


def _mean_squares(predicted: Tensor, y: Tensor, used: Tensor) -> Tensor:
    """Mean squared error of each member over its used entries [n_members]; 0 without any."""
    squares = (predicted - y).square() * used
    return squares.sum(dim=(1, 2)) / used.sum(dim=(1, 2)).clamp(min=1)


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
