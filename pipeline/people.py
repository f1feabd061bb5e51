"""Who the clips show, by their faces; how good that is, and whether faces leak across splits."""

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.pool import Pooling, pool_clips
from features.store import read_store
from models.cosine import near_identical, unit_rows
from models.people import (
    ALONE,
    cluster_people,
    measure_agreement,
    measure_separation,
)
from pipeline.labels import person_of
from pipeline.params import Params
from pipeline.views import check_store

Record = dict[str, Any]

_MEAN = Pooling(statistics=("mean",), parts=("whole",))
_STRUCTURE = 0.25
"""The silhouette below which clusters mean little; see `models.people.Separation`."""


def face_vectors(clips: pd.DataFrame, params: Params) -> NDArray[np.float32]:
    """Return each clip's mean face, of length 1, shape (n_clips, dimension).

    NaN for clips that the encoder's store lacks, and for clips of which it saw no face; one column
    of NaN where `people.encoder` is not set.

    Raises
    ------
    StoreError
        When the encoder has no feature store.
    """
    if params.people.encoder is None:
        return np.full((len(clips), 1), np.nan, np.float32)
    store = read_store(check_store(params.people.encoder, params))
    clip_id, vectors = pool_clips(store, _MEAN)
    units, known = unit_rows(vectors)
    if store.face_share is not None:  # without a face, whole frames stand in
        known &= store.face_share[store.clip_starts()] > 0
    units[~known] = np.nan
    rows = pd.Index(clip_id).get_indexer(pd.Index(clips["clip_id"]))
    faces = units[rows]
    faces[rows < 0] = np.nan
    return faces


def find_people(
    clips: pd.DataFrame, faces: NDArray[np.float32], params: Params
) -> tuple[pd.DataFrame, Record]:
    """Say who each clip shows, and how sure that is.

    With `people.source: faces` a clip with a group keeps it. One without joins the commonest group
    of its cluster, else the pseudo-subject ``face:<first clip id of the cluster>``; one without a
    face is a person of its own.

    Parameters
    ----------
    clips : DataFrame
        The clip table.
    faces : ndarray of float32, shape (n_clips, dimension)
        From `face_vectors`.
    params : Params
        Gives `people` and the seed.

    Returns
    -------
    people : DataFrame
        ``clip_id, person``, one row per clip, in the order of `clips`.
    record : dict
        The quality report, for JSON.

    Raises
    ------
    DataError
        When no clip has a face vector.
    """
    settings, splits = params.people, clips["split"].to_numpy()
    person = person_of(clips)
    record: Record = {"source": settings.source, "encoder": settings.encoder}
    warnings = []
    if settings.source == "faces":
        limit = None if settings.threshold == "auto" else settings.threshold
        label, max_distance = cluster_people(faces, limit, params.seed)
        person = _named(clips, label)
        record |= {"threshold": round(max_distance, 6)}
        record |= _quality(clips, faces, label, params.seed)
        warnings = _quality_warnings(record)
    record = record | _sizes(person, splits)
    if settings.encoder is not None:
        leak = leak_record(clips["clip_id"], faces, splits, "splits", params)
        record["near_identical"] = leak
        warnings += leak_warnings(leak)
    record["warnings"] = warnings
    return pd.DataFrame({"clip_id": clips["clip_id"], "person": person}), record


def leak_record(
    clip_ids: "pd.Series[str]",
    faces: NDArray[np.float32],
    side: NDArray[Any],
    sides: str,
    params: Params,
) -> Record:
    """Search clips on different sides for near-identical faces.

    Parameters
    ----------
    clip_ids : Series of str, length n_clips
        For the examples.
    faces : ndarray of float32, shape (n_clips, dimension)
        From `face_vectors`.
    side : ndarray, shape (n_clips,)
        The split or fold of each clip.
    sides : str
        What the sides are called.
    params : Params
        Gives `people.near_identical`.
    """
    least = params.people.near_identical
    leak = near_identical(faces, side, least)
    ids = clip_ids.to_numpy()
    return {
        "between": sides,
        "min_similarity": least,
        "n_pairs": leak.n_pairs,
        "n_clips": leak.n_rows,
        "share": round(leak.share, 6),
        "examples": [
            {"clips": [ids[a], ids[b]], "sides": [str(side[a]), str(side[b])]}
            | {"similarity": round(similarity, 4)}
            for a, b, similarity in leak.examples
        ],
    }


