import dataclasses

import numpy as np
import pytest
import torch

from models.heads.mlp_network import predict_members
from models.heads.mlp_rows import TrainingSet
from models.heads.mlp_training import Training, train

TRAINING = Training(
    loss="mse",
    hidden=(16, 8),
    dropout=0.0,
    learning_rate=1e-2,
    weight_decay=0.0,
    batch_size=16,
    max_epochs=15,
    patience=15,
    seed=0,
)


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


def predictions(part, training=TRAINING):
    return predict_members(train([part], training)[0], part.inputs)


def test_members_fit_and_differ(part):
    predicted = predictions(part)
    assert predicted.shape == (2, 48, 2)
    assert np.square(predicted - part.targets).mean() < 0.1
    assert not np.array_equal(predicted[0], predicted[1])


@pytest.mark.parametrize("loss", ["mse", "pearson", "ccc"])
def test_company_changes_nothing(part, loss):
    rng = np.random.default_rng(2)
    other = TrainingSet(
        rng.normal(size=(90, 7)).astype(np.float32),
        rng.normal(size=(90, 2)).astype(np.float32),
        rng.random((2, 90)) < 0.3,
    )
    training = dataclasses.replace(TRAINING, loss=loss, dropout=0.3, patience=2)
    together = train([noisy(part), other, part], training)
    for network, alone in zip(together, (noisy(part), other, part), strict=True):
        expected = predictions(alone, training)
        found = predict_members(network, alone.inputs)
        np.testing.assert_allclose(found, expected, atol=1e-4)


def test_held_rows_do_not_train_a_member(part):
    # One epoch is always kept, so labels of held rows could only come in through training.
    changed = part.targets.copy()
    changed[:12] += 5
    once = dataclasses.replace(TRAINING, max_epochs=1)
    before = predictions(part, once)
    after = predictions(dataclasses.replace(part, targets=changed), once)
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.allclose(after[1], before[1])


def test_a_member_is_kept_at_its_best_epoch(part):
    part = noisy(part)
    errors = []
    for epochs in (1, 5, 15):
        predicted = predictions(part, dataclasses.replace(TRAINING, max_epochs=epochs))
        squares = np.square(predicted - part.targets)
        errors.append([squares[m][rows].mean() for m, rows in enumerate(part.held)])
    assert (np.diff(errors, axis=0) <= 1e-6).all()


def test_patience_ends_training(part):
    short = dataclasses.replace(TRAINING, patience=2, max_epochs=40)
    longer = dataclasses.replace(short, max_epochs=4000)
    np.testing.assert_array_equal(predictions(noisy(part), short), predictions(noisy(part), longer))


def test_unlabelled_targets_leave_the_others_alone(part):
    gaps = part.targets.copy()
    gaps[:, 1] = np.nan
    predicted = predictions(dataclasses.replace(part, targets=gaps))
    np.testing.assert_array_equal(predicted[:, :, 1], 0)
    assert np.square(predicted[:, :, 0] - part.targets[:, 0]).mean() < 0.1


def test_pearson_outputs_are_brought_to_the_targets_by_a_line(part):
    part = noisy(part)
    predicted = predictions(part, dataclasses.replace(TRAINING, loss="pearson"))
    for outputs, held in zip(predicted, part.held, strict=True):
        for column in range(2):
            fit = np.polyfit(outputs[~held, column], part.targets[~held, column], 1)
            np.testing.assert_allclose(fit, [1, 0], atol=1e-3)


def test_threads_are_as_they_were(part):
    before = torch.get_num_threads()
    train([part], dataclasses.replace(TRAINING, max_epochs=1))
    assert torch.get_num_threads() == before
