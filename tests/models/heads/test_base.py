"""The contract every head keeps."""

import numpy as np
import pytest

from models.arrays import label_patterns
from models.folds import assign_folds
from models.heads import HEADS, make_head
from models.metrics import mean_pearson
from models.view import FoldedView
from tests.models.small import ENTRIES, clips, plain_cross_fit

# A small penalty amplifies the rounding of the float32 kernel, which differs between machines.
TOLERANCE = {"kernel_ridge": 1e-3, "svr": 1e-3}


@pytest.fixture(params=sorted(HEADS))
def kind(request):
    return request.param


def fitted(kind, x, y, groups):
    return make_head(ENTRIES[kind], 0).fit(x, y, groups)


def test_learns_what_is_there_and_each_time_the_same_bytes(kind):
    x, y, groups = clips(noise=0.05)
    first, again = (fitted(kind, x[:60], y[:60], groups[:60]).predict(x[60:]) for _ in range(2))
    assert (first.shape, first.dtype) == ((30, 3), np.float64)
    assert first.tobytes() == again.tobytes()
    score = mean_pearson(y[60:], first)
    assert score == 0.0 if kind == "mean" else score > 0.5
    np.testing.assert_allclose(first.mean(axis=0), y[60:].mean(axis=0), atol=0.15)


def test_neither_unlabelled_rows_nor_units_of_targets_matter(kind):
    x, y, groups = clips(noise=0.05)
    y[40:45] = np.nan
    used = ~np.isnan(y[:, 0])
    predicted = fitted(kind, x, y, groups).predict(x)
    without = fitted(kind, x[used], y[used], groups[used]).predict(x)
    np.testing.assert_array_equal(predicted, without)
    scaled = fitted(kind, x, 1024 * y, groups).predict(x)
    np.testing.assert_allclose(scaled, 1024 * predicted, rtol=1e-3)


def test_a_constant_and_a_single_label_are_predicted_as_they_are_and_none_as_nan(kind):
    x, y, groups = clips(noise=0.05)
    alone = fitted(kind, x, y[:, :1], groups).predict(x)
    constant = fitted(kind, x, np.where([0, 1, 0], 0.7, y), groups).predict(x)
    np.testing.assert_allclose(constant[:, 1], 0.7, atol=0.01)
    y[1:, 2], y[:, 1] = np.nan, np.nan
    predicted = fitted(kind, x, y, groups).predict(x)
    np.testing.assert_allclose(predicted[:, :1], alone, atol=1e-3)
    assert np.isnan(predicted[:, 1]).all()
    np.testing.assert_array_equal(predicted[:, 2], y[0, 2])


def test_other_lengths_are_refused():
    x, y, groups = clips()
    with pytest.raises(ValueError, match="X 90, y 89, groups 90"):
        make_head({"kind": "mean"}, 0).fit(x, y[1:], groups)


def test_label_patterns_part_targets_by_their_rows():
    nan = np.nan
    targets = np.array([[1, 1, nan, 1], [1, nan, 1, 1], [1, 1, 1, 1]])
    found = {tuple(columns): rows.tolist() for rows, columns in label_patterns(targets)}
    assert found == {
        (0, 3): [True, True, True],
        (1,): [True, False, True],
        (2,): [False, True, True],
    }


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
@pytest.mark.parametrize("n_columns", [10, 300], ids=["tall", "wide"])
def test_cross_fit_equals_the_plain_loop_and_keeps_the_head_of_the_held_out_rows(
    kind, n_columns, gaps
):
    x, y, groups = clips(140, n_columns, 0.2, gaps, n_people=20)
    held_out, y, groups = x[120:].copy(), y[:120], groups[:120]
    view = FoldedView(x[:120], y, groups, assign_folds(groups, 4, 0), x[120:])
    head = make_head(ENTRIES[kind], 3)
    fast, (oof, held) = head.cross_fit(view), plain_cross_fit(head, view)
    np.testing.assert_allclose(fast.oof, oof, atol=TOLERANCE.get(kind, 1e-4))
    np.testing.assert_allclose(fast.held, held, atol=TOLERANCE.get(kind, 1e-4))
    assert np.isfinite(fast.oof).all()
    np.testing.assert_array_equal(fast.head.predict(held_out), fast.held)
