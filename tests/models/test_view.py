import numpy as np
import pytest

from models.folds import WHOLE, assign_folds
from models.heads import make_head
from models.heads.base import Head
from models.view import FoldedView


@pytest.fixture
def clips():
    rng = np.random.default_rng(0)
    x = rng.normal(size=(30, 4))
    y = x[:, :2] + 0.3 * rng.normal(size=(30, 2))
    groups = rng.integers(8, size=30)
    return x, y, groups, assign_folds(groups, 3, 0)


def cross_fit(head, x, y, groups, folds, x_held):
    return head.cross_fit(FoldedView(x, y, groups, folds, x_held))


class MemoryHead(Head):
    """Predicts 1 for rows it was fitted on (by their only column), 0 for others."""

    def _fit(self, inputs, targets, groups):
        self.seen_ = set(inputs[:, 0].tolist())
        self.n_targets_ = targets.shape[1]
        self.target_scale_, self.target_mean_ = np.ones(2), np.zeros(2)

    def _predict(self, inputs):
        seen = [float(value in self.seen_) for value in inputs[:, 0].tolist()]
        return np.tile(np.array(seen)[:, None], self.n_targets_)


def test_no_row_is_predicted_by_a_head_that_saw_it(clips):
    x, y, groups, folds = clips
    result = cross_fit(MemoryHead(), x[:, :1], y, groups, folds, x[:5, :1])
    np.testing.assert_array_equal(result.oof, 0)
    np.testing.assert_array_equal(result.held, 1)


def test_rows_without_labels_are_predicted_but_not_used(clips):
    x, y, groups, folds = clips
    y[4:9] = np.nan
    known = cross_fit(make_head({"kind": "ridge"}, 0), x, y, groups, folds, x[:2])
    changed = x.copy()
    changed[4:9] += 100
    moved = cross_fit(make_head({"kind": "ridge"}, 0), changed, y, groups, folds, x[:2])
    assert np.isfinite(known.oof).all()
    labelled = ~np.isnan(y).all(axis=1)
    np.testing.assert_array_equal(known.oof[labelled], moved.oof[labelled])
    np.testing.assert_array_equal(known.held, moved.held)


def test_folds_that_share_a_person_are_refused(clips):
    x, y, groups, _ = clips
    with pytest.raises(ValueError, match="more than one fold"):
        cross_fit(make_head({"kind": "mean"}, 0), x, y, groups, np.arange(30) % 3, x[:1])


def test_lengths_must_agree(clips):
    x, y, groups, folds = clips
    with pytest.raises(ValueError, match="x 29, y 30, groups 30, fold_of_row 30"):
        cross_fit(make_head({"kind": "mean"}, 0), x[1:], y, groups, folds, x[:1])


@pytest.mark.parametrize(("n_folds", "is_shared"), [(2, False), (3, True), (11, True), (12, False)])
def test_a_search_serves_all_training_sets_where_folds_are_as_inner_ones(n_folds, is_shared):
    rows = np.arange(60)
    view = FoldedView(rows[:, None].astype(np.float32), rows[:, None], rows, rows % n_folds)
    searches = list(view.searches([*view.folds, WHOLE], 0))
    assert len(searches) == (1 if is_shared else n_folds + 1)


def test_a_search_is_not_shared_where_a_fold_has_no_label():
    rows = np.arange(60)
    y = np.stack([rows, np.where(rows % 4 == 1, np.nan, rows)], axis=1)
    view = FoldedView(rows[:, None].astype(np.float32), y, rows, rows % 4)
    for fold_of_row, columns, without in view.searches(view.folds, 0):
        (fold,) = without
        expected = ~np.isnan(y[:, columns]).any(axis=1) & (rows % 4 != fold)
        np.testing.assert_array_equal(fold_of_row >= 0, expected)
