"""The interface of all heads, from a view to all targets at once; and the simplest one."""

from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, Self

import numpy as np
from numpy.typing import ArrayLike
from pydantic import Field
from sklearn.base import BaseEstimator, RegressorMixin, clone
from sklearn.utils.validation import check_is_fitted, validate_data

from models.arrays import (
    DataError,
    Floats,
    Floats32,
    Floats64,
    Groups,
    as_groups,
    as_targets,
    check_same_rows,
    take_rows,
)
from models.folds import WHOLE, inner_folds
from models.projection import Projection
from models.view import CrossFit, FoldedView

PositiveFloats = Annotated[tuple[Annotated[float, Field(gt=0)], ...], Field(min_length=1)]
PositiveInts = Annotated[tuple[Annotated[int, Field(ge=1)], ...], Field(min_length=1)]
"""Candidates for a setting."""


@dataclass(frozen=True)
class Range:
    """What a search ranges over, in the annotation of a setting: ``Annotated[float, Range(...)]``.

    Attributes
    ----------
    low, high : float
        Both included; whole numbers where the setting is one.
    log : bool
        Whether factors matter, not differences.
    """

    low: float
    high: float
    log: bool = False


@dataclass(frozen=True)
class Choice:
    """As `Range`, for one of some values."""

    values: tuple[str | int | float, ...]


@dataclass(eq=False, repr=False)
class Head(RegressorMixin, BaseEstimator, ABC):  # type: ignore[misc]
    """A scikit-learn regressor for several targets, some of them unlabelled in some rows.

    This class checks and scales: rows without any label are left out of the fit, inputs are
    imputed and standardised (`InputScaler`), each target is standardised over its labelled rows.
    A target of a single label is predicted as that label, one without any as NaN.

    A new head implements `_fit` and `_predict` on such arrays. It is a dataclass whose fields are
    its parameters, so that `sklearn.base.clone` works; a head that draws random numbers has a
    parameter `seed`. One that can do better than a fit per fold overrides `_fit_folds` instead of
    `_fit`, or `_cross_fit` too; its predictions have to stay those of a fit per fold.

    Parameters
    ----------
    bands : tuple of int
        Number of columns of each encoder in the view, in their order; () where there is one.
    """

    bands: tuple[int, ...] = ()
    weighs_bands: ClassVar[bool] = True
    """Whether encoders are weighed against each other for this head (`models.bands`)."""

    def fit(self, X: Floats, y: ArrayLike, groups: ArrayLike | None = None) -> Self:
        """Fit all targets.

        Parameters
        ----------
        X : array [n_rows, n_columns]
            The view; NaN where a modality is missing.
        y : array [n_rows, n_targets], or [n_rows] for one target
            Targets; NaN where unlabelled. Each target is fitted on its own labelled rows.
        groups : array [n_rows], optional
            The person of each row, for inner folds. Without it each row is its own group.

        Raises
        ------
        ValueError
            When lengths differ, or X or y is no matrix of numbers or holds infinities.
        DataError
            When no row has a label.
        """
        if y is None:
            raise ValueError(
                f"{type(self).__name__} requires y to be passed, but the target y is None; pass "
                "targets [n_rows, n_targets], NaN where unlabelled."
            )
        X, y = self._checked(X, fitting=True), np.asarray(y)
        self.one_target_ = y.ndim == 1
        targets = as_targets(y.reshape(-1, 1) if self.one_target_ else y)
        people = as_groups(np.arange(len(targets)) if groups is None else groups)
        check_same_rows(X=X, y=targets, groups=people)
        used = np.asarray(~np.isnan(targets).all(axis=1))
        if not used.any():
            raise DataError("no row has a label: a head is fitted on labelled rows")
        folds = inner_folds(people[used], getattr(self, "seed", 0))
        view = FoldedView(take_rows(X, used), targets[used], folds, folds, bands=self.bands)
        if self.weighs_bands:
            view = view.weighted(view.factors([WHOLE])[WHOLE])
        (fitted,) = self._fit_folds(view, [WHOLE])
        self.__dict__ |= vars(fitted) | self.get_params() | {"input_scaler_": view.scaler}
        return self

    def predict(self, X: Floats) -> Floats64:
        """Predict every target of every row, in target units [n_rows, n_targets].

        Of shape [n_rows] where `fit` was given one target in that shape.
        """
        check_is_fitted(self)
        predicted = self._predict_scaled(self.input_scaler_.transform(self._checked(X)))
        return predicted[:, 0] if self.one_target_ else predicted

    def cross_fit(self, view: FoldedView) -> CrossFit:
        """Predict every row by a head that has not seen its fold, held-out rows by a refit.

        Parameters
        ----------
        view : FoldedView
            Stays as it is, as does this head.

        Returns
        -------
        CrossFit
            The predictions, and the refit that made those of the held-out rows.
        """
        if not self.weighs_bands:
            return self._cross_fit(view)
        fits: dict[int, CrossFit] = {}  # mostly one: folds choose alike
        of_fold, oof = {}, np.empty_like(view.targets)
        for fold, factors in view.factors([*view.folds, WHOLE]).items():
            if id(factors) not in fits:
                fits[id(factors)] = self._cross_fit(view.weighted(factors))
            own, of_fold[fold] = view.fold_of_row == fold, fits[id(factors)]
            oof[own] = of_fold[fold].oof[own]
        return replace(of_fold[WHOLE], oof=oof)

    def _cross_fit(self, view: FoldedView) -> CrossFit:
        """Do what `cross_fit` does, with the encoders weighed as they are in the view."""
        predicted = view.empty_predictions()
        folds = [*view.folds, WHOLE]
        heads = self._fit_folds(view, folds)
        for fold in folds:
            head = next(heads)
            places, inputs = view.left_out(fold)
            if len(places):
                predicted[places] = head._predict_scaled(inputs)
            if fold != WHOLE:
                del head, inputs  # their memory, before the next one takes its own
        return view.as_cross_fit(predicted, head)

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        """Fit on scaled inputs and standardised targets (NaN = unlabelled).

        Not abstract: a head that overrides `_fit_folds` has none.
        """
        raise NotImplementedError(f"{type(self).__name__} has neither _fit nor _fit_folds")

    @abstractmethod
    def _predict(self, inputs: Floats32) -> Floats64:
        """Predict standardised targets [n_rows, n_targets] from scaled inputs."""

    def _fit_folds(self, view: FoldedView, folds: Sequence[int]) -> Iterator[Self]:
        """Yield a copy of this head for each of the folds, fitted without it."""
        for fold in folds:
            head = clone(self)
            if head._begin_fit(view.targets[view.training_rows(fold)]):
                head._fit(*head._training_arrays(view, fold))
            yield head

    def _training_arrays(self, view: FoldedView, fold: int) -> tuple[Floats32, Floats64, Groups]:
        """Return what `_fit` takes, of the training set of a fold."""
        rows = view.training_rows(fold)
        self._prepare(view, fold)
        inputs = take_rows(self._applied(view.inputs), rows)
        return inputs, self._standardised(view.targets[rows]), view.inner_groups[rows]

    def _prepare(self, view: FoldedView, fold: int) -> None:
        """Learn what comes between scaled inputs and `_fit`, from a training set."""

    def _applied(self, inputs: Floats32) -> Floats32:
        """Apply what `_prepare` learned."""
        return inputs

    def _begin_fit(self, targets: Floats64) -> bool:
        """Learn the mean and scale of targets; return whether there is anything to fit."""
        known = ~np.isnan(targets)
        n_known = known.sum(axis=0)
        means = np.where(known, targets, 0.0).sum(axis=0) / np.maximum(n_known, 1)
        self.target_mean_ = np.where(n_known > 0, means, np.nan)
        deviation = np.where(known, targets - means, 0.0)
        spread = np.sqrt(np.square(deviation).sum(axis=0) / np.maximum(n_known, 1))
        self.target_scale_ = np.where(spread > 1e-12 * np.abs(means), spread, 1.0)
        self.fitted_ = np.flatnonzero(n_known > 1)
        return len(self.fitted_) > 0

    def _standardised(self, targets: Floats64) -> Floats64:
        """Return the targets that are fitted, by what `_begin_fit` learned."""
        standardised: Floats64 = (targets - self.target_mean_) / self.target_scale_
        return standardised[:, self.fitted_]

    def _predict_scaled(self, inputs: Floats32) -> Floats64:
        some = len(self.fitted_) > 0
        return self._in_units(
            self._predict(self._applied(inputs)) if some else np.empty((len(inputs), 0))
        )

    def _in_units(self, predicted: Floats) -> Floats64:
        """Turn standardised predictions of the targets that are fitted into those of all."""
        scale, mean = self.target_scale_[self.fitted_], self.target_mean_[self.fitted_]
        all_targets = np.tile(self.target_mean_, (len(predicted), 1))
        all_targets[:, self.fitted_] = predicted * scale + mean
        return all_targets

    def _checked(self, X: Floats, fitting: bool = False) -> Floats:
        """Check the shape, type and names of columns; remember them when fitting."""
        checked: Floats = validate_data(
            self, X, reset=fitting, dtype=(np.float64, np.float32), ensure_all_finite="allow-nan"
        )
        return checked

    def __sklearn_tags__(self) -> Any:
        tags = super().__sklearn_tags__()
        tags.input_tags.allow_nan = True
        tags.target_tags.multi_output = True
        return tags


