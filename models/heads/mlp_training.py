"""Several small networks, trained at once as one batched model, each stopped by itself.

A network is hidden layers (ReLU) and a linear path beside them, from its inputs to its outputs (He
et al., 2016; Cheng et al., 2016). Its outputs start at zero, which is the mean predictor. Every
tensor has the networks, called members, as its first axis. What a member draws depends on the seed,
its number and its own rows alone, so it trains to the same network, but for rounding, in whatever
company.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Literal

import numpy as np
import torch
from torch import Tensor

from models.arrays import Bools, Floats32, Ints, return_freed_memory

if TYPE_CHECKING:
    from models.heads.mlp import MLPHead

Loss = Literal["mse", "pearson", "ccc"]
Parameters = list[Tensor]
"""Weights [n_members, n_out, n_in] and offsets [n_members, n_out, 1] of every layer, that of the
outputs included; last, the weights [n_members, n_targets, n_columns] of the linear path."""
Table = tuple[Tensor, Tensor, Tensor]
"""Inputs [n_rows, n_columns]; labels [n_rows, n_targets], 0 where unknown; 1 where known."""

FEWEST_STEPS = 20
"""Steps of an epoch, at least: with few rows, more than one pass over them."""
FEWEST_BATCHES = 4
"""Batches in one pass over the rows, at least."""
AVERAGED_STEPS = 100
"""A member is its parameters averaged over about so many steps (Polyak and Juditsky, 1992)."""
CONSTANT_VARIANCE = 1e-9
"""Labels, standardised, that vary less than this are constant."""
PEARSON_SMOOTHING = 0.01
"""Added to the variance of predictions, so that the loss is smooth where they are constant."""


@dataclass(frozen=True, repr=False)
class TrainingSet:
    """Rows to train on, and for each member the rows that stop it.

    Attributes
    ----------
    inputs : array of float32 [n_rows, n_columns]
    targets : array of float32 [n_rows, n_targets]
        Standardised; NaN where unlabelled.
    held : array of bool [n_members, n_rows]
        Rows that a member is not trained on but stopped by. A member whose held rows have no usable
        label trains until the last epoch.
    """

    inputs: Floats32
    targets: Floats32
    held: Bools

    def __post_init__(self) -> None:
        if not len(self.inputs) == len(self.targets) == self.held.shape[1]:
            raise ValueError(
                f"inputs {self.inputs.shape}, targets {self.targets.shape} and held "
                f"{self.held.shape} differ in rows; expected held as [n_members, n_rows]."
            )

    def __repr__(self) -> str:
        return f"TrainingSet(inputs {self.inputs.shape}, held {self.held.shape})"


def train(sets: list[TrainingSet], head: "MLPHead") -> list[list[Floats32]]:
    """Train the members of all sets as one batched model and keep each at its best epoch.

    The sets share their targets and columns; rows may differ. `head` says how to train. Returns the
    `Parameters` of the members of every set. The list is emptied: its arrays become one table.
    """
    labels = torch.from_numpy(np.concatenate([part.targets for part in sets]))
    inputs = torch.from_numpy(np.concatenate([part.inputs for part in sets]))
    table = inputs, labels.nan_to_num(), (~labels.isnan()).float()
    starts = np.cumsum([0, *(len(part.inputs) for part in sets)])
    members = [
        [_Member(number, start, held, head) for number, held in enumerate(part.held)]
        for part, start in zip(sets, starts, strict=False)
    ]
    sets.clear()
    return_freed_memory()
    n_threads = torch.get_num_threads()
    # The operations of a step are short: threads that wait for each other at every one made a run
    # several times slower beside other busy processes.
    torch.set_num_threads(1)
    try:
        _train([member for group in members for member in group], table, head)
        return [_stacked(group, table, head.loss) for group in members]
    finally:
        torch.set_num_threads(n_threads)


def predict_members(parameters: Sequence[Floats32], inputs: Floats32) -> Floats32:
    """Predictions of every member [n_members, n_rows, n_targets]."""
    tensors = [torch.from_numpy(array) for array in parameters]
    x = torch.from_numpy(inputs).expand(len(tensors[0]), -1, -1)
    predicted: Floats32 = _forward(tensors, x).mT.numpy()
    return predicted


def loss_of(kind: Loss, predicted: Tensor, labels: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Compute the loss of every network, over the labelled rows of each target.

    Parameters
    ----------
    kind : {"mse", "pearson", "ccc"}
        ``mse``: the mean squared error, in which each label counts once. ``pearson``: the mean over
        targets of 1 - r, r the Pearson correlation; it leaves scale and offset free. ``ccc``: the
        same with the concordance correlation coefficient (Lin, 1989, Biometrics 45:255-268), which
        holds predictions to the scale and offset of the labels too.
    predicted, labels, known : Tensor [..., n_targets, n_rows]
        Standardised; labels are finite also where they are unknown, which is where `known` is 0.

    Returns
    -------
    loss : Tensor [...]
        0 where no target is used.
    used : Tensor of bool [..., n_targets]
        The targets that it is made of: those with a label for ``mse``, else with labels that
        differ.
    """
    if kind == "mse":
        squares = (predicted - labels).square() * known
        loss = squares.sum(dim=(-2, -1)) / known.sum(dim=(-2, -1)).clamp(min=1)
        return loss, known.any(dim=-1)
    mean, centred = _centre(predicted, known)
    label_mean, label_centred = _centre(labels, known)
    n_known = known.sum(dim=-1).clamp(min=1)
    variance = centred.square().sum(dim=-1) / n_known
    label_variance = label_centred.square().sum(dim=-1) / n_known
    covariance = (centred * label_centred).sum(dim=-1) / n_known
    if kind == "pearson":
        squared_size = (variance + PEARSON_SMOOTHING) * label_variance
        agreement = covariance / squared_size.clamp(min=CONSTANT_VARIANCE**2).sqrt()
    else:
        size = variance + label_variance + (mean - label_mean).square()
        agreement = 2 * covariance / size.clamp(min=CONSTANT_VARIANCE)
    used = label_variance > CONSTANT_VARIANCE
    return ((1 - agreement) * used).sum(dim=-1) / used.sum(dim=-1).clamp(min=1), used


