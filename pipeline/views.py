"""Views, the clip vectors of one encoder or of several side by side; tables of predictions."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from numpy.typing import NDArray

import features.pool
from features.files import file_sha256, replacing_file
from features.pool import Pooling, is_clip_level, pool_store
from features.store import StoreError, read_store, shards_of, store_metadata, write_clip_vectors
from pipeline.clip_table import Rows
from pipeline.params import Params, ParamsError
from pipeline.paths import OOF, POOLED, SYSTEM_FEATURES, TRANSCRIPTS
from pipeline.result_cache import digest_of, result_file

JOIN = "+"

FILE_ID = "File_ID"
"""The challenge's id column."""

IMPUTED_COLUMNS = ["clip_id", FILE_ID, "split", "missing", "all_missing", "reasons"]


def view_names(encoders: Sequence[str]) -> list[str]:
    """Return the views that heads are fitted on: each encoder alone, then all joined by ``+``."""
    names = list(encoders)
    # Sorted: DVC does not see the order of keys in params.yaml, so nothing may depend on it.
    return [*names, JOIN.join(sorted(names))] if len(names) > 1 else names


def join_tables(tables: Sequence[Path], clip_ids: Sequence[str]) -> NDArray[np.float32]:
    """Join tables of clip vectors, one file per encoder, side by side (n_clips, n_columns).

    Rows are the clips asked for, in their order; NaN where a table lacks one. A missing table is a
    StoreError.
    """
    blocks = []
    for path in tables:
        store = read_store(path)
        rows = pd.Index(store.clip_id).get_indexer(pd.Index(clip_ids))
        block = store.embedding[rows].astype(np.float32, copy=False)
        block[rows < 0] = np.nan
        blocks.append(block)
    return np.concatenate(blocks, axis=1)


def vectors_file(name: str, params: Params) -> Path:
    """Find the table of clip vectors of an encoder or imported store, pooled as `params` has it.

    That is the table that the stage `pool` wrote, where it is pooled so; otherwise the feature
    store is pooled now, into the cache of results.

    Raises
    ------
    StoreError
        When neither a table nor a store is there.
    ParamsError
        When they were made by other settings than `params` has.
    """
    path, wanted = POOLED / f"{name}.parquet", params.pooling.model_dump(mode="json")
    if path.is_file():
        metadata = store_metadata(pq.read_schema(path))
        # What does not say how it was pooled came from elsewhere.
        if is_clip_level(metadata) or metadata.get("pooling", wanted) == wanted:
            _check_made_by(metadata, path, name, params)
            return path
    store = check_store(name, params)
    for folder in (store, SYSTEM_FEATURES / name):
        if folder.is_dir():
            metadata = store_metadata(pq.read_schema(shards_of(folder)[0]))
            _check_made_by(metadata, folder, name, params)
            return _pooled(folder, params.pooling)
    raise StoreError(f"there is neither {path} nor a feature store {store}: run `dvc repro`")


def store_sha256(folder: Path) -> str:
    """Return a SHA-256, in hex, of the shards of a feature store; without one, a StoreError."""
    digests = (bytes.fromhex(file_sha256(shard)) for shard in shards_of(folder))
    return hashlib.sha256(b"".join(digests)).hexdigest()


def check_store(name: str, params: Params) -> Path:
    """Return the folder of a feature store.

    An imported one that is missing, or another one than `params.yaml` says, is a StoreError.
    """
    folder = params.store_folder(name)
    if name not in params.stores:
        return folder
    if not folder.is_dir():
        raise StoreError(f"there is no imported feature store {folder}: import it again")
    expected, found = params.stores[name].sha256, store_sha256(folder)
    if found != expected:
        raise StoreError(
            f"the feature store {folder} is another one than params.yaml says (sha256 "
            f"{found[:12]}… instead of {expected[:12]}…): run `eri import features` again, which "
            "writes both"
        )
    return folder


def write_prediction_table(
    path: Path,
    predictions: Mapping[str, NDArray[np.float64]],
    rows: Rows,
    targets: Sequence[str],
) -> None:
    """Write predictions as ``clip_id, view, fold, <targets>``; fold -1 for clips in no fold.

    `predictions` has an array (n_clips, n_targets) by view, in the order of `rows`.
    """
    fold = np.full(len(rows.clips), -1, np.int64)
    fold[: rows.n_train] = rows.fold_of_row
    tables = []
    for view, values in predictions.items():
        ids = pd.DataFrame({"clip_id": rows.clip_ids, "view": view, "fold": fold})
        tables.append(pd.concat([ids, pd.DataFrame(values, columns=list(targets))], axis=1))
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.concat(tables, ignore_index=True).to_parquet(path, index=False)


def read_prediction_table(
    path: Path, rows: Rows, targets: Sequence[str]
) -> dict[str, NDArray[np.float64]]:
    """Read what `write_prediction_table` wrote; a table of other clips is a ParamsError."""
    predictions = {}
    for view, part in pd.read_parquet(path).groupby("view", sort=False):
        indexed = part.set_index("clip_id")
        if set(indexed.index) != set(rows.clip_ids):
            raise ParamsError(f"{path} is of other clips than the clip table: run `dvc repro`")
        predictions[str(view)] = indexed.loc[rows.clip_ids, list(targets)].to_numpy(np.float64)
    return predictions


def member_names(params: Params) -> list[str]:
    """Return ``head/view`` of all members of the stack, in the order of the parameters."""
    views = view_names(params.feature_names)
    return [f"{head}/{view}" for head in params.heads for view in views]


