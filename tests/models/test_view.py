import numpy as np
import pytest

from models.folds import WHOLE, assign_folds
from models.heads import make_head
from models.heads.base import Head
from models.view import FoldedView
from tests.models.small import clips


class MemoryHead(Head):
    """Predicts 1 for rows it was fitted on (by their only column), 0 for others."""

    def _fit(self, inputs, targets, groups):
        self.seen_ = set(inputs[:, 0].tolist())
        self.target_scale_, self.target_mean_ = np.ones(3), np.zeros(3)

    def _predict(self, inputs):
        seen = [float(value in self.seen_) for value in inputs[:, 0].tolist()]
        return np.tile(np.array(seen)[:, None], 3)


def test_no_row_is_predicted_by_a_head_that_saw_it():
    x, y, groups = clips()
    view = FoldedView(x[:, :1], y, groups, assign_folds(groups, 3, 0), x[:5, :1])
    result = MemoryHead().cross_fit(view)
    np.testing.assert_array_equal(result.oof, 0)
    np.testing.assert_array_equal(result.held, 1)


def test_rows_without_labels_are_predicted_but_not_used():
    x, y, groups = clips()
    y[4:9] = np.nan
    folds, found = assign_folds(groups, 3, 0), []
    for moved in (0, 100):
        x[4:9] += moved
        view = FoldedView(x.copy(), y, groups, folds, x[:2])
        found.append(make_head({"kind": "ridge"}, 0).cross_fit(view))
    known, other = found
    assert np.isfinite(known.oof).all()
    labelled = ~np.isnan(y).all(axis=1)
    np.testing.assert_array_equal(known.oof[labelled], other.oof[labelled])
    np.testing.assert_array_equal(known.held, other.held)


@pytest.mark.parametrize(
    ("first", "said"), [(0, "more than one fold"), (1, "x 89, y 90, groups 90, fold_of_row 90")]
)
def test_folds_that_share_a_person_and_other_lengths_are_refused(first, said):
    x, y, groups = clips()
    with pytest.raises(ValueError, match=said):
        FoldedView(x[first:], y, groups, np.arange(90) % 3)


@pytest.mark.parametrize(("n_folds", "is_shared"), [(2, False), (3, True), (11, True), (12, False)])
@pytest.mark.parametrize("gaps", [False, True])
def test_a_search_serves_all_training_sets_where_folds_are_as_inner_ones(n_folds, is_shared, gaps):
    """That is, not where a fold has no label."""
    rows = np.arange(60)
    y = np.stack([rows, np.where(gaps & (rows % n_folds == 1), np.nan, rows)], axis=1)
    view = FoldedView(rows[:, None].astype(np.float32), y, rows, rows % n_folds)
    searches = list(view.searches([*view.folds, WHOLE], 0))
    if is_shared and not gaps:
        assert len(searches) == 1
    else:
        assert len(searches) > n_folds
        for fold_of_row, columns, without in searches:
            (fold,) = without
            expected = ~np.isnan(y[:, columns]).any(axis=1) & (rows % n_folds != fold)
            np.testing.assert_array_equal(fold_of_row >= 0, expected)
