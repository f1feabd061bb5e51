"""Small and degenerate tables: every head, the stack and the scores say what can be said."""

import warnings

import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

from models.evaluation.scores import score_predictions
from models.heads import HEADS, make_head
from models.persistence import dumps, loads
from models.stack import fit_stack, stack_oof
from models.view import FoldedView
from tests.models.small import ENTRIES

INPUTS = {
    "plain": lambda x: x,
    "constant": np.ones_like,
    "two rows": lambda x: x[np.arange(len(x)) % 2],
    "one direction": lambda x: x[:, :1] + np.zeros_like(x),
    "missing": lambda x: np.full_like(x, np.nan),
}
FIRST = np.arange(3) == 0
TARGETS = {
    "plain": lambda y, _: y,
    "a constant": lambda y, _: np.where(FIRST, 0.5, y),
    "all constant": lambda y, _: np.full_like(y, 0.3),
    "gaps": lambda y, _: np.where(FIRST & (np.arange(len(y)) % 3 == 1)[:, None], np.nan, y),
    "one fold": lambda y, folds: np.where(FIRST & (folds > 0)[:, None], np.nan, y),
    "no labels": lambda y, _: np.where(FIRST, np.nan, y),
    "huge": lambda y, _: 1e105 + 1e100 * y,
    "tiny": lambda y, _: 1e-150 * y,
}


def table(n_rows, n_columns, n_folds, kind_of_x, kind_of_y):
    """Draw one held-out row more than rows."""
    rng = np.random.default_rng(n_rows + n_columns)
    x, y = rng.normal(size=(n_rows + 1, n_columns)), rng.normal(size=(n_rows, 3))
    folds = np.arange(n_rows) % n_folds
    return INPUTS[kind_of_x](x).astype(np.float32), TARGETS[kind_of_y](y, folds), folds


@settings(max_examples=25)
@given(
    n_rows=st.integers(1, 12),
    n_columns=st.sampled_from([1, 3, 200]),
    n_folds=st.integers(1, 3),
    kind_of_x=st.sampled_from(sorted(INPUTS)),
    kind_of_y=st.sampled_from(sorted(TARGETS)),
)
def test_whatever_the_table_predictions_and_scores_are_honest(
    n_rows, n_columns, n_folds, kind_of_x, kind_of_y
):
    x, y, folds = table(n_rows, n_columns, n_folds, kind_of_x, kind_of_y)
    people = folds if n_folds == 1 else np.arange(n_rows)
    unlabelled, fits = np.isnan(y).all(axis=0), []
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for kind in HEADS:
            view = FoldedView(x[:n_rows], y, people, folds, x[n_rows:])
            fit = make_head(ENTRIES[kind], 0, (n_columns,)).cross_fit(view)
            assert np.isnan(fit.held).all(axis=0).tolist() == unlabelled.tolist()
            np.testing.assert_array_equal(loads(dumps(fit.head)).predict(x[n_rows:]), fit.held)
            for fold in np.unique(folds):  # NaN where nobody outside the fold is labelled
                unsaid = np.isnan(y[folds != fold]).all(axis=0)
                assert (np.isnan(fit.oof[folds == fold]) == unsaid).all()
            fits.append(fit)
        members = np.stack([fit.oof for fit in fits], axis=1)
        stack = fit_stack(members, y, folds)
        assert (stack.member_weights >= 0).all()
        assert np.isin(stack.member_weights.sum(axis=1).round(9), [0, 1]).all()
        predicted = stack.predict(np.stack([fit.held for fit in fits], axis=1))
        assert (np.isnan(predicted) == unlabelled).all()
        oof = stack_oof(members, y, folds)
        everything = np.stack([*members.swapaxes(0, 1), oof])
        for score in score_predictions(y, everything, people, 20, 0, folds):
            assert np.isnan(score.pearson[unlabelled]).all()
            assert not (np.abs(score.pearson) > 1).any()
            assert n_folds > 1 or np.isnan(score.mean_pearson)
