import numpy as np
import pytest
import torch

from models.heads.mlp_network import (
    first_parameters,
    forward,
    gradients,
    predict_members,
    without_spare_columns,
)


def networks(widths=(3, 6, 5, 2), n_columns=3, n_members=2):
    rngs = [np.random.default_rng(member) for member in range(n_members)]
    drawn = [first_parameters(widths, n_columns, rng) for rng in rngs]
    return [torch.stack(each) for each in zip(*drawn, strict=True)]


@pytest.mark.parametrize("dropout", [False, True])
@pytest.mark.parametrize("widths", [(3, 6, 2), (3, 6, 5, 2)])
def test_gradients_are_those_of_autograd(widths, dropout):
    torch.manual_seed(0)
    parameters = [torch.randn_like(p).requires_grad_() for p in networks(widths)]
    x = torch.randn(2, 8, 3)
    masks = [torch.rand(8, w).gt(0.4) / 0.6 for w in widths[1:-1]] if dropout else None
    hidden = x
    for depth in range(len(widths) - 2):
        hidden = torch.relu(hidden @ parameters[2 * depth] + parameters[2 * depth + 1])
        hidden = hidden if masks is None else hidden * masks[depth]
    weights, offsets, linear = parameters[-3:]
    expected = weights @ hidden.mT + offsets + linear @ x.mT
    slope = torch.randn(2, 2, 8)
    expected_gradients = torch.autograd.grad(expected, parameters, slope)
    with torch.no_grad():
        outputs, layers = forward(parameters, x, masks)
        found = gradients(parameters, layers, masks, slope)
    torch.testing.assert_close(outputs, expected)
    for ours, theirs in zip(found, expected_gradients, strict=True):
        torch.testing.assert_close(ours, theirs, atol=1e-4, rtol=1e-4)


def test_a_fresh_network_predicts_the_mean():
    arrays = [p.numpy() for p in networks()]
    predicted = predict_members(arrays, np.ones((4, 3), np.float32))
    np.testing.assert_array_equal(predicted, np.zeros((2, 4, 2)))


def test_spare_columns_change_nothing():
    roomy = without_spare_columns(networks(n_columns=7), 3)
    for ours, plain in zip(roomy, networks(), strict=True):
        assert torch.equal(ours, plain)
