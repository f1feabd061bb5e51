"""Training of networks of several training sets and seeds at once, each stopped by itself.

All members take their steps together, as one batched model, on a GPU when that pays. What a
member draws depends on the seed, its number and its own rows alone, so it trains to the same
network, but for rounding, in whatever company. All random numbers are drawn on the CPU: a GPU sees
the same ones.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import count, pairwise

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from models.device import gpu
from models.heads import mlp_network
from models.heads.mlp_losses import Loss, loss_of, usable
from models.heads.mlp_network import Parameters
from models.heads.mlp_rows import Table, TrainingSet

FEWEST_STEPS = 20
"""Steps of an epoch, at least: with few rows, more than one pass over them."""
FEWEST_BATCHES = 4
"""Batches in one pass over the rows, at least."""
AVERAGED_STEPS = 100
"""A member is its parameters averaged over about so many steps (Polyak and Juditsky, 1992)."""


@dataclass(frozen=True)
class Training:
    """How to train; the fields are the parameters of `models.heads.mlp.MLPHead`."""

    loss: Loss
    hidden: tuple[int, ...]
    dropout: float
    learning_rate: float
    weight_decay: float
    batch_size: int
    max_epochs: int
    patience: int
    seed: int


@torch.no_grad()
def train(sets: Sequence[TrainingSet], training: Training) -> list[list[NDArray[np.float32]]]:
    """Train the members of all sets as one batched model and keep each at its best epoch.

    Parameters
    ----------
    sets : sequence of TrainingSet
        They share their targets; rows and columns may differ.
    training : Training

    Returns
    -------
    list of list of array
        Of every set, the parameters of its members (`mlp_network.Parameters`).
    """
    device = torch.device(_device(sets, training))
    table = Table(sets, device)
    members = _members(sets, table, training)
    with _one_thread():
        _train(members, table, training)
        return [
            _collect([m for m in members if m.set_number == number], table, training)
            for number in range(len(sets))
        ]


def _device(sets: Sequence[TrainingSet], training: Training) -> str:
    """Choose the GPU for networks that are wide enough to keep one busy."""
    n_rows, n_members = max(len(part.inputs) for part in sets), sum(len(s.held) for s in sets)
    widths = (
        max(part.inputs.shape[1] for part in sets),
        *training.hidden,
        sets[0].targets.shape[1],
    )
    n_weights = sum(a * b for a, b in pairwise(widths))
    n_steps = training.max_epochs * max(FEWEST_STEPS, -(-n_rows // training.batch_size))
    batch_size = min(n_rows, training.batch_size)
    # Forwards two, backwards four for each weight and row.
    return gpu(6 * n_weights * n_members * batch_size * n_steps, n_steps) or "cpu"


class _Member:
    """One network in training: its rows, its random numbers and its stopping point."""

    def __init__(
        self,
        set_number: int,
        number: int,
        rows: NDArray[np.int64],
        held: Tensor,
        training: Training,
    ) -> None:
        self.set_number, self.number, self.rows, self.held = set_number, number, rows, held
        n_rows = len(rows)
        self.batch_size = max(1, min(training.batch_size, -(-n_rows // FEWEST_BATCHES)))
        self.n_steps = max(FEWEST_STEPS, -(-n_rows // self.batch_size))
        self.is_done = False
        self.best: Parameters = []
        self._order = np.random.default_rng((training.seed, 1, number))
        self._coming = rows[:0]
        self._lowest = np.inf
        self._n_epochs = self._n_waited = 0

    def next_rows(self) -> NDArray[np.int64]:
        """Return the next batch: shuffled passes over the rows, one after the other."""
        while len(self._coming) < self.batch_size:
            shuffled = self.rows[self._order.permutation(len(self.rows))]
            self._coming = np.concatenate([self._coming, shuffled])
        batch, self._coming = np.split(self._coming, [self.batch_size])
        return batch

    def end_epoch(self, parameters: Parameters, table: Table, training: Training) -> None:
        """Keep the parameters if they are the best so far on held rows, or if nothing can tell."""
        x, labels, known = (values[None] for values in table.take(self.held))
        can_tell = bool(usable(training.loss, labels, known).any())
        # By itself and in double precision: the choice of an epoch must not depend on company.
        outputs = mlp_network.forward([p[None] for p in parameters], x)[0].double()
        loss = float(loss_of(training.loss, outputs, labels.double(), known.double()))
        self._n_epochs += 1
        self._n_waited += 1
        if loss < self._lowest or not can_tell or not self.best:
            self._lowest, self._n_waited = loss, 0
            self.best = [parameter.clone() for parameter in parameters]
        self.is_done = self._n_waited >= training.patience or self._n_epochs >= training.max_epochs


def _train(members: list[_Member], table: Table, training: Training) -> None:
    starts = [_first_parameters(member, table, training) for member in members]
    parameters = [torch.stack(each).to(table.device) for each in zip(*starts, strict=True)]
    averages = [parameter.clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(
        parameters, lr=training.learning_rate, weight_decay=training.weight_decay, fused=True
    )
    dropout = np.random.default_rng((training.seed, 2))
    running = members
    for step in count(1):
        x, labels, known = table.batch([member.next_rows() for member in running])
        masks = _dropout_masks(training, dropout, x.shape[1], table.device)
        outputs, layers = mlp_network.forward(parameters, x, masks)
        slope = _loss_gradient(training.loss, outputs, labels, known)
        found = mlp_network.gradients(parameters, layers, masks, slope)
        for parameter, gradient in zip(parameters, found, strict=True):
            parameter.grad = gradient
        optimizer.step()
        for average, parameter in zip(averages, parameters, strict=True):
            average.lerp_(parameter, 1 / min(step, AVERAGED_STEPS))
        for place, member in enumerate(running):
            if step % member.n_steps == 0:
                member.end_epoch([average[place] for average in averages], table, training)
        kept = [place for place, member in enumerate(running) if not member.is_done]
        if not kept:
            return
        if len(kept) < len(running):
            running = [running[place] for place in kept]
            averages = [average[kept] for average in averages]
            _keep(parameters, optimizer, kept)


def _members(sets: Sequence[TrainingSet], table: Table, training: Training) -> list[_Member]:
    return [
        _Member(
            set_number,
            number,
            table.start[set_number] + np.flatnonzero(~held),
            torch.from_numpy(table.start[set_number] + np.flatnonzero(held)),
            training,
        )
        for set_number, part in enumerate(sets)
        for number, held in enumerate(part.held)
    ]


def _first_parameters(member: _Member, table: Table, training: Training) -> Parameters:
    widths = (table.n_inputs[member.set_number], *training.hidden, table.labels.shape[1])
    generator = np.random.default_rng((training.seed, 0, member.number))
    return mlp_network.first_parameters(widths, table.inputs.shape[1], generator)


def _dropout_masks(
    training: Training, generator: np.random.Generator, n_rows: int, device: torch.device
) -> list[Tensor] | None:
    """Masks [n_rows, width] of one step, shared by all members.

    A place in the mask is another row and another unit in every member, so sharing ties nothing
    together.
    """
    if training.dropout == 0:
        return None
    keep = 1 - training.dropout
    # Always as many draws as a full batch takes, whatever rows the members of this run have.
    drawn = generator.random((training.batch_size, sum(training.hidden)), dtype=np.float32)
    masks = torch.from_numpy(drawn[:n_rows]).to(device).lt(keep) / keep
    return [mask.contiguous() for mask in torch.split(masks, list(training.hidden), dim=1)]


def _loss_gradient(loss: Loss, outputs: Tensor, labels: Tensor, known: Tensor) -> Tensor:
    with torch.enable_grad():
        total = loss_of(loss, outputs.requires_grad_(), labels, known).sum()
        return torch.autograd.grad(total, outputs)[0]


def _keep(parameters: Parameters, optimizer: torch.optim.Optimizer, kept: list[int]) -> None:
    """Drop stopped members, so that they cost nothing more."""
    for parameter in parameters:
        parameter.data, parameter.grad = parameter.data[kept], None
        state = optimizer.state[parameter]
        for name, value in state.items():
            if value.ndim:
                state[name] = value[kept]


def _collect(members: list[_Member], table: Table, training: Training) -> list[NDArray[np.float32]]:
    """Stack the members of one set at their best, scaled to the targets."""
    if training.loss == "pearson":
        for member in members:
            _scale_outputs(member, table)
    parameters = [torch.stack(tensors) for tensors in zip(*(m.best for m in members), strict=True)]
    n_inputs = table.n_inputs[members[0].set_number]
    stacked = mlp_network.without_spare_columns(parameters, n_inputs)
    return [tensor.cpu().numpy() for tensor in stacked]


def _scale_outputs(member: _Member, table: Table) -> None:
    """Put the least-squares line from outputs to labels, on its own rows, into the last layer."""
    x, labels, known = (values[None] for values in table.take(torch.from_numpy(member.rows)))
    outputs = mlp_network.forward([p[None] for p in member.best], x)[0].double()
    n_known = known.sum(dim=2, keepdim=True).clamp(min=1)
    mean, label_mean = ((v * known).sum(dim=2, keepdim=True) / n_known for v in (outputs, labels))
    centred = (outputs - mean) * known
    squares = centred.square().sum(dim=2, keepdim=True)
    slope = (centred * labels).sum(dim=2, keepdim=True) / squares.clamp(min=1e-12)
    weights, offsets, linear = member.best[-3:]
    slope, mean, label_mean = (v[0].float() for v in (slope, mean, label_mean))
    member.best[-3:] = [weights * slope, (offsets - mean) * slope + label_mean, linear * slope]


@contextmanager
def _one_thread() -> Iterator[None]:
    """Keep torch to one thread on the CPU, as the operations of a step are short.

    Beside other busy processes, threads that wait for each other at every operation made a run
    several times slower than one thread alone.
    """
    n_threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(n_threads)
