import numpy as np
import pytest
import torch

from models.heads.mlp_losses import loss_of, usable
from models.metrics import pearson


@pytest.fixture
def batch():
    """One network, three targets, twenty rows, with gaps; predictions vary a lot."""
    rng = np.random.default_rng(0)
    y = rng.normal(size=(20, 3))
    p = 30 * (y + rng.normal(size=(20, 3)))
    y[:5, 1] = np.nan
    return p, y


def tensors(p, y):
    p, y = (torch.from_numpy(np.ascontiguousarray(values.T))[None] for values in (p, y))
    return p, y.nan_to_num(), (~y.isnan()).double()


def test_mse_counts_each_label_once(batch):
    p, y = batch
    found = loss_of("mse", *tensors(p, y))
    np.testing.assert_allclose(found, [np.nanmean(np.square(p - y))])


def test_pearson_is_that_of_the_metric(batch):
    p, y = batch
    np.testing.assert_allclose(
        loss_of("pearson", *tensors(p, y)), 1 - pearson(y, p).mean(), atol=1e-4
    )


def test_ccc_is_lins_coefficient(batch):
    p, y = batch
    p = p / 30
    expected = []
    for a, b in zip(p.T, y.T, strict=True):
        a, b = a[~np.isnan(b)], b[~np.isnan(b)]
        shared = np.mean((a - a.mean()) * (b - b.mean()))
        expected.append(1 - 2 * shared / (a.var() + b.var() + (a.mean() - b.mean()) ** 2))
    np.testing.assert_allclose(loss_of("ccc", *tensors(p, y)), [np.mean(expected)])


@pytest.mark.parametrize("kind", ["pearson", "ccc"])
def test_constant_or_single_labels_add_nothing(batch, kind):
    p, y = batch
    alone = loss_of(kind, *tensors(p[:, :1], y[:, :1]))
    y[:, 1], y[1:, 2] = 0.7, np.nan
    predicted, labels, known = tensors(p, y)
    assert usable(kind, labels, known).tolist() == [[True, False, False]]
    predicted.requires_grad_()
    loss = loss_of(kind, predicted, labels, known)
    loss.sum().backward()
    torch.testing.assert_close(loss, alone)
    assert not predicted.grad[0, 1:].any()


@pytest.mark.parametrize("kind", ["mse", "pearson", "ccc"])
def test_gradients_are_finite_at_constant_predictions_and_without_labels(batch, kind):
    p, y = batch
    for labels in (y, np.full_like(y, np.nan)):
        predicted, values, known = tensors(np.zeros_like(p), labels)
        loss_of(kind, predicted.requires_grad_(), values, known).sum().backward()
        assert predicted.grad.isfinite().all()


def test_an_unknown_loss_is_refused(batch):
    with pytest.raises(ValueError, match="'mae'; expected one of mse, pearson, ccc"):
        loss_of("mae", *tensors(*batch))
