import numpy as np
import pytest

from models.ridge.penalties import MOST_INNER_FOLDS, can_nest, choose_for_all_folds, inner_folds
from models.view import WHOLE, FoldedView


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


def test_rows_of_a_single_group_are_split_after_all():
    assert len(np.unique(inner_folds(np.zeros(40), 0))) == 5


@pytest.mark.parametrize(("n_folds", "expected"), [(2, False), (3, True), (11, True), (12, False)])
def test_nesting_takes_three_folds_and_not_too_many(n_folds, expected):
    rows = np.arange(60)
    view = FoldedView(rows[:, None].astype(np.float32), rows[:, None], rows, rows % n_folds)
    assert can_nest(view) == expected


def test_nesting_takes_labels_in_every_fold():
    rows = np.arange(60)
    y = np.stack([rows, np.where(rows % 4 == 1, np.nan, rows)], axis=1)
    assert not can_nest(FoldedView(rows[:, None].astype(np.float32), y, rows, rows % 4))
