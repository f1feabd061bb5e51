import numpy as np
import pytest

from models.stack.choice import choose, fit_weights
from models.stack.folded import Folded
from models.stack.methods import METHODS


def folded(strengths, n_rows=400, n_targets=3, seed=0, swap=False, spoilt=None):
    """Members that see the target by `strengths`; swapped ones predict another target."""
    rng = np.random.default_rng(seed)
    signal = rng.normal(size=(n_rows, n_targets))
    seen = np.roll(signal, 1, axis=1) if swap else signal
    noise = rng.normal(size=(n_rows, len(strengths), n_targets))
    members = np.array(strengths)[:, None] * seen[:, None] + noise
    targets = signal + rng.normal(size=signal.shape)
    folds = np.arange(n_rows) % 5
    targets[folds == spoilt] = 7.0
    return Folded(members, targets, folds)


def choice(data, folds=None):
    return choose(data, folds or data.folds)


@pytest.mark.parametrize("strengths", [(1, 1, 1, 1), (0, 0, 0)], ids=["equal", "useless"])
@pytest.mark.parametrize("n_rows", [72, 400, 2_000])
def test_the_average_stays_where_nothing_beats_it(strengths, n_rows):
    assert choice(folded(strengths, n_rows=n_rows)) == ("average", 0.0)


def test_the_average_stays_where_folds_are_too_few_to_tell():
    assert choice(folded((1, 0)), folds=(2,)) == ("average", 0.0)


def test_the_average_stays_where_there_is_but_one_member():
    assert choice(folded((1,), n_targets=1)) == ("average", 0.0)


def test_unequal_members_are_weighed():
    method, share = choice(folded((1, 0, 0, 0), n_rows=800))
    assert method in METHODS
    assert method != "average"
    assert 0.9 < share <= 1


def test_predictions_of_other_targets_are_used_where_they_say_more():
    assert choice(folded((1, 1), n_rows=800, swap=True))[0] == "ridge"


def test_the_share_grows_with_the_evidence():
    shares = [choice(folded((1, 0.3), n_rows=n))[1] for n in (60, 500, 5_000)]
    assert shares[0] == 0
    assert shares == sorted(shares)
    assert shares[2] > 0.9


def test_labels_of_other_folds_take_no_part():
    data, spoilt = folded((1, 0.2)), folded((1, 0.2), spoilt=4)
    assert choice(data, folds=(0, 1, 2, 3)) == choice(spoilt, folds=(0, 1, 2, 3))


@pytest.mark.parametrize("method", METHODS)
def test_weights_make_all_combinations_vary_alike(method):
    data = folded((1, 0.5, 0.0))
    size = data.sums(data.folds).products(fit_weights(data, data.folds, method, 0.7))[1]
    goal = data.sums(data.folds).products(fit_weights(data, data.folds, "average"))[1]
    np.testing.assert_allclose(size, goal)


def test_the_share_mixes_with_the_average():
    data = folded((1, 0.5, 0.0))
    whole, none, average = (
        fit_weights(data, data.folds, method, share)
        for method, share in (("greedy", 1.0), ("greedy", 0.0), ("average", 0.0))
    )
    np.testing.assert_allclose(none, average)
    half = fit_weights(data, data.folds, "greedy", 0.5)
    mixed = whole + average
    np.testing.assert_allclose(
        half / half.sum(axis=1, keepdims=True), mixed / mixed.sum(axis=1, keepdims=True)
    )


def test_members_that_cancel_out_are_told_apart():
    rng = np.random.default_rng(0)
    signal = rng.normal(size=(300, 1))
    members = np.stack([signal, -signal], axis=1)
    data = Folded(members, signal + rng.normal(size=signal.shape), np.arange(300) % 5)
    assert choice(data)[0] != "average"
