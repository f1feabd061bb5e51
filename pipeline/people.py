"""Who the clips show, by their faces; how good that is, and whether faces leak across splits."""

import json
import math
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.pool import Pooling, pool_store
from models.cosine import near_identical, unit_rows
from models.people import (
    ALONE,
    Agreement,
    Separation,
    cluster_people,
    measure_agreement,
    measure_separation,
)
from pipeline.clip_table import people_across_splits
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
    pooled = pool_store(check_store(params.people.encoder, params), _MEAN)
    units, known = unit_rows(pooled.embedding)
    if pooled.face_share is not None:  # without a face, whole frames stand in
        known &= pooled.face_share > 0
    units[~known] = np.nan
    return pd.DataFrame(units, pooled.clip_id).reindex(clips["clip_id"]).to_numpy(np.float32)


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
        The quality report, for JSON; its ``warnings`` are sentences.

    Raises
    ------
    DataError
        When no clip has a face vector.
    """
    settings = params.people
    person = person_of(clips)
    record: Record = {"source": settings.source, "encoder": settings.encoder, "warnings": []}
    if settings.source == "faces":
        limit = None if settings.threshold == "auto" else settings.threshold
        label, max_distance = cluster_people(faces, limit, params.seed)
        person = _named(clips, label)
        record |= {
            "threshold": round(max_distance, 6),
            **_quality(clips, faces, label, params.seed),
        }
    sizes = person.value_counts()
    quartiles = zip(("min", "q25", "median", "q75", "max"), np.linspace(0, 1, 5), strict=True)
    record |= {
        "n_clips": len(person),
        "n_people": len(sizes),
        "people_in_several_splits": len(people_across_splits(clips.assign(group=person))),
        "clips_per_person": {name: float(sizes.quantile(share)) for name, share in quartiles},
        "share_of_people_with_one_clip": round(float((sizes == 1).mean()), 6),
    }
    if settings.encoder is not None:
        leak, warnings = find_leaks(clips["clip_id"], faces, clips["split"], "splits", params)
        record |= {"near_identical": leak, "warnings": record["warnings"] + warnings}
    return pd.DataFrame({"clip_id": clips["clip_id"], "person": person}), record


def find_leaks(
    clip_ids: "pd.Series[str]",
    faces: NDArray[np.float32],
    side: "pd.Series[Any]",
    sides: str,
    params: Params,
) -> tuple[Record, list[str]]:
    """Search clips on different sides for near-identical faces.

    Parameters
    ----------
    clip_ids : Series of str, length n_clips
        For the examples.
    faces : ndarray of float32, shape (n_clips, dimension)
        From `face_vectors`.
    side : Series, length n_clips
        The split or fold of each clip.
    sides : str
        What the sides are called.
    params : Params
        Gives `people.near_identical`.

    Returns
    -------
    record : dict
        How many pairs of how many clips, and the nearest of them, for JSON.
    warnings : list of str
        A sentence that says so; none where no faces leak.
    """
    least = params.people.near_identical
    leak = near_identical(faces, side.to_numpy(), least)
    record = {
        "between": sides,
        "min_similarity": least,
        "n_pairs": leak.n_pairs,
        "n_clips": leak.n_rows,
        "share": round(leak.share, 6),
        "examples": [
            {
                "clips": [clip_ids.iloc[a], clip_ids.iloc[b]],
                "sides": [str(side.iloc[a]), str(side.iloc[b])],
                "similarity": round(similarity, 4),
            }
            for a, b, similarity in leak.examples
        ],
    }
    if not leak.examples:
        return record, []
    a, b, similarity = leak.examples[0]
    warning = (
        f"{leak.n_pairs} pairs of clips with near-identical faces (cosine similarity {least:g} or "
        f"more) stand in different {sides}: scores may reward knowing the person. The nearest: "
        f"{clip_ids.iloc[a]} ({side.iloc[a]}) and {clip_ids.iloc[b]} ({side.iloc[b]}), "
        f"{similarity:.3f}"
    )
    return record, [warning]


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
    name = ("face:" + seen.groupby("label")["clip_id"].min()).to_dict()
    counts = seen.dropna().groupby(["label", "group"]).size()
    # The commonest group; of equally common ones the first by name.
    name |= dict(counts.groupby("label").idxmax().to_list())
    found = pd.Series(label, clips.index).map(name).astype("string")
    return person_of(clips.assign(group=clips["group"].astype("string").fillna(found)))


def _quality(
    clips: pd.DataFrame, faces: NDArray[np.float32], label: NDArray[np.int64], seed: int
) -> Record:
    """Say how well faces fall into clusters, with warnings."""
    clusters = pd.Series(label, clips.index).mask(label == ALONE)
    apart = _rounded(measure_separation(faces, label, seed))
    groups = clips["group"].astype(object)
    agreement = measure_agreement(label, list(groups.where(groups.notna(), None)))
    n_clusters = clusters.nunique()
    n_spread = len(people_across_splits(clips.assign(group=clusters)))
    silhouette = apart["silhouette"]
    warnings = []
    if silhouette is None or silhouette < _STRUCTURE:
        warnings.append(
            f"faces do not fall into clear clusters (silhouette {silhouette}; below {_STRUCTURE} "
            "means little): choose an encoder that tells faces apart, or set `people.threshold`"
        )
    if n_spread:
        warnings.append(
            f"{n_spread} of {n_clusters} clusters of faces have clips in several splits: "
            "people are in more than one split, or the clustering joined different people"
        )
    return {
        "n_without_face": int(clusters.isna().sum()),
        "n_clusters": n_clusters,
        "clusters_in_several_splits": n_spread,
        "similarity_within": apart["within"],
        "similarity_to_nearest_other": apart["nearest_other"],
        "silhouette": silhouette,
        "agreement_with_groups": None if agreement is None else _rounded(agreement),
        "warnings": warnings,
    }


def _rounded(measures: Separation | Agreement) -> Record:
    """Six digits for JSON, which has no NaN."""
    values = asdict(measures).items()
    return {name: None if math.isnan(value) else round(value, 6) for name, value in values}
