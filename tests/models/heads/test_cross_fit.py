"""Every head's cross-fit equals the plain loop: one fit per fold on the view as it was scaled."""

import numpy as np
import pytest

from models.folds import assign_folds
from models.heads import HEADS, make_head
from models.view import FoldedView
from tests.models.small import ENTRIES, plain_cross_fit

# A small penalty amplifies the rounding of the float32 kernel, which differs between machines.
TOLERANCE = {"kernel_ridge": 1e-3, "svr": 1e-3}


def view_of(n_columns, gaps, n_rows=120):
    """A view, and its held-out rows as they come."""
    rng = np.random.default_rng(0)
    x = rng.normal(size=(n_rows + 20, n_columns)).astype(np.float32)
    y = 0.5 + 0.2 * x[:, :3] + 0.2 * rng.normal(size=(n_rows + 20, 3))
    groups = rng.integers(20, size=n_rows)
    if gaps:
        x[::7, : n_columns // 2] = np.nan
        y[::5, 1], y[3:9] = np.nan, np.nan
    folds, held = assign_folds(groups, 4, 0), x[n_rows:].copy()
    return FoldedView(x[:n_rows], y[:n_rows], groups, folds, x[n_rows:]), held


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
@pytest.mark.parametrize("n_columns", [10, 300], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", sorted(HEADS))
def test_cross_fit_equals_the_plain_loop_and_keeps_the_head_of_the_held_out_rows(
    kind, n_columns, gaps
):
    view, held_out = view_of(n_columns, gaps)
    head = make_head(ENTRIES[kind], 3)
    fast, (oof, held) = head.cross_fit(view), plain_cross_fit(head, view)
    np.testing.assert_allclose(fast.oof, oof, atol=TOLERANCE.get(kind, 1e-4))
    np.testing.assert_allclose(fast.held, held, atol=TOLERANCE.get(kind, 1e-4))
    assert np.isfinite(fast.oof).all()
    np.testing.assert_array_equal(fast.head.predict(held_out), fast.held)
