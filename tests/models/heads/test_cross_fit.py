"""Every head's cross-fit equals the plain loop: one fit per fold on the view as it was scaled."""

import numpy as np
import pytest

from models.folds import assign_folds
from models.heads import HEADS, make_head
from models.view import FoldedView
from tests.models.small import ENTRIES, clips, plain_cross_fit

# A small penalty amplifies the rounding of the float32 kernel, which differs between machines.
TOLERANCE = {"kernel_ridge": 1e-3, "svr": 1e-3}


@pytest.mark.parametrize("gaps", [False, True], ids=["complete", "gaps"])
@pytest.mark.parametrize("n_columns", [10, 300], ids=["tall", "wide"])
@pytest.mark.parametrize("kind", sorted(HEADS))
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
