"""A view ready for fitting: scaled once, with its targets and folds, and what all heads share."""

from collections.abc import Iterator, Sequence
from copy import copy
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import ArrayLike

from models.arrays import (
    Bools,
    Floats,
    Floats32,
    Floats64,
    Groups,
    Ints,
    Numbers,
    as_groups,
    as_targets,
    check_same_rows,
    label_patterns,
    return_freed_memory,
    take_rows,
)
from models.bands import Factors, choose_factors
from models.folds import MOST_INNER_FOLDS, WHOLE, check_folds, inner_folds
from models.projection import Projection, principal_axes
from models.ridge.equations import FoldGram
from models.scaling import InputScaler

if TYPE_CHECKING:
    from models.heads.base import Head

LARGEST_KEPT = 0.5
"""Gram matrices are kept for the next head where they take no more than this share of the view;
those of 4,000 rows and 2,000 columns are larger than it, and quickly made again."""

Search = tuple[Ints, Numbers, dict[int, int]]
"""Folds to choose on [n_rows], negative where a row takes no part; the numbers of some targets; and
for each training set, by the fold that it lacks, the fold that is to be left out here."""


@dataclass(frozen=True)
class CrossFit:
    """Predictions of one head on one view, and the head that is kept.

    Attributes
    ----------
    oof : array of float64 [n_rows, n_targets]
        Each row predicted by the head fitted on the other folds.
    held : array of float64 [n_held, n_targets]
        Held-out rows predicted by `head`.
    head : Head
        Fitted on all labelled rows. `head.predict` of the held-out rows, unscaled, is `held`.
    """

    oof: Floats64
    held: Floats64
    head: "Head"


