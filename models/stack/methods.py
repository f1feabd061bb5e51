"""Ways of combining members; each gives linear weights from the sums of some folds.

A method takes members in their folds and the folds to fit on, and returns weights [n_targets,
n_inputs] of any scale, where the inputs are all members' predictions of all targets. Adding one is
a function and an entry in `METHODS`.
"""

from collections.abc import Callable
from typing import cast

import numpy as np
from scipy.linalg import cho_factor, cho_solve, cholesky, solve_triangular
from scipy.optimize import nnls as solve_nnls

from models.stack.folded import Array, Folded, Folds, Sums

Method = Callable[[Folded, Folds], Array]

PRIOR_ROWS = 200
"""Equal weights count as much as this many rows: few rows stay near them, thousands leave them.

Of 50 to 1,000 the best compromise on simulated members (benchmarks/stack_choice.py): fewer lose to
the average at 72 rows, more fall short of what 2,400 rows can tell.
"""

GREEDY_STEPS = 100
"""Members drawn by `greedy`, on top of one of each."""

PENALTIES = (10.0, 1.0, 0.1, 0.01)
"""Penalties `ridge` tries, per row. Finer steps gained nothing on simulated members."""


def average(data: Folded, folds: Folds) -> Array:
    """Weigh all members equally."""
    sums = data.sums(folds[:1])
    return _spread_out(np.full(sums.own.shape, 1 / sums.own.shape[1]), sums)


def nnls(data: Folded, folds: Folds) -> Array:
    """Non-negative least squares, pulled towards the equally weighted fit by `PRIOR_ROWS`.

    Non-negative weights are what makes stacked regressions work (Breiman 1996, Machine Learning
    24:49-64). Equal ones where the fit finds none.
    """
    sums = data.sums(folds)
    grams, crosses = sums.own_sums()
    n_members = grams.shape[1]
    weights = np.full(crosses.shape, 1 / n_members)
    prior = PRIOR_ROWS * np.eye(n_members)
    unit = np.sqrt(sums.size / np.maximum(sums.n_rows, 1))
    for number in np.flatnonzero(unit):
        gram, cross = grams[number], crosses[number] / unit[number]
        equal = max(0.0, cross.sum() / gram.sum()) if gram.sum() > 1e-9 * np.trace(gram) else 0.0
        # |z w - t|^2 + prior |w - equal|^2 as the least squares of the root of its matrix.
        root = cholesky(gram + prior)
        fitted = solve_nnls(root, solve_triangular(root, cross + PRIOR_ROWS * equal, trans="T"))[0]
        if fitted.any():
            weights[number] = fitted
    return _spread_out(weights, sums)


def greedy(data: Folded, folds: Folds) -> Array:
    """Draw members with replacement, each time the one that raises the correlation most.

    Ensemble selection (Caruana et al. 2004, ICML), per target: the weights are how often a member
    was drawn, up to the best draw. It starts with one of each member, and where there are several
    folds it is the mean over selections that leave one out (bagging over people).
    """
    bags = [tuple(fold for fold in folds if fold != out) for out in folds]
    counts = [data.fitted(_draw_members, bag) for bag in (bags if len(folds) > 1 else [folds])]
    return _spread_out(cast(Array, np.mean(counts, axis=0)), data.sums(folds[:1]))


def ridge(data: Folded, folds: Folds) -> Array:
    """Ridge on all members' predictions of all targets, pulled towards `nnls` instead of zero.

    Every member's prediction of another target is an input too: reactions come together. The
    penalty (infinite: the line through `nnls`) is the one with the highest mean correlation on
    folds left out one at a time. One for all targets: one for each was too noisy a choice below
    thousands of rows and gained nothing above.
    """
    candidates = data.fitted(_ridge_path, folds)
    if len(folds) < 2:
        return cast(Array, candidates[0])
    shape = candidates.shape[:2]
    with_target, with_self, size = np.zeros(shape), np.zeros(shape), np.zeros(shape[1])
    for out in folds:
        weights = data.fitted(_ridge_path, tuple(fold for fold in folds if fold != out))
        left_out = data.sums((out,))
        products = left_out.products(weights)
        with_target, with_self = with_target + products[0], with_self + products[1]
        size = size + left_out.size
    scores = _ratio(with_target, np.sqrt(with_self * size)).mean(axis=1)
    return cast(Array, candidates[int(np.argmax(scores))])


METHODS: dict[str, Method] = {"average": average, "nnls": nnls, "greedy": greedy, "ridge": ridge}
"""The method of each name. The first is what the others have to beat."""


def _ridge_path(data: Folded, folds: Folds) -> Array:
    """Ridge weights for each penalty, infinite first [1 + n_penalties, n_targets, n_inputs]."""
    sums = data.sums(folds)
    prior = data.fitted(nnls, folds)
    with_target, with_self = sums.products(prior)
    prior = prior * np.maximum(0.0, _ratio(with_target, with_self))[:, None]
    path = np.repeat(prior[None], 1 + len(PENALTIES), axis=0)
    for number, gram in enumerate(sums.gram):
        of_pattern = np.flatnonzero(sums.pattern == number)
        n_rows = sums.n_rows[of_pattern[0]]
        if n_rows == 0:
            continue
        missing = sums.cross[of_pattern] - prior[of_pattern] @ gram
        for step, penalty in enumerate(PENALTIES, start=1):
            factor = cho_factor(gram + penalty * n_rows * np.eye(len(gram)))
            path[step, of_pattern] += cho_solve(factor, missing.T).T
    return path


def _draw_members(data: Folded, folds: Folds) -> Array:
    """How often each member is drawn, up to the best draw [n_targets, n_members]."""
    gram, cross = data.sums(folds).own_sums()
    size = np.einsum("tmm->tm", gram)
    constant = size <= 1e-12 * size.max(axis=1, keepdims=True)
    targets = np.arange(len(cross))
    counts = np.ones_like(cross)
    best, best_score = counts.copy(), np.full(len(cross), -np.inf)
    # Sums of products of the members drawn so far: with each member, the target, and themselves.
    with_members, with_target = gram.sum(axis=2), cross.sum(axis=1)
    with_self = with_members.sum(axis=1)
    for _ in range(GREEDY_STEPS):
        square = with_self[:, None] + 2 * with_members + size
        scores = _ratio(with_target[:, None] + cross, np.sqrt(np.maximum(square, 0.0)))
        scores[constant] = -np.inf
        drawn = np.argmax(scores, axis=1)
        counts[targets, drawn] += 1
        with_target += cross[targets, drawn]
        with_self = square[targets, drawn]
        with_members += gram[targets, drawn]
        better = scores[targets, drawn] > best_score
        best[better] = counts[better]
        best_score = np.maximum(best_score, scores[targets, drawn])
    return best


def _spread_out(own_weights: Array, sums: Sums) -> Array:
    """Weights of the own inputs [n_targets, n_members] as weights of all inputs."""
    weights = np.zeros_like(sums.cross)
    np.put_along_axis(weights, sums.own, own_weights, axis=1)
    return weights


def _ratio(top: Array, bottom: Array) -> Array:
    return np.divide(top, bottom, out=np.zeros_like(top), where=bottom > 0)