class _Member:
    """One network in training: its rows, its random numbers and its stopping point."""

    def __init__(self, number: int, start: int, held: Bools, head: "MLPHead") -> None:
        self.rows, self.held = start + np.flatnonzero(~held), start + np.flatnonzero(held)
        n_rows = len(self.rows)
        self.batch_size = max(1, min(head.batch_size, -(-n_rows // FEWEST_BATCHES)))
        self.n_steps = max(FEWEST_STEPS, -(-n_rows // self.batch_size))
        self.is_done, self.best = False, Parameters()
        self._drawing = np.random.default_rng((head.seed, 0, number))
        self._order = np.random.default_rng((head.seed, 1, number))
        self._coming = self.rows[:0]
        self._lowest = np.inf
        self._n_epochs = self._n_waited = 0

    def first_parameters(self, n_columns: int, hidden: Sequence[int], n_targets: int) -> Parameters:
        """Draw a network (He et al., 2015)."""
        parameters, n_in = Parameters(), n_columns
        for width in hidden:
            drawn = self._drawing.standard_normal((n_in, width), dtype=np.float32)
            weights = torch.from_numpy(drawn.T.copy()) * (2 / n_in) ** 0.5
            parameters += [weights, torch.zeros(width, 1)]
            n_in = width
        outputs = (n_targets, n_in), (n_targets, 1), (n_targets, n_columns)
        return [*parameters, *(torch.zeros(shape) for shape in outputs)]

    def next_rows(self) -> Ints:
        """Return the next batch: shuffled passes over the rows, one after the other."""
        while len(self._coming) < self.batch_size:
            shuffled = self.rows[self._order.permutation(len(self.rows))]
            self._coming = np.concatenate([self._coming, shuffled])
        batch, self._coming = self._coming[: self.batch_size], self._coming[self.batch_size :]
        return batch

    def end_epoch(self, parameters: Parameters, table: Table, head: "MLPHead") -> None:
        """Keep the parameters if they are the best so far on held rows, or if nothing can tell."""
        x, labels, known = _take(table, self.held[None])
        # By itself and in double precision: the choice of an epoch must not depend on company.
        outputs = _forward([p[None] for p in parameters], x).double()
        loss, used = loss_of(head.loss, outputs, labels.double(), known.double())
        self._n_epochs += 1
        self._n_waited += 1
        if float(loss) < self._lowest or not used.any() or not self.best:
            self._lowest, self._n_waited = float(loss), 0
            self.best = [parameter.clone() for parameter in parameters]
        self.is_done = self._n_waited >= head.patience or self._n_epochs >= head.max_epochs


def _train(members: list[_Member], table: Table, head: "MLPHead") -> None:
    n_columns, n_targets = table[0].shape[1], table[1].shape[1]
    drawn = [member.first_parameters(n_columns, head.hidden, n_targets) for member in members]
    parameters = [torch.stack(each) for each in zip(*drawn, strict=True)]
    averages = [parameter.clone() for parameter in parameters]
    optimizer = torch.optim.AdamW(
        parameters, lr=head.learning_rate, weight_decay=head.weight_decay, fused=True
    )
    dropout = np.random.default_rng((head.seed, 2))
    for step in count(1):
        size = max(member.batch_size for member in members)
        rows = np.full((len(members), size), -1)
        for place, member in enumerate(members):
            rows[place, : member.batch_size] = member.next_rows()
        x, labels, known = _take(table, rows)
        leaves = [parameter.detach().requires_grad_() for parameter in parameters]
        outputs = _forward(leaves, x, _dropout_masks(head, dropout, size))
        loss, _ = loss_of(head.loss, outputs, labels, known)
        slopes = torch.autograd.grad(loss.sum(), leaves)
        for parameter, slope in zip(parameters, slopes, strict=True):
            parameter.grad = slope
        optimizer.step()
        for average, parameter in zip(averages, parameters, strict=True):
            average.lerp_(parameter, 1 / min(step, AVERAGED_STEPS))
        for place, member in enumerate(members):
            if step % member.n_steps == 0:
                member.end_epoch([average[place] for average in averages], table, head)
        kept = [place for place, member in enumerate(members) if not member.is_done]
        if not kept:
            return
        if len(kept) < len(members):  # those that stopped cost nothing more
            members = [members[place] for place in kept]
            averages = [average[kept] for average in averages]
            for parameter in parameters:
                parameter.data, parameter.grad = parameter.data[kept], None
                state = optimizer.state[parameter]
                state |= {name: value[kept] for name, value in state.items() if value.ndim}


def _forward(
    parameters: Parameters, inputs: Tensor, masks: Sequence[Tensor] | None = None
) -> Tensor:
    """Compute outputs [n_members, n_targets, n_rows] of inputs [n_members, n_rows, n_columns].

    Masks [width, n_rows] are factors of the hidden units of each layer. Products with a handful of
    targets are several times faster with the rows last.
    """
    x = values = inputs.mT
    *layers, weights, offsets, linear = parameters
    for depth in range(len(layers) // 2):
        values = torch.baddbmm(layers[2 * depth + 1], layers[2 * depth], values).relu()
        values = values if masks is None else values * masks[depth]
    return torch.baddbmm(torch.baddbmm(offsets, linear, x), weights, values)


def _dropout_masks(
    head: "MLPHead", generator: np.random.Generator, n_rows: int
) -> list[Tensor] | None:
    """Masks [width, n_rows] of one step, shared by all members.

    A place in the mask is another row and another unit in every member, so sharing ties nothing
    together.
    """
    if head.dropout == 0:
        return None
    keep = 1 - head.dropout
    # Always as many draws as a full batch takes, whatever rows the members of this run have.
    drawn = generator.random((head.batch_size, sum(head.hidden)), dtype=np.float32)
    masks = torch.from_numpy(drawn[:n_rows]).lt(keep) / keep
    return list(torch.split(masks.mT.contiguous(), list(head.hidden)))


def _take(table: Table, rows: Ints) -> Table:
    """Return inputs [..., n, n_columns], labels and known [..., n_targets, n]; nothing at -1."""
    places = torch.from_numpy(rows)
    flat = places.clamp(min=0).flatten()
    x, labels, known = (
        each.index_select(0, flat).view(*rows.shape, each.shape[1]) for each in table
    )
    return x, labels.mT, known.mT * (places >= 0).unsqueeze(-2)


def _stacked(members: list[_Member], table: Table, loss: Loss) -> list[Floats32]:
    """Stack the members of one set at their best."""
    if loss == "pearson":
        for member in members:
            _scale_outputs(member, table)
    parts = zip(*(member.best for member in members), strict=True)
    return [torch.stack(each).numpy() for each in parts]


def _scale_outputs(member: _Member, table: Table) -> None:
    """Put the least-squares line from outputs to labels, on its own rows, into the last layer."""
    x, labels, known = _take(table, member.rows[None])
    outputs = _forward([p[None] for p in member.best], x).double()
    mean, centred = _centre(outputs, known)
    label_mean, _ = _centre(labels, known)
    squares = centred.square().sum(dim=-1).clamp(min=1e-12)
    slope = (centred * labels).sum(dim=-1) / squares
    slope, mean, label_mean = (v[0].float().unsqueeze(-1) for v in (slope, mean, label_mean))
    weights, offsets, linear = member.best[-3:]
    member.best[-3:] = [weights * slope, (offsets - mean) * slope + label_mean, linear * slope]


def _centre(values: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
    """Return the means over known entries [...], and deviations from them, 0 where unknown."""
    mean = (values * known).sum(dim=-1) / known.sum(dim=-1).clamp(min=1)
    return mean, (values - mean.unsqueeze(-1)) * known