@dataclass(eq=False, repr=False)
class ProjectedHead(Head):
    """A head on principal components of the view (`models.projection`), fitted inside the fold.

    For methods to which thousands of correlated embedding columns are a burden. Subclasses
    implement `_fit` and `_predict` on the components.

    Parameters
    ----------
    n_components : int, optional
        Principal components kept; a view with no more columns is used as it is. None: the columns,
        which takes long where there are thousands.
    seed : int
        Seed of the projection.
    """

    n_components: Annotated[int, Field(ge=1)] | None = 128
    seed: int = 0

    def _prepare(self, view: FoldedView, fold: int) -> None:
        self.projection_: Projection | None = None
        n_components = self.components_for(int(view.training_rows(fold).sum()))
        if n_components is not None and view.inputs.shape[1] > n_components:
            self.projection_ = view.projection(fold, n_components, self.seed)

    def components_for(self, n_rows: int) -> int | None:  # noqa: ARG002
        """Return how many components are kept of a training set of so many rows."""
        return self.n_components

    def _applied(self, inputs: Floats32) -> Floats32:
        return inputs if self.projection_ is None else self.projection_.apply(inputs)


@dataclass(eq=False, repr=False)
class MeanHead(Head):
    """Predict the training mean of every target, whatever the inputs: what a head has to beat."""

    weighs_bands = False

    def _fit(self, inputs: Floats32, targets: Floats64, groups: Groups) -> None:
        pass

    def _predict(self, inputs: Floats32) -> Floats64:
        return np.zeros((len(inputs), len(self.fitted_)))
