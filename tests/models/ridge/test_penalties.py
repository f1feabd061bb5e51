import numpy as np
import pytest
from sklearn.linear_model import Ridge

from models.ridge.equations import FoldGram
from models.ridge.penalties import (
    MOST_INNER_FOLDS,
    RidgeCandidates,
    can_nest,
    choose_for_all_folds,
    inner_folds,
)
from models.view import WHOLE, FoldedView

ALPHAS = (0.01, 10.0, 1.0)


class Ledger:
    """Candidates whose errors tell which folds were left out."""

    folds = (0, 1, 2)

    def __init__(self):
        self.asked = []

    def errors(self, excluded):
        self.asked.append(excluded)
        # On fold 0 candidate 0 is right, elsewhere candidate 1; target 1 the other way round.
        return {
            fold: np.array([[0.0, 1.0], [1.0, 0.0]]) if fold == 0 else np.array([[1.0, 0], [0, 1]])
            for fold in excluded
        }


def test_no_choice_looks_at_the_fold_it_is_for():
    ledger = Ledger()
    best = dict(choose_for_all_folds(ledger))
    assert best[0].tolist() == [1, 0]  # folds 1 and 2 agree
    assert best[1].tolist() == [0, 0]  # folds 0 and 2 tie: the first
    assert best[WHOLE].tolist() == [1, 0]
    assert ledger.asked == [(0, 1), (0, 2), (1, 2), (0,), (1,), (2,)]


def test_few_groups_are_folds_of_their_own():
    groups = np.repeat(np.arange(MOST_INNER_FOLDS), 3)
    assert len(np.unique(inner_folds(groups, 0))) == MOST_INNER_FOLDS
    assert len(np.unique(inner_folds(np.repeat(np.arange(50), 3), 0))) == 5


@pytest.mark.parametrize(("n_folds", "expected"), [(2, False), (3, True), (11, True), (12, False)])
def test_nesting_takes_three_folds_and_not_too_many(n_folds, expected):
    rows = np.arange(60)
    view = FoldedView(rows[:, None].astype(np.float32), rows[:, None], rows, rows % n_folds)
    assert can_nest(view) == expected


def test_nesting_takes_labels_in_every_fold():
    rows = np.arange(60)
    y = np.stack([rows, np.where(rows % 4 == 1, np.nan, rows)], axis=1)
    assert not can_nest(FoldedView(rows[:, None].astype(np.float32), y, rows, rows % 4))


@pytest.fixture(params=[(30, 9), (12, 40)], ids=str)
def table(request):
    rng = np.random.default_rng(0)
    n_rows, n_columns = request.param
    x = rng.normal(2, 1, size=(n_rows, n_columns)).astype(np.float32)
    return x, rng.normal(1, 1, size=(n_rows, 4)), np.arange(n_rows) % 3


def test_each_target_is_fitted_with_its_candidate(table):
    x, y, folds = table
    family = RidgeCandidates(FoldGram(x, folds), y, ALPHAS)
    for fold in (1, WHOLE):
        train = folds != fold
        part = x[train].astype(np.float64)
        unit = np.square(part - part.mean(axis=0)).sum() / min(part.shape)
        coef, intercept = family.fit(fold, np.array([2, 0, 1, 0]))
        for target, alpha in enumerate((0.01, 10.0, 1.0, 10.0)):  # the largest is number 0
            plain = Ridge(alpha * unit).fit(part, y[train, target])
            np.testing.assert_allclose(coef[:, target], plain.coef_, rtol=1e-3, atol=1e-5)
            assert intercept[target] == pytest.approx(plain.intercept_, rel=1e-3)


def test_mixtures_come_before_penalties(table):
    x, y, folds = table
    mixtures = (4, x.shape[1] - 4), np.array([[1.0, 1.0], [2.0, 0.0]])
    family = RidgeCandidates(FoldGram(x, folds), y, ALPHAS, *mixtures)
    plain = RidgeCandidates(FoldGram(x, folds), y, ALPHAS)
    found, expected = family.errors((0, 1)), plain.errors((0, 1))
    assert found[1].shape == (6, 4)
    np.testing.assert_allclose(found[1][:3], expected[1], rtol=1e-6)
    coef, _ = family.fit(WHOLE, np.array([3, 0, 5, 1]))
    np.testing.assert_array_equal(coef[4:, [0, 2]], 0)
    assert (coef[4:, [1, 3]] != 0).all()


def test_rough_solutions_choose_what_exact_ones_choose(monkeypatch):
    rng = np.random.default_rng(0)
    traits = rng.normal(size=(900, 200)) * np.arange(1, 201) ** -0.5
    x = traits @ rng.normal(size=(200, 600)) + 0.3 * rng.normal(size=(900, 600))
    x = ((x - x.mean(axis=0)) / x.std(axis=0)).astype(np.float32)
    noise = np.array([0.1, 0.5, 2.0, 8.0, 30.0])
    y = traits[:, :5] @ rng.normal(size=(5, 5)) + noise * rng.normal(size=(900, 5))
    alphas = 10.0 ** np.arange(3, -2.1, -0.5)
    family = RidgeCandidates(FoldGram(x, np.arange(900) % 5), y, alphas)
    rough = dict(choose_for_all_folds(family))
    monkeypatch.setattr("models.ridge.penalties.CHOOSING_TOLERANCE", 1e-8)
    exact = dict(choose_for_all_folds(family))
    assert len(np.unique(exact[WHOLE])) > 2
    for fold, chosen in exact.items():
        np.testing.assert_array_equal(rough[fold], chosen)
