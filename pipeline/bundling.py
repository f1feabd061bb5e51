"""From a finished run to its bundle: what the stages `fit` and `stack` kept is packed."""

import json
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from features.store import store_metadata
from models.arrays import DataError
from models.persistence import dumps, loads
from models.stack import Stack
from pipeline.bundle import (
    DESCRIPTION,
    PINNED,
    PROTOCOL,
    STACK,
    Description,
    EncoderEntry,
    Fitted,
    MemberEntry,
    Training,
    load_head,
    member_file,
)
from pipeline.clip_table import Rows
from pipeline.params import Params, ParamsError
from pipeline.paths import POOLED, PREDICTIONS, STACK_FITTED, fitted_head
from pipeline.predictions import member_names
from pipeline.sealed_folder import BundleError, new_sealed_folder
from pipeline.submission import FILE_ID, file_ids
from pipeline.tables import read_run_table
from pipeline.views import JOIN, join_tables

LARGEST_DIFFERENCE = 0.01
"""From the run's predictions, in standard deviations of the target: beyond it something is wrong.
Rounding alone stays far below."""


def make_bundle(params: Params, rows: Rows, folder: Path) -> Description:
    """Pack the fitted heads that have weight in the stack, with all that belongs to them.

    Nothing is fitted: they are the files that the stages `fit` and `stack` kept.

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
        When an encoder's table does not say what made it, or `folder` is something else.
    DataError
        When the predictions of Val and Test are not those of the run.
    ParamsError, StoreError
        When a result of the run is missing or of other clips.
    """
    stack = loads(_result(STACK_FITTED))
    assert isinstance(stack, Stack)  # of no other kind is that file
    names = member_names(list(params.heads), params.feature_names)
    used = [names[number] for number in np.flatnonzero(stack.used)]
    weights = stack.member_weights.mean(axis=0)[stack.used]
    stack = stack.without_idle_members()
    contents = [_result(fitted_head(*name.split("/"))) for name in used]
    views = [name.split("/")[1] for name in used]
    heads = [load_head(content) for content in contents]
    fitted = Fitted([(v.split(JOIN), h) for v, h in zip(views, heads, strict=True)], stack)
    encoders = {name: _encoder(name, params) for view in views for name in view.split(JOIN)}
    n_compared, difference = _compare(fitted, list(encoders), params, rows)
    fitted_on = rows.fitted_on(params.final.refit_on)
    description = Description(
        targets=params.targets,
        sampling=params.sampling,
        pooling=params.pooling,
        encoders=dict(sorted(encoders.items())),
        members=tuple(
            MemberEntry(head=name.split("/")[0], view=view, weight=float(weight))
            for name, view, weight in zip(used, views, weights, strict=True)
        ),
        training=Training(
            refit_on=params.final.refit_on,
            n_clips=int(fitted_on.sum()),
            n_people=len(set(rows.people[fitted_on])),
            stack_method=stack.method,
            n_compared=n_compared,
            largest_difference=difference,
        ),
    )
    versions = {name: version(name) for name in PINNED}
    with new_sealed_folder(folder, PROTOCOL, version("eri"), versions) as beside:
        for number, content in enumerate(contents):
            (beside / member_file(number)).write_bytes(content)
        (beside / STACK).write_bytes(dumps(stack))
        said = json.dumps(description.model_dump(mode="json"), indent=1, sort_keys=True)
        (beside / DESCRIPTION).write_text(said + "\n", encoding="utf-8")
    return description


def _result(path: Path) -> bytes:
    if not path.is_file():
        raise ParamsError(f"there is no {path}: run `dvc repro`")
    return path.read_bytes()


def _encoder(name: str, params: Params) -> EncoderEntry:
    schema = pq.read_schema(POOLED / f"{name}.parquet")
    metadata, width = store_metadata(schema), schema.field("embedding").type.list_size
    if name in params.stores:
        digest = params.stores[name].sha256
        return EncoderEntry(spec=None, identity="", weights_digest=digest, width=width)
    if not {"identity", "weights_digest"} <= set(metadata):
        raise BundleError(
            f"{POOLED / name}.parquet does not say which encoder made it, so that new clips could "
            "be embedded by another one: run `dvc repro`"
        )
    return EncoderEntry(
        spec=params.encoders[name].model_dump(mode="json", exclude_unset=True),
        identity=metadata["identity"],
        weights_digest=metadata["weights_digest"],
        width=width,
    )


def _compare(
    fitted: Fitted, encoders: Sequence[str], params: Params, rows: Rows
) -> tuple[int, float | None]:
    """Predict clips of Val and Test again; give their number and the largest difference."""
    if not PREDICTIONS.is_file():
        raise ParamsError(f"there is no {PREDICTIONS}: run `dvc repro`")
    held, table = rows.clips[rows.n_train :], read_run_table(PREDICTIONS)
    if table[FILE_ID].tolist() != file_ids(held).tolist():
        raise ParamsError(f"{PREDICTIONS} is of other clips than the clip table: run `dvc repro`")
    if params.final.refit_on == "train+val":  # Val is predicted by heads that are not kept
        chosen = (held["split"] == "Test").to_numpy(bool)
        held, table = held[chosen], table[chosen]
    if held.empty:
        return 0, None
    ids = list(held["clip_id"])
    vectors = {name: join_tables([POOLED / f"{name}.parquet"], ids) for name in encoders}
    difference = np.abs(fitted.predict(vectors) - table[list(params.targets)].to_numpy(np.float64))
    spread = np.nanstd(rows.y[: rows.n_train], axis=0)
    # Without spread there is no unit to compare in.
    if (difference > LARGEST_DIFFERENCE * np.where(spread > 0, spread, 1)).any():
        raise DataError(
            f"the fitted heads predict otherwise than {PREDICTIONS} says, by up to "
            f"{difference.max():.3g}: they are of another run; run `dvc repro --force`"
        )
    return len(held), float(difference.max())
