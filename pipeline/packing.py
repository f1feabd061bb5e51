"""What a run fitted, packed into a bundle; nothing is fitted for it."""

import hashlib
from collections.abc import Iterable, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow.parquet as pq

from features.encoders import Encoder, Recogniser
from features.files import replacing_folder
from features.store import store_metadata
from models.arrays import DataError
from models.persistence import dumps, loads
from models.stack import Stack
from pipeline.bundle import (
    DESCRIPTION,
    PINNED,
    PROTOCOL,
    STACK,
    Bundle,
    Description,
    EncoderEntry,
    description_bytes,
    read_bundle,
)
from pipeline.clip_table import Rows
from pipeline.params import ImportedStore, ImportedTranscripts, Params, ParamsError
from pipeline.paths import POOLED, PREDICTIONS, STACK_FITTED, TRANSCRIPTS, fitted_head
from pipeline.tables import read_run_table
from pipeline.views import FILE_ID, JOIN, file_ids, join_tables, member_names

LARGEST_DIFFERENCE = 0.01
"""From the run's predictions, in standard deviations of the target: beyond it something is wrong.
Rounding alone stays far below."""


def make_bundle(params: Params, rows: Rows, folder: Path) -> Description:
    """Pack the fitted heads that have weight in the stack, with all that belongs to them.

    What is packed has to predict what the run did, and is read again, before it takes the place of
    an older bundle in `folder`.

    Raises
    ------
    DataError
        When the predictions of Val and Test are not those of the run.
    ParamsError, StoreError
        When a result of the run is of other clips.
    OSError
        When a result is missing, or the bundle cannot be written; the older one stays.
    """
    stack, names = loads(STACK_FITTED.read_bytes()), member_names(params)
    assert isinstance(stack, Stack)  # of no other kind is that file
    members = tuple(names[number] for number in np.flatnonzero(stack.kept))
    heads = [fitted_head(*name.split("/")).read_bytes() for name in members]
    stack = stack.without_idle_members()
    files = {f"member-{number:03d}.skops": each for number, each in enumerate(heads)}
    files[STACK] = dumps(stack)
    encoders = [each for name in members for each in name.split("/")[1].split(JOIN)]
    fitted_on = rows.fitted_on(params.final.refit_on)
    description = Description(
        protocol=PROTOCOL,
        eri=version("eri"),
        versions={
            name: version(name)
            for name, module in PINNED.items()
            if any(f'"__module__": "{module}.'.encode() in each for each in files.values())
        },
        targets=params.targets,
        sampling=params.sampling,
        pooling=params.pooling,
        encoders={name: _encoder(name, params) for name in encoders},
        recogniser=_recogniser(encoders, params),
        members=members,
        files={name: hashlib.sha256(each).hexdigest() for name, each in files.items()},
        refit_on=params.final.refit_on,
        n_clips=int(fitted_on.sum()),
        n_people=len(set(rows.people[fitted_on])),
    )
    fitted: list[Any] = [loads(each) for each in heads]
    bundle = Bundle(description, tuple(fitted), stack)
    description = description.model_copy(update=_compare(bundle, rows))
    with replacing_folder(folder) as beside:
        for name, content in files.items():
            (beside / name).write_bytes(content)
        content = description_bytes(description.model_dump(mode="json"))
        (beside / DESCRIPTION).write_bytes(content)
        read_bundle(beside)
    return description


def _encoder(name: str, params: Params) -> EncoderEntry:
    schema = pq.read_schema(POOLED / f"{name}.parquet")
    metadata, width = store_metadata(schema), schema.field("embedding").type.list_size
    source = params.transcripts if name in params.readers else params.stores.get(name)
    if isinstance(source, ImportedStore | ImportedTranscripts):  # new clips have none
        return EncoderEntry(spec=None, identity="", weights_digest=source.sha256, width=width)
    return _entry(params.encoders[name], metadata, width)


def _recogniser(encoders: Iterable[str], params: Params) -> EncoderEntry | None:
    """Say which recogniser made the words that encoders read, as the run's transcripts have it."""
    if not isinstance(params.transcripts, Recogniser) or not {*params.readers} & {*encoders}:
        return None
    made_by = store_metadata(pq.read_schema(TRANSCRIPTS))
    return _entry(params.transcripts, made_by, sum(params.transcripts.columns().values()))


def _entry(encoder: Encoder, made_by: Mapping[str, Any], width: int) -> EncoderEntry:
    return EncoderEntry(
        spec=encoder.model_dump(mode="json", exclude_unset=True),
        identity=made_by["identity"],
        weights_digest=made_by["weights_digest"],
        width=width,
    )


def _compare(bundle: Bundle, rows: Rows) -> dict[str, float]:
    """Predict clips of Val and Test again; give their number and the largest difference."""
    held, table = rows.clips[rows.n_train :], read_run_table(PREDICTIONS)
    if table[FILE_ID].tolist() != file_ids(held).tolist():
        raise ParamsError(f"{PREDICTIONS} is of other clips than the clip table: run `dvc repro`")
    description = bundle.description
    if description.refit_on == "train+val":  # Val is predicted by heads that are not kept
        chosen = (held["split"] == "Test").to_numpy(bool)
        held, table = held[chosen], table[chosen]
    if held.empty:
        return {}
    ids = list(held["clip_id"])
    vectors = {e: join_tables([POOLED / f"{e}.parquet"], ids) for e in description.encoders}
    difference = np.abs(bundle.predict(vectors) - table[list(description.targets)].to_numpy(float))
    spread = np.nanstd(rows.y[: rows.n_train], axis=0)
    # Without spread there is no unit to compare in.
    if (difference > LARGEST_DIFFERENCE * np.where(spread > 0, spread, 1)).any():
        raise DataError(
            f"the fitted heads predict otherwise than {PREDICTIONS} says, by up to "
            f"{difference.max():.3g}: they are of another run; run `dvc repro --force`"
        )
    return {"n_compared": len(held), "largest_difference": float(difference.max())}
