import dataclasses

import numpy as np
import pytest

from models.heads.mlp_network import Training, predict_members, train_members

TRAINING = Training(
    hidden=(16, 8),
    dropout=0.0,
    learning_rate=1e-2,
    weight_decay=0.0,
    batch_size=16,
    max_epochs=40,
    patience=40,
    seed=0,
)


@pytest.fixture
def table():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(48, 3)).astype(np.float32)
    return x, x[:, :2].copy(), np.zeros((2, 48), dtype=np.bool_)


def test_members_fit_and_differ(table):
    x, y, held = table
    predicted = predict_members(train_members(x, y, held, TRAINING), x)
    assert predicted.shape == (2, 48, 2)
    assert np.square(predicted - y).mean() < 0.1
    assert not np.array_equal(predicted[0], predicted[1])


def test_held_rows_do_not_train_a_member(table):
    # One epoch is always kept, so labels of held rows could only come in through training.
    x, y, held = table
    held[0, :12] = True
    changed = y.copy()
    changed[:12] += 5
    once = dataclasses.replace(TRAINING, max_epochs=1)
    before, after = (predict_members(train_members(x, t, held, once), x) for t in (y, changed))
    np.testing.assert_array_equal(after[0], before[0])
    assert not np.allclose(after[1], before[1])


def test_a_member_is_kept_at_its_best_epoch(table):
    x, y, held = table
    held[:, :12] = True
    noise = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    long = dataclasses.replace(TRAINING, max_epochs=60, patience=60)
    errors = []
    for epochs in (1, 5, 60):
        layers = train_members(x, noise, held, dataclasses.replace(long, max_epochs=epochs))
        errors.append(np.square(predict_members(layers, x) - noise)[:, :12].mean(axis=(1, 2)))
    assert (errors[1] <= errors[0]).all()
    assert (errors[2] <= errors[1]).all()


def test_patience_ends_training(table):
    x, y, held = table
    held[:, :12] = True
    noise = np.random.default_rng(1).normal(size=y.shape).astype(np.float32)
    short = dataclasses.replace(TRAINING, patience=2, max_epochs=40)
    longer = dataclasses.replace(short, max_epochs=400)
    ours, theirs = (train_members(x, noise, held, training) for training in (short, longer))
    for (weight, offset), (other_weight, other_offset) in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(weight, other_weight)
        np.testing.assert_array_equal(offset, other_offset)


def test_unlabelled_targets_leave_the_others_alone(table):
    x, y, held = table
    gaps = y.copy()
    gaps[:, 1] = np.nan
    layers = train_members(x, gaps, held, TRAINING)
    predicted = predict_members(layers, x)
    np.testing.assert_array_equal(predicted[:, :, 1], 0)
    assert np.square(predicted[:, :, 0] - y[:, 0]).mean() < 0.1
