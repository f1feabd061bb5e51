import json

import numpy as np
import pandas as pd
import pytest

from features.cache import Embedding
from features.store import StoredClip, StoreError, write_store
from pipeline import stages
from pipeline.clip_table import make_folds, read_rows
from pipeline.params import People, load_params
from pipeline.people import face_vectors, find_people

WIDTH = 32


def with_people(params, **settings):
    return params.model_copy(update={"people": People(**settings)})


def faces_of(groups, seed=0, noise=0.3):
    rng = np.random.default_rng(seed)
    names = sorted(set(groups))
    centres = dict(zip(names, rng.normal(size=(len(names), WIDTH)), strict=True))
    vectors = np.stack([centres[name] for name in groups])
    return (vectors + noise * rng.normal(size=vectors.shape)).astype(np.float32)


@pytest.fixture
def by_faces(params):
    return with_people(params, source="faces", encoder="clip", threshold=0.5)


@pytest.fixture
def shown(clips) -> pd.Series:
    """Who the clips show; the clip table does not say."""
    shown = clips["group"].copy()
    clips["group"] = pd.Series(pd.NA, clips.index, "string")
    return shown


def n_pairs_of(people, shown) -> int:
    return len(pd.DataFrame({"person": people["person"], "shown": shown}).drop_duplicates())


def test_pseudo_subjects_are_the_people(clips, shown, by_faces):
    people, record = find_people(clips, faces_of(shown), by_faces)
    assert people.columns.tolist() == ["clip_id", "person", "fold"]
    assert people["clip_id"].tolist() == clips["clip_id"].tolist()
    assert n_pairs_of(people, shown) == shown.nunique() == people["person"].nunique()
    assert people["person"][0] == "face:000"
    assert record["n_clusters"] == record["n_people"] == shown.nunique()
    assert (record["clusters_in_several_splits"], record["agreement_with_groups"]) == (0, None)
    assert record["silhouette"] > 0.5
    assert record["warnings"] == []
    assert [each["n_clips"] for each in record["near_identical"].values()] == [0, 0]
    assert json.loads(json.dumps(record, allow_nan=False)) == record


def test_known_groups_stay_and_draw_the_others_in(clips, shown, by_faces):
    clips["group"] = shown.where(np.arange(len(clips)) % 3 == 0)
    people, record = find_people(clips, faces_of(shown), by_faces)
    known = clips["group"].notna()
    assert people["person"][known].tolist() == shown[known].tolist()
    assert n_pairs_of(people, shown) == shown.nunique()
    measures = {"adjusted_rand": 1, "homogeneity": 1, "completeness": 1}
    assert record["agreement_with_groups"] == {"n_rows": known.sum(), **measures}
    clips["group"] = shown.where(shown.isin(["Train0", "Train1"]))
    people, record = find_people(clips, faces_of(shown.replace("Train1", "Train0")), by_faces)
    assert people["person"][clips["group"].notna()].nunique() == 2
    agreement = record["agreement_with_groups"]
    assert agreement["homogeneity"] < 0.1
    assert agreement["completeness"] == 1


def test_clips_without_a_face_are_people_of_their_own(clips, shown, by_faces):
    vectors = faces_of(shown)
    vectors[[4, 5]] = np.nan
    people, record = find_people(clips, vectors, by_faces)
    assert people["person"][[4, 5]].tolist() == ["clip:004", "clip:005"]
    assert record["n_without_face"] == 2


def test_faces_without_structure_and_people_in_two_splits_are_warned_of(clips, shown, by_faces):
    noise = np.random.default_rng(0).normal(size=(40, WIDTH))
    assert "do not fall into clear" in find_people(clips, noise, by_faces)[1]["warnings"][0]
    both = shown.str[-1]  # the same five in all splits
    record = find_people(clips, faces_of(both), by_faces)[1]
    assert record["people_in_several_splits"] == record["clusters_in_several_splits"] == 5
    assert "5 of 5 clusters of faces have clips in several splits" in record["warnings"][0]


def test_leaks_across_splits_and_folds_are_found_by_groups_too(clips, params):
    clips.loc[39, "group"] = None
    assert face_vectors(clips, params) is None
    people, record = find_people(clips, None, params)
    assert people["person"].tolist() == [*clips["group"][:39], "clip:039"]
    assert "near_identical" not in record
    params = with_people(params, encoder="clip")
    faces, fold = faces_of(clips["clip_id"]), make_folds(clips, params)["fold"]
    faces[3] = faces[0]  # Val and Train
    other = fold.index[(fold >= 0) & (fold != fold[1])][0]
    faces[other] = faces[1]
    record = find_people(clips, faces, params)[1]
    assert record["near_identical"]["splits"]["n_clips"] == 2
    example = {"clips": ["000 (Train)", "003 (Val)"], "similarity": 1.0}
    assert record["near_identical"]["splits"]["examples"] == [example]
    of_splits, of_folds = record["warnings"]
    assert of_splits.startswith("2 clips have near-identical faces")
    assert "different splits: " in of_splits
    assert "000 (Train) and 003 (Val)" in of_splits
    assert "different folds: " in of_folds


def test_folds_and_rows_never_separate_a_pseudo_subject(project, capsys):
    shown = project.clips["group"].copy()
    project.clips["group"] = pd.Series(pd.NA, project.clips.index, "string")
    project.content["people"] = {"source": "faces", "encoder": "face"}
    project.write()
    with pytest.raises(StoreError, match="dvc repro"):
        stages.folds()
    stored = []
    for clip_id, face in zip(project.clips["clip_id"], faces_of(shown), strict=True):
        frames = np.stack([face * 2, face * np.nan, face])
        share = 0.0 if clip_id == "002" else 1.0
        embedding = Embedding(np.arange(3.0), frames, share)
        stored.append(StoredClip(clip_id, f"{int(clip_id):064x}", embedding))
    write_store(project.folder / "data/features/face", stored[:1] + stored[2:], {})
    stages.folds()
    assert "warning" not in capsys.readouterr().out
    people = pd.read_parquet("data/folds.parquet").set_index("clip_id")["person"]
    assert people[["001", "002"]].tolist() == ["clip:001", "clip:002"]
    rows = read_rows(load_params())
    assert rows.people.tolist() == people.loc[rows.clip_ids].tolist()
    folds = pd.DataFrame({"person": rows.people[: rows.n_train], "fold": rows.fold_of_row})
    assert folds.groupby("person")["fold"].nunique().eq(1).all()
    assert folds["person"].nunique() == shown[project.clips["split"] == "Train"].nunique() + 2
