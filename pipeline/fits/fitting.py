"""The one way to fit a head on a view: the stage `fit` and `eri compare` share it and its cache."""

import time
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from sklearn.base import clone

from models.arrays import DataError
from models.evaluation.learning_curve import CurvePoint, learning_curve
from models.heads import Head, make_head
from models.view import FoldedView
from pipeline.clip_table import Rows, column_vectors
from pipeline.fits.jobs import Fit, Job, View
from pipeline.fits.pooled import load_vectors
from pipeline.params import ParamsError


class Fitter:
    """Fits heads on views of the same rows.

    The view last used stays loaded: heads of one view share what they compute of it, so they
    should come one after the other.

    Parameters
    ----------
    rows : Rows
        Clips, targets, people and folds.
    """

    def __init__(self, rows: Rows) -> None:
        self._rows = rows
        self._loaded: tuple[View, FoldedView] | None = None

    def load(self, view: View) -> FoldedView:
        """Load a view and scale it, unless it is loaded; raises as `load_vectors`."""
        if self._loaded is None or self._loaded[0] != view:
            self._loaded = None  # so that two views are never in memory
            self._loaded = view, fold_view(self._vectors(view), self._rows)
        return self._loaded[1]

    def fit(self, view: View, head: Head) -> Fit:
        """Predict every row: Train out of fold, the others by a refit on all of Train.

        Raises
        ------
        DataError
            When a prediction is not finite, the data do not allow the fit, or as `load`.
        """
        folded = self.load(view)
        began_s = time.perf_counter()
        predictions = predict_rows(head, folded)
        took_s = time.perf_counter() - began_s
        return Fit(_finite(predictions), took_s)

    def refit(self, fit: Fit, view: View, head: Head) -> Fit:
        """Predict Test anew, by the head fitted on all labelled clips of Train and Val.

        Inputs are standardised by those clips. All other predictions stay those of `fit`; without
        clips of Test, all do.

        Parameters
        ----------
        fit : Fit
            From `fit`, of the same view and head.
        view, head : View and Head
            As in `fit`.

        Raises
        ------
        ParamsError
            When no clip of Val is labelled.
        DataError
            As `fit`.
        """
        rows = self._rows
        split = rows.clips["split"].to_numpy(object)
        used, test = rows.fitted_on("train+val"), split == "Test"
        if not used[split == "Val"].any():
            raise ParamsError(
                "`final.refit_on` is train+val, but no clip of Val is labelled: set it to train"
            )
        if not test.any():
            return fit
        self._loaded = None  # as in `load`
        x = self._vectors(view)
        began_s = time.perf_counter()
        predictions = fit.predictions.copy()
        fitted = clone(head).fit(x[used], rows.y[used], rows.people[used])
        predictions[test] = fitted.predict(x[test])
        return Fit(_finite(predictions), fit.fit_s + time.perf_counter() - began_s)

    def learning_curve(
        self,
        view: View,
        head: Head,
        n_people: Sequence[int],
        n_repeats: int,
        n_resamples: int,
        seed: int,
    ) -> list[CurvePoint]:
        """Fit on more and more people of Train, and score on Val.

        Parameters
        ----------
        view, head : View and Head
            What is fitted.
        n_people : sequence of int
            Numbers of people, ascending; the last one, all of them, is fitted on only once.
        n_repeats, n_resamples, seed : int
            As in `models.evaluation.learning_curve`.

        Raises
        ------
        DataError
            When the head cannot be fitted on so few people, or as `load`.
        """
        folded, rows = self.load(view), self._rows
        val = (rows.clips["split"] == "Val").to_numpy(bool)[rows.n_train :]
        y, people = rows.y[rows.n_train :][val], rows.people[rows.n_train :][val]
        fitted_on = (folded.inputs, folded.targets, folded.groups)
        data = (*fitted_on, folded.held_inputs[val], y, people)
        points = learning_curve(head, *data, n_people[:-1], n_repeats, n_resamples, seed)
        return points + learning_curve(head, *data, n_people[-1:], 1, n_resamples, seed)

    def _vectors(self, view: View) -> NDArray[np.float32]:
        if view.column is not None:
            return column_vectors(self._rows.clips[view.column])
        return load_vectors(view, self._rows.clip_ids)


def make_job_head(job: Job) -> Head:
    """Build the head of a job, unfitted.

    Raises
    ------
    ValueError
        When its kind or one of its settings is unknown or out of bounds.
    """
    return make_head({"kind": job.kind, **job.settings}, job.seed, job.view.bands)


def fold_view(x: NDArray[np.float32], rows: Rows) -> FoldedView:
    """Part a view into Train rows in their folds and held-out rows, and scale it in place."""
    n = rows.n_train
    return FoldedView(x[:n], rows.y[:n], rows.people[:n], rows.fold_of_row, x[n:], copy=False)


def predict_rows(head: Head, view: FoldedView) -> NDArray[np.float64]:
    """Predict every row: Train out of fold, Val and Test by a refit on all of Train."""
    fitted = head.cross_fit(view)
    return np.concatenate([fitted.oof, fitted.held])


def _finite(predictions: NDArray[np.float64]) -> NDArray[np.float64]:
    wrong = ~np.isfinite(predictions)
    if wrong.any():
        raise DataError(
            f"{int(wrong.any(axis=1).sum())} of {len(predictions)} clips have a prediction "
            "that is not finite; a head predicts a number for every clip"
        )
    return predictions
