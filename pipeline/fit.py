"""The one way to fit a head on a view, or a stack on heads: nothing is fitted twice.

A `FitTask` says what is fitted, `Fitting` fits it on the clips of a run, and a `Fit` is what comes
of it. The stages, `eri compare`, `eri tune` and `eri systems` share the results.
"""

import hashlib
import math
import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.files import file_sha256
from models.arrays import DataError
from pipeline.clip_table import Rows, column_vectors
from pipeline.params import HeadEntry, Params, ParamsError
from pipeline.result_cache import code_digest, digest_of, keep_result, load_result
from pipeline.views import JOIN, join_tables, vectors_file

if TYPE_CHECKING:  # they import scikit-learn, which results from the cache need not
    from models.heads import Head
    from models.stack import Stack
    from models.view import FoldedView

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class FitTask:
    """A head to be fitted on a view.

    Attributes
    ----------
    name, head, seed : str, HeadEntry and int
        As on the leaderboard: ``<head>/<view>``, or ``baseline/<name>``; its entry in
        `params.yaml`; for heads that draw random numbers.
    files : tuple of Path
        The clip vectors of the view's encoders, in the order of its columns.
    column : str, optional
        In place of files: a column of the clip table, for a baseline that sees nothing of a clip.
    refit_on : {"train", "train+val"}
        With the latter, Test is predicted by a head fitted on the labels of Train and Val.
    with_head : bool
        Whether the fitted head that predicts Test is wanted, and kept.
    limit_s : float
        Longest time in a process that can be killed, without loading the view.
    """

    name: str
    head: HeadEntry
    seed: int
    files: tuple[Path, ...] = ()
    column: str | None = None
    refit_on: str = "train"
    with_head: bool = False
    limit_s: float = math.inf

    @property
    def is_baseline(self) -> bool:
        """Whether it sees nothing of what the clip shows."""
        return self.column is not None

    def make_head(self) -> "Head":
        """Build the head, unfitted; a ValueError says what is wrong with its settings."""
        from models.heads import make_head

        return make_head(self.head.model_dump(), self.seed, self.bands)

    @property
    def bands(self) -> tuple[int, ...]:
        """Number of columns of each encoder of the view."""
        schemas = [pq.read_schema(path) for path in self.files]
        return tuple(schema.field("embedding").type.list_size for schema in schemas)


@dataclass(frozen=True)
class Fit:
    """What came of a task.

    Attributes
    ----------
    predictions : ndarray of float64, shape (n_clips, n_targets)
        Train out of fold; Val and Test by the head fitted on all of Train, or Test by one fitted
        on Train and Val.
    fit_s : float
        Seconds that all of these fits took, without loading the view. What heads of a view share
        counts for the first that needs it.
    head : bytes, optional
        The fitted head that predicts Test, as `models.persistence.dumps` writes it; where it was
        asked for.
    reused : bool
        Whether it was fitted before.
    """

    predictions: Floats
    fit_s: float
    head: bytes | None = None
    reused: bool = False

    def __repr__(self) -> str:
        return f"Fit(predictions={self.predictions.shape}, fit_s={self.fit_s:.2f})"


