"""Several small networks as one: every tensor has the members as its first axis.

A member is a network of hidden layers (ReLU) plus a linear path from its inputs to its outputs
(He et al., 2016; Cheng et al., 2016). Its outputs start at zero, which is the mean predictor.

Outputs and labels lie as [n_members, n_targets, n_rows]: the products with a handful of targets are
several times faster that way round.
"""

from collections.abc import Sequence

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

Parameters = list[Tensor]
"""Weights [n_members, n_in, n_out] and offsets [n_members, 1, n_out] of every hidden layer; then
weights [n_members, n_targets, n_hidden] and offsets [n_members, n_targets, 1] of the outputs; last,
the weights [n_members, n_targets, n_columns] of the linear path."""


def first_parameters(
    widths: Sequence[int], n_columns: int, generator: np.random.Generator
) -> Parameters:
    """Draw the parameters of one network, without the axis of members.

    Parameters
    ----------
    widths : sequence of int
        Of the inputs, the hidden layers and the outputs.
    n_columns : int
        Columns to make room for, at least `widths[0]`: members that train together may have
        different numbers of inputs. Those beyond its own are zero, and a member's own do not depend
        on how many there are.
    generator : numpy Generator
        Draws the weights of the hidden layers (He et al., 2015).
    """
    n_inputs, *hidden, n_targets = widths
    parameters = []
    n_in, room = n_inputs, n_columns
    for n_out in hidden:
        weights = torch.zeros(room, n_out)
        drawn = generator.standard_normal((n_in, n_out), dtype=np.float32)
        weights[:n_in] = torch.from_numpy(drawn) * (2 / n_in) ** 0.5
        parameters += [weights, torch.zeros(1, n_out)]
        n_in = room = n_out
    return [
        *parameters,
        torch.zeros(n_targets, n_in),
        torch.zeros(n_targets, 1),
        torch.zeros(n_targets, n_columns),
    ]


def without_spare_columns(parameters: Parameters, n_inputs: int) -> Parameters:
    """Return the parameters [n_members, ...] of networks of `n_inputs` inputs and no room."""
    return [parameters[0][:, :n_inputs], *parameters[1:-1], parameters[-1][:, :, :n_inputs]]


def forward(
    parameters: Parameters, inputs: Tensor, masks: Sequence[Tensor] | None = None
) -> tuple[Tensor, list[Tensor]]:
    """Compute outputs, and what `gradients` needs.

    Parameters
    ----------
    parameters : list of Tensor
        See `Parameters`.
    inputs : Tensor [n_members, n_rows, n_columns]
    masks : sequence of Tensor [n_rows, width], optional
        Factors of the hidden units of each layer, for dropout.

    Returns
    -------
    outputs : Tensor [n_members, n_targets, n_rows]
    layers : list of Tensor [n_members, n_rows, width]
        The inputs, and the values of every hidden layer.
    """
    layers = [inputs]
    for depth in range(len(parameters) // 2 - 1):
        values = torch.baddbmm(parameters[2 * depth + 1], layers[-1], parameters[2 * depth]).relu_()
        layers.append(values if masks is None else values.mul_(masks[depth]))
    weights, offsets, linear = parameters[-3:]
    outputs = torch.baddbmm(offsets, weights, layers[-1].mT)
    return outputs.baddbmm_(linear, inputs.mT), layers


def gradients(
    parameters: Parameters,
    layers: list[Tensor],
    masks: Sequence[Tensor] | None,
    from_outputs: Tensor,
) -> Parameters:
    """Propagate gradients back through `forward`.

    By hand, because half the time of a step would go into the passes that autograd makes over the
    hidden values and into products that it has to take the slow way round.

    Parameters
    ----------
    parameters, masks
        As given to `forward`.
    layers : list of Tensor
        As returned by `forward`.
    from_outputs : Tensor [n_members, n_targets, n_rows]
        Gradient of the loss by the outputs.

    Returns
    -------
    list of Tensor
        Gradient by each of `parameters`.
    """
    found = [
        torch.bmm(from_outputs, layers[-1]),
        from_outputs.sum(dim=2, keepdim=True),
        torch.bmm(from_outputs, layers[0]),
    ]
    gradient = torch.bmm(from_outputs.mT, parameters[-3])
    for depth in range(len(layers) - 2, -1, -1):
        if masks is not None:
            gradient.mul_(masks[depth])
        # Where a unit is zero, by its sign or by dropout, nothing passes.
        gradient = torch.ops.aten.threshold_backward(gradient, layers[depth + 1], 0)
        found = [torch.bmm(layers[depth].mT, gradient), gradient.sum(dim=1, keepdim=True), *found]
        if depth:
            gradient = torch.bmm(gradient, parameters[2 * depth].mT)
    return found


def predict_members(
    parameters: Sequence[NDArray[np.float32]], inputs: NDArray[np.float32]
) -> NDArray[np.float32]:
    """Predictions of every member [n_members, n_rows, n_targets], computed on the CPU."""
    tensors = [torch.from_numpy(array) for array in parameters]
    x = torch.from_numpy(inputs).expand(len(tensors[0]), -1, -1)
    predicted: NDArray[np.float32] = forward(tensors, x)[0].mT.numpy()
    return predicted
