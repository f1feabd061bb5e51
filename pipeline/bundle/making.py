"""From a finished run to its bundle: the heads in the stack are fitted again, and kept."""

from collections.abc import Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq
from numpy.typing import NDArray

from features.encoders import make_encoder
from features.store import store_metadata
from models.arrays import Bools, DataError
from models.heads import Head
from models.stack import Stack, fit_stack
from models.view import FoldedView
from pipeline.bundle.contents import (
    Description,
    EncoderEntry,
    MemberEntry,
    Training,
    writing_bundle,
)
from pipeline.bundle.manifest import BundleError
from pipeline.clip_table import Rows
from pipeline.fits.fitting import make_job_head
from pipeline.fits.jobs import Job, View, head_job
from pipeline.fits.pooled import find_view, load_vectors
from pipeline.fits.result_cache import default_result_folder
from pipeline.params import Params, ParamsError
from pipeline.paths import OOF, POOLED, PREDICTIONS
from pipeline.predictions import fold_view, read_members
from pipeline.submission import FILE_ID, file_ids
from pipeline.tables import read_run_table
from pipeline.views import JOIN

LARGEST_DIFFERENCE = 0.01
"""From the run's predictions, in standard deviations of the target: beyond it something is wrong.
Rounding alone stays far below."""

_LIBRARIES = ("numpy", "scipy", "scikit-learn", "lightgbm", "torch")


def make_bundle(params: Params, rows: Rows, folder: Path) -> Description:
    """Fit the heads that have weight in the stack, and write them with all that belongs to them.

    They are fitted as those were that made the run's predictions: on Train, or on Train and Val
    where `final.refit_on` says so. One view and one head are in memory at a time.

    Parameters
    ----------
    params : Params
        Of the run.
    rows : Rows
        Its clips.
    folder : Path
        Where the bundle shall be.

    Raises
    ------
    BundleError
        When a head cannot be written as plain data, or an encoder's table does not say what made
        it.
    DataError
        When the predictions of Val and Test are not those of the run.
    ParamsError, StoreError
        When a result of the run is missing or of other clips.
    """
    names, stack = _fit_stack(params, rows)
    used = np.flatnonzero(stack.used)
    weights = stack.member_weights.mean(axis=0)[used]
    stack = stack.without_idle_members()
    jobs = _jobs(params, [names[number] for number in used])
    expected, compared = _expected(params, rows)
    held: list[NDArray[np.float64]] = [np.empty(0)] * len(jobs)
    with writing_bundle(folder) as writer:
        for number, head, predicted in _fit_heads(jobs, rows, params.final.refit_on):
            writer.head(number, head)
            held[number] = predicted
        difference = _difference(stack.predict(np.stack(held, axis=1)), expected, rows)
        description = Description(
            targets=params.targets,
            sampling=params.sampling,
            pooling=params.pooling,
            encoders=_encoders([job.view for job in jobs], params),
            members=tuple(
                MemberEntry(
                    head=job.name.split("/")[0],
                    view=job.view.name,
                    encoders=tuple(job.view.name.split(JOIN)),
                    weight=float(weight),
                )
                for job, weight in zip(jobs, weights, strict=True)
            ),
            training=_training(params, rows, stack, int(compared.sum()), difference),
        )
        writer.finish(description, stack)
    return description


def _fit_stack(params: Params, rows: Rows) -> tuple[list[str], Stack]:
    """Fit the stack as the stage `stack` does; with the names ``head/view`` of its members."""
    members = dict(read_members(list(params.heads), params.feature_names, rows, params.targets))
    n = rows.n_train
    values = np.stack([each[:n] for each in members.values()], axis=1)
    return list(members), fit_stack(values, rows.y[:n], rows.fold_of_row)


def _jobs(params: Params, names: Sequence[str]) -> list[Job]:
    cache = default_result_folder()
    jobs = []
    for name in names:
        head, view = name.split("/")
        found = find_view(view, params, cache)
        jobs.append(head_job(head, params.heads[head], params.seed, found))
    return jobs


