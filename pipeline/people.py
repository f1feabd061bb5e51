"""Who the clips show, by their faces; how good that is, and whether faces leak across splits."""

import math
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from sklearn.metrics import adjusted_rand_score, homogeneity_score

from features.pool import Pooling, pool_store
from models.people import ALONE, cluster_people, nearest_across, silhouette, unit_rows
from pipeline.clip_table import make_folds, people_across_splits, person_of
from pipeline.params import Params
from pipeline.views import check_store

Record = dict[str, Any]

_MEAN = Pooling(statistics=("mean",), parts=("whole",))
_N_EXAMPLES = 20
_STRUCTURE = 0.25
"""The silhouette below which clusters mean little; see `models.people.silhouette`."""


def face_vectors(clips: pd.DataFrame, params: Params) -> NDArray[np.float32] | None:
    """Return each clip's mean face, of length 1 (n_clips, dimension), as `people.encoder` saw it.

    NaN for clips that its store lacks, and for clips of which it saw no face; None where no encoder
    is named. A missing store is a StoreError.
    """
    if params.people.encoder is None:
        return None
    pooled = pool_store(check_store(params.people.encoder, params), _MEAN)
    units, known = unit_rows(pooled.embedding)
    if pooled.face_share is not None:  # without a face, whole frames stand in
        known &= pooled.face_share > 0
    units[~known] = np.nan
    return pd.DataFrame(units, pooled.clip_id).reindex(clips["clip_id"]).to_numpy(np.float32)


def find_people(
    clips: pd.DataFrame, faces: NDArray[np.float32] | None, params: Params
) -> tuple[pd.DataFrame, Record]:
    """Say who each clip shows and in which fold it is, and how sure that is.

    With `people.source: faces` a clip with a group keeps it. One without joins the commonest group
    of its cluster, else the pseudo-subject ``face:<first clip id of the cluster>``; one without a
    face is a person of its own.

    Parameters
    ----------
    clips : DataFrame
        The clip table.
    faces : ndarray of float32, shape (n_clips, dimension), or None
        From `face_vectors`. No face at all is a DataError.
    params : Params
        Gives `people`, `folds` and the seed.

    Returns
    -------
    table : DataFrame
        ``clip_id, person, fold``, from `pipeline.clip_table.make_folds`, with its errors.
    record : dict
        The quality report, for JSON; its ``warnings`` are sentences.
    """
    settings = params.people
    record: Record = {"source": settings.source, "encoder": settings.encoder, "warnings": []}
    if settings.source == "faces" and faces is not None:
        limit = None if settings.threshold == "auto" else settings.threshold
        label, record["threshold"] = cluster_people(faces, limit, params.seed)
        record |= _quality(clips, faces, label, params.seed)
        clips = clips.assign(group=_named(clips, label))
    table = make_folds(clips, params)
    sizes = table["person"].value_counts()
    quartiles = zip(("min", "q25", "median", "q75", "max"), np.linspace(0, 1, 5), strict=True)
    record |= {
        "n_clips": len(table),
        "n_people": len(sizes),
        "people_in_several_splits": len(people_across_splits(clips)),
        "clips_per_person": {name: float(sizes.quantile(share)) for name, share in quartiles},
        "share_of_people_with_one_clip": float((sizes == 1).mean()),
    }
    if faces is not None:
        of_train = np.where(table[["fold"]] >= 0, faces, np.nan).astype(np.float32)
        sides = {"splits": (faces, clips["split"]), "folds": (of_train, table["fold"])}
        record["near_identical"] = {
            name: _leaks(clips["clip_id"], seen, side, settings.near_identical)
            for name, (seen, side) in sides.items()
        }
        record["warnings"] += [
            f"{found['n_clips']} clips have near-identical faces (cosine similarity "
            f"{settings.near_identical:g} or more) in different {name}: scores may reward knowing "
            f"the person. The nearest: {' and '.join(first['clips'])}, {first['similarity']:.3f}"
            for name, found in record["near_identical"].items()
            for first in found["examples"][:1]
        ]
    return table, record


def _leaks(
    clip_ids: "pd.Series[str]", faces: NDArray[np.float32], side: "pd.Series[Any]", least: float
) -> Record:
    """Search clips on different sides for near-identical faces."""
    similarity, nearest = nearest_across(faces, side.to_numpy())
    # Equal vectors have a product of 1 only up to rounding.
    near = np.flatnonzero(similarity >= least - 1e-6)
    pairs = pd.DataFrame(np.sort([near, nearest[near]], axis=0).T).assign(nearness=similarity[near])
    pairs = pairs.drop_duplicates([0, 1]).sort_values("nearness", ascending=False, kind="stable")
    examples = [
        {
            "clips": [f"{clip_ids.iloc[row]} ({side.iloc[row]})" for row in (a, b)],
            "similarity": round(float(nearness), 4),
        }
        for a, b, nearness in pairs[:_N_EXAMPLES].itertuples(index=False)
    ]
    share = len(near) / max(np.isfinite(similarity).sum(), 1)
    return {"min_similarity": least, "n_clips": len(near), "share": share, "examples": examples}


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
    apart = silhouette(faces, label, seed)
    n_spread = len(people_across_splits(clips.assign(group=clusters)))
    warnings, agreement = [], None
    both = (clips["group"].notna() & clusters.notna()).to_numpy(bool)
    if both.any():
        pair = clips["group"][both].astype(str), label[both]
        measures = {
            "adjusted_rand": adjusted_rand_score(*pair),
            "homogeneity": homogeneity_score(*pair),
            "completeness": homogeneity_score(*pair[::-1]),
        }
        agreement = {"n_rows": int(both.sum())} | {k: float(v) for k, v in measures.items()}
    if not apart >= _STRUCTURE:  # nor of one cluster, which has none
        warnings.append(
            f"faces do not fall into clear clusters (silhouette {apart:.3f}; below {_STRUCTURE} "
            "means little): choose an encoder that tells faces apart, or set `people.threshold`"
        )
    if n_spread:
        warnings.append(
            f"{n_spread} of {clusters.nunique()} clusters of faces have clips in several splits: "
            "people are in more than one split, or the clustering joined different people"
        )
    return {
        "n_without_face": int(clusters.isna().sum()),
        "n_clusters": clusters.nunique(),
        "clusters_in_several_splits": n_spread,
        "silhouette": None if math.isnan(apart) else apart,
        "agreement_with_groups": agreement,
        "warnings": warnings,
    }