def read_members(params: Params, rows: Rows) -> dict[str, NDArray[np.float64]]:
    """Read the predictions (n_clips, n_targets) of all members of the stack, by their names."""
    by_head = {
        head: read_prediction_table(OOF / f"{head}.parquet", rows, params.targets)
        for head in params.heads
    }
    names = (name.partition("/") for name in member_names(params))
    return {f"{head}/{view}": by_head[head][view] for head, _, view in names}


def file_ids(clips: pd.DataFrame) -> "pd.Series[str]":
    """Return each clip's id as the challenge writes it: ``file_id`` of the clip table, or its id.

    The latter where that column is empty or not there.
    """
    ids = clips["clip_id"].astype(str)
    own = clips.reindex(columns=["file_id"])["file_id"].astype("string").fillna("")
    return ids.where((own == "").to_numpy(bool), own.astype(object))


def distinct_file_ids(clips: pd.DataFrame) -> "pd.Series[str]":
    """Return the `file_ids` of clips; a ParamsError where two have the same."""
    ids = file_ids(clips)
    repeated = ids[ids.duplicated()].unique()
    if len(repeated):
        raise ParamsError(
            f"{len(repeated)} values of `file_id` belong to several clips, such as "
            f"{', '.join(map(repr, repeated[:3]))}: expected one of its own for each; correct the "
            "label table"
        )
    return ids


def submission_table(
    predictions: NDArray[np.float64], clips: pd.DataFrame, targets: Sequence[str]
) -> pd.DataFrame:
    """Lay predictions (n_clips, n_targets) out in the challenge's format.

    Returns
    -------
    DataFrame
        ``File_ID``, then the targets in the challenge's order; one row per clip of Val and Test.

    Raises
    ------
    ParamsError
        When two of these clips have the same ``file_id``.
    """
    is_held = (clips["split"] != "Train").to_numpy(bool)
    table = pd.DataFrame(predictions[is_held], columns=list(targets))
    table.insert(0, FILE_ID, distinct_file_ids(clips[is_held]).to_numpy(object))
    return table


def imputed_table(rows: Rows, failures: Mapping[str, Path]) -> pd.DataFrame:
    """List the clips that lack the features of an encoder.

    Parameters
    ----------
    rows : Rows
        All clips.
    failures : mapping of str to Path
        By encoder or imported store, its failure table, which gives the reasons.

    Returns
    -------
    DataFrame
        `IMPUTED_COLUMNS`, in the order of `rows`. ``missing`` joins encoders by ``+``;
        ``all_missing`` says that nothing was left to predict from, so that the prediction is that
        of a mean clip; ``reasons`` gives ``encoder: step: reason``, joined by semicolons.
    """
    reasons: dict[str, dict[str, str]] = {clip_id: {} for clip_id in rows.clip_ids}
    for encoder, path in sorted(failures.items()):  # as in views: no order of keys matters
        known = pq.read_table(POOLED / f"{encoder}.parquet", columns=["clip_id"])["clip_id"]
        said = {}
        if path.is_file():  # not of features that came from elsewhere
            failed = pd.read_parquet(path).astype(str).set_index("clip_id")
            said = (failed["step"] + ": " + failed["reason"]).to_dict()
        for clip_id in set(reasons).difference(known.to_pylist()):
            reasons[clip_id][encoder] = said.get(clip_id, "no features")
    found = list(reasons.values())
    table = rows.clips[["clip_id", "split"]].assign(
        **{FILE_ID: file_ids(rows.clips)},
        missing=[JOIN.join(each) for each in found],
        all_missing=[len(each) == len(failures) for each in found],
        reasons=["; ".join(f"{name}: {why}" for name, why in each.items()) for each in found],
    )
    return table.loc[table["missing"] != "", IMPUTED_COLUMNS]


def _pooled(store: Path, pooling: Pooling) -> Path:
    """Pool a store into the cache of results, unless that was done before."""
    made_by = {"pooling": pooling.model_dump(), "code": file_sha256(Path(features.pool.__file__))}
    path = result_file(digest_of(store=store_sha256(store), **made_by), ".parquet")
    if not path.is_file():
        pooled = pool_store(store, pooling)
        made = pooled.clip_id, pooled.embedding, pooled.metadata, pooled.face_share
        with replacing_file(path) as beside:
            write_clip_vectors(beside, *made)
    return path


def _check_made_by(metadata: Mapping[str, Any], path: Path, name: str, params: Params) -> None:
    """Numbers of other weights or words than `params.yaml` says would be shown under its name."""
    if name in params.stores:
        expected: dict[str, Any] = {"sha256": params.stores[name].sha256}
    else:
        spec = params.encoders[name].model_dump()
        expected = {"spec": spec, "sampling": params.sampling.model_dump()}
    if name in params.readers and TRANSCRIPTS.is_file() and params.transcripts is not None:
        said = store_metadata(pq.read_schema(TRANSCRIPTS))
        metadata = {**metadata, "transcripts": said.get("spec") or said}
        source = params.transcripts
        expected["transcripts"] = source.model_dump(include={"sha256"}) or source.model_dump()
    for key, value in json.loads(json.dumps(expected)).items():
        if key in metadata and metadata[key] != value:
            raise ParamsError(
                f"{path} was made with another {key} of {name!r} than params.yaml has: "
                f"{metadata[key]} instead of {value}. Run `dvc repro`"
            )