class FoldedView:
    """The rows of one view with their targets and folds.

    Inputs are imputed and standardised once, by all labelled rows, for all heads. That uses no
    label; everything that does, and every projection, happens inside the training set of a fold.
    What several heads need (Gram matrices, projections) is computed when first asked for, and kept.

    Parameters
    ----------
    x, y, groups : array [n_rows, n_columns], [n_rows, n_targets], [n_rows]
        As in `models.heads.Head.fit`. Rows without any label are predicted, not fitted on.
    fold_of_row : array of int [n_rows]
        From `models.folds.assign_folds`.
    x_held : array [n_held, n_columns], optional
        Rows of no fold, as of Val and Test.
    copy : bool
        False lets `x` and `x_held`, when float32, be scaled in place: a large view then takes its
        memory once.
    bands : tuple of int
        Number of columns of each encoder (`InputScaler`); a head is told the same.

    Attributes
    ----------
    inputs, held_inputs : array of float32
        `x` and `x_held`, scaled.
    targets, groups, fold_of_row : array
        As given.
    labelled : array of bool [n_rows]
        Rows with at least one label.
    scaler : InputScaler

    Raises
    ------
    ValueError
        When lengths differ, or a group lies in two folds.
    """

    def __init__(
        self,
        x: Floats,
        y: ArrayLike,
        groups: ArrayLike,
        fold_of_row: Ints,
        x_held: Floats | None = None,
        copy: bool = True,
        bands: tuple[int, ...] = (),
    ) -> None:
        self.targets, self.groups = as_targets(y), as_groups(groups)
        check_same_rows(x=x, y=self.targets, groups=self.groups, fold_of_row=fold_of_row)
        check_folds(self.groups, fold_of_row)
        self.fold_of_row = np.asarray(fold_of_row, dtype=np.int64)
        self.labelled = np.asarray(np.isfinite(self.targets).any(axis=1), dtype=np.bool_)
        scaled_by = self.labelled if self.labelled.any() else ~self.labelled
        self.scaler = InputScaler(bands).fit(take_rows(x, scaled_by))
        self.inputs = self.scaler.transform(x, copy=copy)
        self.held_inputs = self.inputs[:0]
        if x_held is not None and len(x_held):
            self.held_inputs = self.scaler.transform(x_held, copy=copy)
        self._factors: dict[int, Factors] = {}
        self._grams: dict[bytes, FoldGram] = {}
        self._projections: dict[tuple[int, int, int], Projection] = {}

    def factors(self, folds: Sequence[int]) -> dict[int, Factors]:
        """Weigh encoders for the training sets that lack each fold, by `models.bands`; once."""
        if len(self.scaler.bands) < 2:
            return dict.fromkeys(folds)
        if not self._factors.keys() >= set(folds):
            rows = np.where(self.labelled, self.fold_of_row, WHOLE)
            bands = self.scaler.bands
            self._factors = choose_factors(self.inputs, self.targets, rows, bands, folds)
            return_freed_memory()
        return {fold: self._factors[fold] for fold in folds}

    def weighted(self, factors: Factors) -> "FoldedView":
        """Return this view with its columns multiplied by factors [n_columns], if any."""
        if factors is None:
            return self
        view = copy(self)
        view.inputs, view.held_inputs = self.inputs * factors, self.held_inputs * factors
        view.scaler = self.scaler.weighted(factors)
        view._grams, view._projections = {}, {}
        return view

    @property
    def folds(self) -> list[int]:
        """The numbers of the folds."""
        return [int(fold) for fold in np.unique(self.fold_of_row)]

    @property
    def inner_groups(self) -> Groups:
        """Groups [n_rows] by which heads split a training set once more: the folds themselves.

        So the people of one fold stay together in inner folds too, and every inner training set is
        all folds but two. With two folds nothing would be left of it; then, the people.
        """
        return self.fold_of_row if len(self.folds) > 2 else self.groups

    def training_rows(self, fold: int) -> Bools:
        """Mark the labelled rows outside `fold`; with `WHOLE`, all labelled rows [n_rows]."""
        rows: Bools = self.labelled & (self.fold_of_row != fold)
        return rows

    def places(self, fold: int) -> Numbers:
        """Where the rows of `fold` (`WHOLE`: the held-out rows) are in `empty_predictions`."""
        if fold == WHOLE:
            return len(self.inputs) + np.arange(len(self.held_inputs))
        return np.flatnonzero(self.fold_of_row == fold)

    def left_out(self, fold: int) -> tuple[Numbers, Floats32]:
        """Return `places` [n], and the inputs there [n, n_columns]."""
        places = self.places(fold)
        return places, self.held_inputs if fold == WHOLE else self.inputs[places]

    def empty_predictions(self) -> Floats64:
        """Return an array [n_rows + n_held, n_targets] to be filled at `places`."""
        return np.full((len(self.inputs) + len(self.held_inputs), self.targets.shape[1]), np.nan)

    def as_cross_fit(self, predictions: Floats64, whole: "Head") -> CrossFit:
        """Part predictions into those of rows and of held-out rows.

        The head, fitted on all labelled rows, is given the scaler: it predicts rows as they come.
        """
        whole.input_scaler_, whole.n_features_in_ = self.scaler, self.inputs.shape[1]
        whole.one_target_ = False
        n_rows = len(self.inputs)
        return CrossFit(predictions[:n_rows], predictions[n_rows:], whole)

    def searches(self, folds: Sequence[int], seed: int) -> Iterator[Search]:
        """Yield what a setting of each target is chosen on, for training sets that lack a fold.

        The other folds of the view, which then serve all training sets: where there are three or
        more, each with labels of every target, and no more than a fit by itself, given the folds as
        groups, would take as they are. Else inner folds of each training set, drawn with the seed.
        """
        labelled = ~np.isnan(self.targets)
        own = [labelled[self.fold_of_row == fold].any(axis=0).all() for fold in self.folds]
        if 3 <= len(own) <= MOST_INNER_FOLDS + 1 and all(own):
            for rows, columns in label_patterns(self.targets):
                yield np.where(rows, self.fold_of_row, WHOLE), columns, {f: f for f in folds}
            return
        for fold in folds:
            in_training = self.training_rows(fold)[:, None]
            for rows, columns in label_patterns(np.where(in_training, self.targets, np.nan)):
                if rows.sum() > 1:
                    inner = np.full(len(rows), WHOLE, np.int64)
                    inner[rows] = inner_folds(self.inner_groups[rows], seed)
                    yield inner, columns, {fold: WHOLE}

    def gram_of(self, fold_of_row: Ints) -> FoldGram:
        """Gram matrices over the rows that are in a fold [n_rows], negative for the others."""
        key = fold_of_row.tobytes()
        if key in self._grams:
            return self._grams[key]
        gram = FoldGram(self.inputs, fold_of_row)
        kept = gram.nbytes + sum(each.nbytes for each in self._grams.values())
        if kept <= LARGEST_KEPT * self.inputs.nbytes:
            self._grams[key] = gram
        return gram

    def projection(self, fold: int, n_components: int, seed: int) -> Projection:
        """Principal components of the training set of `fold` (`WHOLE`: of all rows).

        Those of all folds are made together and kept, where that takes little memory.
        """
        if (fold, n_components, seed) in self._projections:
            return self._projections[fold, n_components, seed]
        folds = [*self.folds, WHOLE]
        n_bytes = len(folds) * n_components * self.inputs.itemsize * self.inputs.shape[1]
        kept = fold != WHOLE and n_bytes <= LARGEST_KEPT * self.inputs.nbytes
        made, gram = {}, self.gram_of(np.where(self.labelled, self.fold_of_row, WHOLE))
        for each in folds if kept else [fold]:
            equations = gram.equations((each,))
            if not kept:
                del gram
            made[each, n_components, seed] = principal_axes(equations, n_components, seed)
            del equations  # before the next fold's are made
        if kept:
            self._projections |= made
        return_freed_memory()
        return made[fold, n_components, seed]