def _fit_heads(
    jobs: Sequence[Job], rows: Rows, refit_on: str
) -> Iterator[tuple[int, Head, NDArray[np.float64]]]:
    """Fit view by view; yields numbers of jobs, heads and their predictions of compared clips."""
    by_view: dict[str, list[int]] = {}
    for number, job in enumerate(jobs):
        by_view.setdefault(job.view.name, []).append(number)
    for numbers in by_view.values():
        vectors = load_vectors(jobs[numbers[0]].view, rows.clip_ids)
        folded = fold_view(vectors, rows) if refit_on == "train" else None
        for number in numbers:
            yield number, *_fit(make_job_head(jobs[number]), folded, vectors, rows)


def _fit(
    head: Head, folded: FoldedView | None, vectors: NDArray[np.float32], rows: Rows
) -> tuple[Head, NDArray[np.float64]]:
    """Fit as `pipeline.fits.fitting` does for Val and Test, or for Test anew."""
    if folded is not None:
        fitted = head.cross_fit(folded)
        return fitted.head, fitted.held
    used = rows.fitted_on("train+val")
    head.fit(vectors[used], rows.y[used], rows.people[used])
    test = (rows.clips["split"] == "Test").to_numpy(bool)
    if not test.any():
        return head, np.empty((0, rows.y.shape[1]))
    return head, head.predict(vectors[test])


def _expected(params: Params, rows: Rows) -> tuple[NDArray[np.float64], Bools]:
    """Read what the run predicts by heads like these, and of which clips of Val and Test."""
    if not PREDICTIONS.is_file():
        raise ParamsError(f"there is no {PREDICTIONS}: run `dvc repro`")
    table = read_run_table(PREDICTIONS)
    if table[FILE_ID].tolist() != file_ids(rows.clips)[rows.n_train :].tolist():
        raise ParamsError(f"{PREDICTIONS} is of other clips than the clip table: run `dvc repro`")
    compared = np.ones(len(table), np.bool_)
    if params.final.refit_on == "train+val":
        compared = (rows.clips["split"][rows.n_train :] == "Test").to_numpy(bool)
    return table.loc[compared, list(params.targets)].to_numpy(np.float64), compared


def _difference(
    predicted: NDArray[np.float64], expected: NDArray[np.float64], rows: Rows
) -> float | None:
    if not len(expected):
        return None
    difference = np.abs(predicted - expected)
    spread = np.nanstd(rows.y[: rows.n_train], axis=0)
    # Without spread there is no unit to compare in.
    if (difference > LARGEST_DIFFERENCE * np.where(spread > 0, spread, 1)).any():
        raise DataError(
            f"fitted again, the heads predict otherwise than {PREDICTIONS} says, by up to "
            f"{difference.max():.3g}: {OOF} is of another run; run `dvc repro --force`"
        )
    return float(difference.max())


def _encoders(views: Sequence[View], params: Params) -> dict[str, EncoderEntry]:
    entries = {}
    for view in views:
        for name, width in zip(view.name.split(JOIN), view.bands, strict=True):
            metadata = store_metadata(pq.read_schema(POOLED / f"{name}.parquet"))
            entries[name] = _encoder(name, width, metadata, params)
    return dict(sorted(entries.items()))


def _encoder(name: str, width: int, metadata: dict[str, Any], params: Params) -> EncoderEntry:
    path = POOLED / f"{name}.parquet"
    if name in params.stores:
        return EncoderEntry(spec=None, identity="", weights_digest=metadata["sha256"], width=width)
    if not {"identity", "weights_digest"} <= set(metadata):
        raise BundleError(
            f"{path} does not say which encoder made it, so that new clips could be embedded by "
            "another one: run `dvc repro`"
        )
    return EncoderEntry(
        spec=make_encoder(params.encoders[name]).spec.model_dump(mode="json", exclude_unset=True),
        identity=metadata["identity"],
        weights_digest=metadata["weights_digest"],
        width=width,
    )


def _training(
    params: Params, rows: Rows, stack: Stack, n_compared: int, difference: float | None
) -> Training:
    used = rows.fitted_on(params.final.refit_on)
    return Training(
        refit_on=params.final.refit_on,
        n_clips=int(used.sum()),
        n_people=len(set(rows.people[used])),
        stack_method=stack.method,
        n_compared=n_compared,
        largest_difference=difference,
        versions={name: version(name) for name in _LIBRARIES},
    )