class Fitting:
    """Fits heads on views of the same clips, or takes from the cache what was fitted before.

    A result is kept under a digest of the clip vectors and `rows` (clips, targets, people, folds),
    of the head's kind, settings and seed, of the code of `models` and of the libraries' versions.
    A refit on Train and Val is kept beside the ordinary fit: toggling fits nothing twice. The view
    last used stays loaded: heads of one view should come one after the other.
    """

    def __init__(self, rows: Rows) -> None:
        self.rows, self._rows_digest = rows, _rows_digest(rows)
        self.code = _code_in_use()
        self._loaded: tuple[list[str], FoldedView] | None = None

    def key(self, task: FitTask) -> str:
        """Return the key of a task's result; others build keys of what they make of it on it."""
        key = digest_of(
            code=self.code,
            rows=self._rows_digest,
            head=task.head.model_dump(),
            seed=task.seed,
            inputs=self._inputs_digests(task),
        )
        return digest_of(refit_of=key) if task.refit_on == "train+val" else key

    def known(self, task: FitTask) -> Fit | None:
        """Return the result of `fit` if it is in the cache."""
        return _kept(self.key(task), task.with_head)

    def fit(self, task: FitTask) -> Fit:
        """Predict every clip: Train out of fold, the others by a head fitted on all of Train.

        Raises
        ------
        DataError, StoreError
            When the data do not allow the fit, a prediction is not finite, or clip vectors are
            missing, damaged or changed meanwhile.
        ParamsError
            When the code was changed meanwhile, or no clip of Val is labelled to refit on.
        """
        if known := self.known(task):
            return known
        fit, head = self._refit(task) if task.refit_on == "train+val" else self._cross_fit(task)
        wrong = ~np.isfinite(fit.predictions)
        if wrong.any():
            raise DataError(
                f"{int(wrong.any(axis=1).sum())} of {len(wrong)} clips have a prediction that is "
                "not finite; a head predicts a number for every clip"
            )
        if code_digest() != self.code:
            raise ParamsError("the code of models/ was changed since it was loaded: start again")
        if task.with_head:
            from models.persistence import dumps

            fit = replace(fit, head=dumps(head))
        self.keep(task, fit)
        return fit

    def keep(self, task: FitTask, fit: Fit) -> None:
        """Take a result of `fit` into the cache, be it from another machine."""
        _keep(self.key(task), fit)

    def stacked(self, members: Sequence[tuple[FitTask, Fit]]) -> Fit:
        """Stack what comes of tasks, as `stack_members`, with its errors."""
        key = digest_of(stack_of=[self.key(task) for task, _ in members])
        if (kept := _kept(key)) is not None:
            return kept
        began_s = time.perf_counter()
        _, stacked = stack_members([fit.predictions for _, fit in members], self.rows)
        fit = Fit(stacked, time.perf_counter() - began_s)
        _keep(key, fit)
        return fit

    def view(self, task: FitTask) -> "FoldedView":
        """Load the view of a task and scale it, unless it is the one that is loaded.

        Errors are those of `fit`.
        """
        from models.view import FoldedView

        digests = self._inputs_digests(task)
        if self._loaded is None or self._loaded[0] != digests:
            self._loaded = None  # so that two views are never in memory
            x, rows, n = self._vectors(task), self.rows, self.rows.n_train
            rest = (rows.y[:n], rows.people[:n], rows.fold_of_row, x[n:])
            self._loaded = digests, FoldedView(x[:n], *rest, copy=False, bands=task.bands)
        return self._loaded[1]

    def _cross_fit(self, task: FitTask) -> "tuple[Fit, Head]":
        view = self.view(task)
        began_s = time.perf_counter()
        done = task.make_head().cross_fit(view)
        took_s = time.perf_counter() - began_s
        return Fit(np.concatenate([done.oof, done.held]), took_s), done.head

    def _refit(self, task: FitTask) -> "tuple[Fit, Head]":
        rows, split = self.rows, self.rows.clips["split"].to_numpy(object)
        used, test = rows.fitted_on(task.refit_on), split == "Test"
        if not used[split == "Val"].any():
            raise ParamsError(
                "`final.refit_on` is train+val, but no clip of Val is labelled: set it to train"
            )
        first = self.fit(replace(task, refit_on="train", with_head=False))
        self._loaded = None  # two views would be in memory
        x = self._vectors(task)
        began_s = time.perf_counter()
        head = task.make_head().fit(x[used], rows.y[used], rows.people[used])
        predictions = first.predictions.copy()
        if test.any():
            predictions[test] = head.predict(x[test])
        return Fit(predictions, first.fit_s + time.perf_counter() - began_s), head

    def _vectors(self, task: FitTask) -> NDArray[np.float32]:
        if task.column is not None:
            return column_vectors(self.rows.clips[task.column])
        before = self._inputs_digests(task)
        x = join_tables(task.files, self.rows.clip_ids)
        if self._inputs_digests(task) != before:
            raise DataError(f"the files of {task.name} were changed while in use: start again")
        return x

    def _inputs_digests(self, task: FitTask) -> list[str]:
        if task.column is None:
            return [file_sha256(path) for path in task.files]
        return [_sha256(column_vectors(self.rows.clips[task.column]))]


def head_task(head: str, view: str, params: Params) -> FitTask:
    """Return the task of a head on a view: names of encoders and stores, joined by ``+``.

    A head that is no name under `heads` is a kind with its default settings. Errors are those of
    `pipeline.views.vectors_file`.
    """
    files = [vectors_file(name, params) for name in view.split(JOIN)]
    entry = params.heads.get(head, HeadEntry(kind=head))
    return FitTask(f"{head}/{view}", entry, params.seed, tuple(files))


def baseline_tasks(params: Params) -> list[FitTask]:
    """Return what is no emotion: the training mean, and ridges on columns of the clip table.

    They are the clip's duration, and the columns that `evaluation.baselines` names.
    """
    columns = [("mean", "mean", "duration_s"), ("duration", "ridge", "duration_s")]
    columns += [(name, "ridge", name) for name in params.evaluation.baselines]
    return [
        FitTask(f"baseline/{name}", HeadEntry(kind=kind), params.seed, column=column)
        for name, kind, column in columns
    ]


def stack_members(members: Sequence[Floats], rows: Rows) -> "tuple[Stack, Floats]":
    """Fit a stack to predictions of members (n_clips, n_targets); return it and its predictions.

    Those of Train are out of fold; with fewer than two labelled folds there is a DataError.
    """
    from models.stack import fit_stack, stack_oof  # imports scikit-learn

    values, n, folds = np.stack(members, axis=1), rows.n_train, rows.fold_of_row
    fitted = fit_stack(values[:n], rows.y[:n], folds)
    oof = stack_oof(values[:n], rows.y[:n], folds)
    return fitted, np.concatenate([oof, fitted.predict(values[n:])])


def _kept(key: str, with_head: bool = False) -> Fit | None:
    arrays = load_result(key)
    kept = load_result(digest_of(head_of=key)) if with_head else {}
    if arrays is None or kept is None:
        return None
    head = kept["head"].tobytes() if with_head else None
    return Fit(arrays["predictions"], float(arrays["fit_s"]), head, reused=True)


def _keep(key: str, fit: Fit) -> None:
    keep_result(key, {"predictions": fit.predictions, "fit_s": np.array(fit.fit_s)})
    if fit.head is not None:
        keep_result(digest_of(head_of=key), {"head": np.frombuffer(fit.head, np.uint8)})


@cache
def _code_in_use() -> str:
    """Return the digest of the code as it was first asked for in this process."""
    return code_digest()


def _rows_digest(rows: Rows) -> str:
    """Return a digest of clips in their order, splits, targets, people and folds."""
    return digest_of(
        clips=rows.clip_ids,
        splits=list(rows.clips["split"]),
        people=[str(person) for person in rows.people],
        arrays=[_sha256(rows.y), _sha256(rows.fold_of_row)],
    )


def _sha256(array: NDArray[Any]) -> str:
    return hashlib.sha256(array.tobytes()).hexdigest()