def leak_warnings(leak: Record) -> list[str]:
    """Say in one line that faces leak; nothing where none do."""
    if not leak["n_pairs"]:
        return []
    first = leak["examples"][0]
    return [
        f"{leak['n_pairs']} pairs of clips with near-identical faces (cosine similarity "
        f"{leak['min_similarity']:g} or more) stand in different {leak['between']}: scores may "
        f"reward knowing the person. The nearest: {first['clips'][0]} ({first['sides'][0]}) and "
        f"{first['clips'][1]} ({first['sides'][1]}), {first['similarity']:.3f}"
    ]


def write_record(path: Path, record: Mapping[str, Any]) -> None:
    """Write a record as JSON and print its warnings."""
    path.write_text(json.dumps(record, indent=2) + "\n", encoding="utf-8")
    for warning in record["warnings"]:
        print(f"warning: {warning}")


def read_warnings(*paths: Path) -> list[str]:
    """Return the warnings of such files."""
    records = (json.loads(path.read_text(encoding="utf-8")) for path in paths)
    return [str(warning) for record in records for warning in record["warnings"]]


def _named(clips: pd.DataFrame, label: NDArray[np.int64]) -> "pd.Series[str]":
    """Give clips without a group the name of their cluster."""
    seen = clips[["clip_id", "group"]].astype("string").assign(label=label)[label != ALONE]
    by_cluster = seen.groupby("label")
    name = ("face:" + by_cluster["clip_id"].min()).to_dict()
    # The commonest group; of equally common ones the first by name.
    counts = seen.dropna().groupby(["label", "group"]).size().rename("n").reset_index()
    counts = counts.sort_values(["n", "group"], ascending=[False, True])
    name |= counts.drop_duplicates("label").set_index("label")["group"].to_dict()
    found = pd.Series(label, clips.index).map(name).astype("string")
    return person_of(clips.assign(group=clips["group"].astype("string").fillna(found)))


def _quality(
    clips: pd.DataFrame, faces: NDArray[np.float32], label: NDArray[np.int64], seed: int
) -> Record:
    apart = measure_separation(faces, label, seed)
    groups = clips["group"].astype(object)
    agreement = measure_agreement(label, list(groups.where(groups.notna(), None)))
    seen = label != ALONE
    return {
        "n_without_face": int((label == ALONE).sum()),
        "n_clusters": int(label.max()) + 1,
        "clusters_in_several_splits": _n_across(label[seen], clips["split"].to_numpy()[seen]),
        "similarity_within": _number(apart.within),
        "similarity_to_nearest_other": _number(apart.nearest_other),
        "silhouette": _number(apart.silhouette),
        "agreement_with_groups": None
        if agreement is None
        else {
            "n_clips": agreement.n_rows,
            "adjusted_rand": _number(agreement.adjusted_rand),
            "homogeneity": _number(agreement.homogeneity),
            "completeness": _number(agreement.completeness),
        },
    }


def _quality_warnings(record: Record) -> list[str]:
    warnings = []
    silhouette, n_spread = record["silhouette"], record["clusters_in_several_splits"]
    if silhouette is None or silhouette < _STRUCTURE:
        warnings.append(
            f"faces do not fall into clear clusters (silhouette {silhouette}; below {_STRUCTURE} "
            "means little): choose an encoder that tells faces apart, or set `people.threshold`"
        )
    if n_spread:
        warnings.append(
            f"{n_spread} of {record['n_clusters']} clusters of faces have clips in several splits: "
            "people are in more than one split, or the clustering joined different people"
        )
    return warnings


def _sizes(person: "pd.Series[str]", splits: NDArray[Any]) -> Record:
    sizes = person.value_counts().to_numpy()
    names = ("min", "q25", "median", "q75", "max")
    return {
        "n_clips": len(person),
        "n_people": len(sizes),
        "people_in_several_splits": _n_across(person.to_numpy(), splits),
        "clips_per_person": {
            name: float(np.quantile(sizes, k / 4)) for k, name in enumerate(names)
        },
        "share_of_people_with_one_clip": round(float((sizes == 1).mean()), 6),
    }


def _n_across(who: NDArray[Any], splits: NDArray[Any]) -> int:
    """Count those who have clips in several splits."""
    n_splits = pd.Series(splits).groupby(who).nunique()
    return int((n_splits > 1).sum())


def _number(value: float) -> float | None:
    return None if math.isnan(value) else round(value, 6)
