"""Every head's cross-fit equals the plain loop: one fit per fold on the view as it was scaled."""

import numpy as np
import pytest

from models.folds import assign_folds
from models.heads import HEADS, make_head
from models.view import FoldedView
from tests.models.small import ENTRIES, plain_cross_fit

# A small penalty amplifies the rounding of the float32 kernel, which differs between machines.
TOLERANCE = {"kernel_ridge": 1e-3, "svr": 1e-3}


def view_of(n_rows=120, n_columns=10, seed=0, gaps=False):
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(n_rows + 20, n_columns)).astype(np.float32)
    y = 0.5 + 0.2 * x[:, :3] + 0.2 * rng.normal(size=(n_rows + 20, 3))
    groups = rng.integers(20, size=n_rows)
    if gaps:
        x[::7, : n_columns // 2] = np.nan
        y[::5, 1], y[3:9] = np.nan, np.nan
    folds = assign_folds(groups, 4, 0)
    return FoldedView(x[:n_rows], y[:n_rows], groups, folds, x[n_rows:])


@pytest.mark.parametrize("n_held", [20, 0])
@pytest.mark.parametrize("variant", sorted(ENTRIES))
def test_the_head_that_predicted_the_held_out_rows_is_kept(variant, n_held):
    n_rows = 120
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows + 20, 150)).astype(np.float32)
    x[::7, :40] = np.nan
    y = 0.5 + 0.2 * rng.normal(size=(n_rows, 3))
    y[::5, 1], y[3:9] = np.nan, np.nan
    groups = rng.integers(20, size=n_rows)
    x_held = x[n_rows : n_rows + n_held]
    view = FoldedView(x[:n_rows], y, groups, assign_folds(groups, 4, 0), x_held)
    fitted = make_head(ENTRIES[variant], 3).cross_fit(view)
    predicted = fitted.head.predict(x[n_rows:])
    assert predicted.shape == (20, 3)
    assert np.isfinite(predicted).all()
    np.testing.assert_array_equal(predicted[:n_held], fitted.held)


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
@pytest.mark.parametrize("n_columns", [10, 300], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", sorted(HEADS))
def test_cross_fit_equals_the_plain_loop(kind, n_columns, gaps):
    view = view_of(n_columns=n_columns, gaps=gaps)
    head = make_head(ENTRIES[kind], 3)
    fast, (oof, held) = head.cross_fit(view), plain_cross_fit(head, view)
    np.testing.assert_allclose(fast.oof, oof, atol=TOLERANCE.get(kind, 1e-4))
    np.testing.assert_allclose(fast.held, held, atol=TOLERANCE.get(kind, 1e-4))
    assert np.isfinite(fast.oof).all()
