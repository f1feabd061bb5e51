import dataclasses

import numpy as np
import pytest
import torch

from models.heads.mlp import MLPHead
from models.heads.mlp_training import TrainingSet, loss_of, predict_members, train
from models.metrics import pearson

LOSSES = ("mse", "pearson", "ccc")


def head(**settings):
    plain = {"hidden": (16, 8), "dropout": 0.0, "learning_rate": 1e-2, "weight_decay": 0.0}
    return MLPHead(**{**plain, "batch_size": 16, "max_epochs": 15, "patience": 15, **settings})


@pytest.fixture
def part():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 3)).astype(np.float32)
    held = np.zeros((2, 48), dtype=np.bool_)
    held[0, :12], held[1, 12:24] = True, True
    return TrainingSet(x, x[:, :2].copy(), held)


def noisy(part, seed=1):
    noise = np.random.default_rng(seed).normal(size=part.targets.shape).astype(np.float32)
    return dataclasses.replace(part, targets=noise)


def predictions(part, **settings):
    return predict_members(train([part], head(**settings))[0], part.inputs)


def test_members_fit_and_differ(part):
    predicted = predictions(part)
    assert predicted.shape == (2, 48, 2)
    assert np.square(predicted - part.targets).mean() < 0.1
    assert not np.array_equal(predicted[0], predicted[1])


@pytest.mark.parametrize("loss", LOSSES)
def test_company_changes_nothing(part, loss):
    """Also with other numbers of rows, and that stops at another time."""
    rng = np.random.default_rng(2)
    other = TrainingSet(
        rng.normal(size=(90, 3)).astype(np.float32),
        rng.normal(size=(90, 2)).astype(np.float32),
        rng.random((2, 90)) < 0.3,
    )
    settings = {"loss": loss, "dropout": 0.3, "patience": 2}
    together = train([noisy(part), other, part], head(**settings))
    for network, alone in zip(together, (noisy(part), other, part), strict=True):
        found = predict_members(network, alone.inputs)
        np.testing.assert_allclose(found, predictions(alone, **settings), atol=1e-4)


def test_held_rows_do_not_train_a_member(part):
    # One epoch is always kept, so labels of held rows could only come in through training.
    changed = part.targets.copy()
    changed[:12] += 5
    before = predictions(part, max_epochs=1)
    after = predictions(dataclasses.replace(part, targets=changed), max_epochs=1)
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.allclose(after[1], before[1])


def test_a_member_is_kept_at_its_best_epoch(part):
    part = noisy(part)
    errors = []
    for epochs in (1, 5, 15):
        squares = np.square(predictions(part, max_epochs=epochs) - part.targets)
        errors.append([squares[m][rows].mean() for m, rows in enumerate(part.held)])
    assert (np.diff(errors, axis=0) <= 1e-6).all()


def test_patience_ends_training(part):
    short, longer = (predictions(noisy(part), patience=2, max_epochs=n) for n in (40, 4000))
    np.testing.assert_array_equal(short, longer)


def test_pearson_outputs_are_brought_to_the_targets_by_a_line(part):
    part = noisy(part)
    predicted = predictions(part, loss="pearson")
    for outputs, held in zip(predicted, part.held, strict=True):
        for column in range(2):
            fit = np.polyfit(outputs[~held, column], part.targets[~held, column], 1)
            np.testing.assert_allclose(fit, [1, 0], atol=1e-3)


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


def test_losses_are_those_of_the_metrics(batch):
    p, y = batch
    mse = np.nanmean(np.square(p - y))  # each label counts once
    np.testing.assert_allclose(loss_of("mse", *tensors(p, y))[0], [mse])
    one_less_r = 1 - pearson(y, p).mean()
    np.testing.assert_allclose(loss_of("pearson", *tensors(p, y))[0], one_less_r, atol=1e-4)
    expected = []
    for known, target in zip(p.T / 30, y.T, strict=True):  # Lin's coefficient of labelled rows
        a, b = known[~np.isnan(target)], target[~np.isnan(target)]
        shared = np.mean((a - a.mean()) * (b - b.mean()))
        expected.append(2 * shared / (a.var() + b.var() + (a.mean() - b.mean()) ** 2))
    found = loss_of("ccc", *tensors(p / 30, y))[0]
    np.testing.assert_allclose(found, [1 - np.mean(expected)])


@pytest.mark.parametrize("kind", ["pearson", "ccc"])
def test_constant_or_single_labels_add_nothing(batch, kind):
    p, y = batch
    alone, _ = loss_of(kind, *tensors(p[:, :1], y[:, :1]))
    y[:, 1], y[1:, 2] = 0.7, np.nan
    predicted, labels, known = tensors(p, y)
    loss, used = loss_of(kind, predicted.requires_grad_(), labels, known)
    assert used.tolist() == [[True, False, False]]
    loss.sum().backward()
    torch.testing.assert_close(loss, alone)
    assert not predicted.grad[0, 1:].any()


@pytest.mark.parametrize("kind", LOSSES)
def test_gradients_are_finite_at_constant_predictions_and_without_labels(batch, kind):
    p, y = batch
    for labels in (y, np.full_like(y, np.nan)):
        predicted, values, known = tensors(np.zeros_like(p), labels)
        loss_of(kind, predicted.requires_grad_(), values, known)[0].sum().backward()
        assert predicted.grad.isfinite().all()
