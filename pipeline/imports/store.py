"""What was imported on its way into the project: stores, a label table, entries in params.yaml."""

import hashlib
import re
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow.parquet as pq

from features.files import file_sha256, replacing_file
from features.store import StoredClip, shards_of
from features.store_writer import write_store
from pipeline.clip_ids import match_ids
from pipeline.imports.collection import Collection
from pipeline.imports.features import Features
from pipeline.params import Params, ParamsError
from pipeline.params_file import update_params
from pipeline.paths import IMPORTED_FEATURES
from pipeline.views import store_sha256


@contextmanager
def reading_features(
    paths: Sequence[Path],
    name: str,
    wanted: Sequence[str],
    params: Params,
    *,
    ids: Path | None = None,
    keep: bool,
) -> Iterator[Features]:
    """Read and check files of features; see `Features.take`.

    Parameters
    ----------
    paths : sequence of Path
        Folders, tables and arrays, all with the same columns.
    name : str
        What to call the features.
    wanted : sequence of str
        The ids of the label table.
    params : Params
        Name the features that were imported before.
    ids : Path, optional
        The ids of the rows of an array.
    keep : bool
        Keep the numbers on disk while the block lasts, so that they can be written.
    """
    if keep:  # beside the store: /tmp may be memory
        IMPORTED_FEATURES.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=IMPORTED_FEATURES if keep else None) as spool:
        features = Features(name, spool if keep else None)
        for path in paths:
            features.take(path, ids)
        features.finish()
        if features.id_of:
            _match_clips(features, wanted)
            _compare(features, params)
        yield features


def write_import(
    features: Sequence[Features],
    params: Params,
    params_file: Path,
    labels: tuple[Path, pd.DataFrame, Collection] | None = None,
) -> list[Path]:
    """Write feature stores and a label table, and point the parameters at them.

    Parameters
    ----------
    features : sequence of Features
        To be written.
    params : Params
        As they are.
    params_file : Path
        Their file.
    labels : (Path, DataFrame, Collection), optional
        A file, the checked labels for it, and what they were read from.

    Returns
    -------
    list of Path
        The stores and files that changed; the same content gives the same bytes.

    Raises
    ------
    ParamsError
        When the parameters would not be valid, such as for a target with the name of a column.
    """
    changed = []
    changes: dict[str, Any] = {"stores": {}} if features else {}
    for each in features:
        store = store_of(each)
        write_store(store, _clips(each), _metadata(each))
        entry = {"store": store.as_posix(), "sha256": store_sha256(store)}
        changes["stores"][each.name] = entry
        if each.name not in params.stores or params.stores[each.name].sha256 != entry["sha256"]:
            changed.append(store)
    if labels is not None:
        path, table, collection = labels
        content = table.to_csv(index=False, lineterminator="\n").encode()
        if not path.is_file() or path.read_bytes() != content:
            with replacing_file(path) as beside:
                beside.write_bytes(content)
            changed.append(path)
        changes["data"] = {"labels": path.as_posix(), "media": collection.media.as_posix()}
        changes["targets"] = list(collection.targets)
    if update_params(params_file, changes):
        changed.append(params_file)
    return changed


def store_of(features: Features) -> Path:
    """Return the folder of the feature store that features are written to."""
    return IMPORTED_FEATURES / features.name


def check_name(name: str, params: Params) -> None:
    """Make sure that features may be called that; raises ParamsError where an encoder is."""
    check_spelling(name)
    if name in params.encoders:
        raise ParamsError(f"params.yaml has an encoder {name!r}: choose another name")


def check_spelling(name: str) -> None:
    """Raise ParamsError where a name, which becomes that of a folder, is none."""
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]*", name):
        raise ParamsError(f"--name {name!r}: expected letters, digits, _ and -")


def _match_clips(features: Features, wanted: Sequence[str]) -> None:
    """Find which clips of the label table the features are of."""
    add = features.findings.add
    matches = match_ids(wanted, features.id_of)
    unclear = [f"{' or '.join(theirs)} for {ours}" for ours, theirs in matches.ambiguous.items()]
    done = "they cannot be told apart: rename them as in the label table"
    add("several ids that fit a clip, or several clips an id", "error", unclear, done)
    if not matches.found and not matches.ambiguous:
        done = f"no id of the files is in the label table, which has {list(wanted[:3])}"
        add("ids of other clips", "error", features.id_of, done)
        return
    features.id_of |= {theirs: ours for ours, theirs in matches.found.items()}
    spelt = [f"{theirs} -> {ours}" for ours, theirs in matches.found.items() if theirs != ours]
    add("ids spelt otherwise than in the label table", "note", spelt, "taken as the same clip")
    done = "kept: other features predict them, or the training mean does"
    add("clips of the label table without features", "warning", matches.missing, done)
    done = "kept in the store under their own names; the stage `pool_store` leaves them out"
    add("features of no clip in the label table", "warning", matches.unknown, done)


def _compare(features: Features, params: Params) -> None:
    """Say in which clips imported stores differ: joined in one view, they have gaps."""
    clips = set(features.id_of.values())
    for other, entry in params.stores.items():
        if other == features.name or not entry.store.is_dir():
            continue
        tables = (pq.read_table(shard, columns=["clip_id"]) for shard in shards_of(entry.store))
        others = {clip for table in tables for clip in table["clip_id"].unique().to_pylist()}
        lacking = f"clips that `{other}` has and these lack", sorted(others - clips)
        more = f"clips that `{other}` lacks and these have", sorted(clips - others)
        if others & clips:
            done = "in a view of both they have gaps there, which heads fill with the training mean"
            for what, found in (lacking, more):
                features.findings.add(what, "warning", found, done)
        else:
            done = (
                f"the two have no clip in common: where `{other}` is of other clips, take it out "
                "of `stores` in params.yaml"
            )
            features.findings.add(lacking[0], "error", lacking[1], done)


def _clips(features: Features) -> Iterator[StoredClip]:
    for clip in sorted(features.id_of, key=lambda each: features.id_of[each]):
        embedding = features.embedding(clip)
        digest = hashlib.sha256(embedding.time_s.tobytes())
        digest.update(embedding.values.tobytes())
        yield StoredClip(features.id_of[clip], digest.hexdigest(), embedding)


def _metadata(features: Features) -> dict[str, Any]:
    """Say what the store is made of; names without folders, so that machines do not differ."""
    digest = hashlib.sha256()
    for file in features.files:
        digest.update(f"{file.name} {file_sha256(file)}\n".encode())
    said = {"columns": list(features.columns), "origin": features.origin}
    return {
        "level": features.level,
        "taken_as": features.taken_as,
        "sources_sha256": digest.hexdigest(),
        **{key: value for key, value in said.items() if value},
    }
