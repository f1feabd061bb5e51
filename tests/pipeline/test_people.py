import json

import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.cache import Embedding
from features.store import StoredClip, StoreError, read_store
from features.store_writer import write_store
from models.arrays import DataError
from pipeline import stages
from pipeline.clip_table import make_folds, read_clips_of_people, read_rows
from pipeline.params import ParamsError, People, load_params
from pipeline.people import face_vectors, find_people, read_warnings

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
    assert people.columns.tolist() == ["clip_id", "person"]
    assert people["clip_id"].tolist() == clips["clip_id"].tolist()
    assert n_pairs_of(people, shown) == shown.nunique() == people["person"].nunique()
    assert people["person"][0] == "face:000"
    assert record["n_clusters"] == record["n_people"] == shown.nunique()
    assert (record["clusters_in_several_splits"], record["agreement_with_groups"]) == (0, None)
    assert record["silhouette"] > 0.5
    assert (record["warnings"], record["near_identical"]["n_pairs"]) == ([], 0)
    assert json.loads(json.dumps(record, allow_nan=False)) == record


@settings(deadline=None, max_examples=10)
@given(seed=st.integers(0, 1000))
def test_who_is_who_does_not_depend_on_the_order_of_clips(seed):
    clips = pd.DataFrame({"clip_id": [f"{k:02d}" for k in range(24)], "split": "Train"})
    clips["group"] = pd.Series(pd.NA, clips.index, "string")
    faces = faces_of([f"p{k % 6}" for k in range(24)], seed, noise=1.0)
    params = People(source="faces", encoder="clip")
    order = np.random.default_rng(seed).permutation(24)
    holder = type("Params", (), {"people": params, "seed": 0})()
    first, _ = find_people(clips, faces, holder)
    again, _ = find_people(clips.iloc[order], faces[order], holder)
    pd.testing.assert_frame_equal(first, again.sort_index())


def test_known_groups_stay_and_draw_the_others_in(clips, shown, by_faces):
    clips["group"] = shown.where(np.arange(len(clips)) % 3 == 0)
    people, record = find_people(clips, faces_of(shown), by_faces)
    known = clips["group"].notna()
    assert people["person"][known].tolist() == shown[known].tolist()
    assert n_pairs_of(people, shown) == shown.nunique()
    agreement = record["agreement_with_groups"]
    assert (agreement["n_rows"], agreement["adjusted_rand"]) == (known.sum(), 1)


def test_a_cluster_of_two_groups_is_seen_in_the_agreement(clips, shown, by_faces):
    clips["group"] = shown.where(shown.isin(["Train0", "Train1"]))
    vectors = faces_of(shown.replace("Train1", "Train0"))
    people, record = find_people(clips, vectors, by_faces)
    assert people["person"][clips["group"].notna()].nunique() == 2
    assert record["agreement_with_groups"]["homogeneity"] < 0.1


def test_clips_without_a_face_are_people_of_their_own(clips, shown, by_faces):
    vectors = faces_of(shown)
    vectors[[4, 5]] = np.nan
    people, record = find_people(clips, vectors, by_faces)
    assert people["person"][[4, 5]].tolist() == ["clip:004", "clip:005"]
    assert record["n_without_face"] == 2
    with pytest.raises(DataError, match="none of the 40 clips has a face vector"):
        find_people(clips, vectors * np.nan, by_faces)


def test_faces_without_structure_and_people_in_two_splits_are_warned_of(clips, shown, by_faces):
    noise = np.random.default_rng(0).normal(size=(40, WIDTH))
    assert "do not fall into clear" in find_people(clips, noise, by_faces)[1]["warnings"][0]
    both = shown.str[-1]  # the same five in all splits
    record = find_people(clips, faces_of(both), by_faces)[1]
    assert record["people_in_several_splits"] == record["clusters_in_several_splits"] == 5
    assert "5 of 5 clusters of faces have clips in several splits" in record["warnings"][0]


def test_groups_stay_the_people_without_faces(clips, params):
    clips.loc[0, "group"] = None
    faces = face_vectors(clips, params)
    assert faces.shape == (40, 1)
    people, record = find_people(clips, faces, params)
    assert people["person"].tolist() == ["clip:000", *clips["group"][1:]]
    assert "near_identical" not in record


def test_a_leak_is_found_by_groups_too(clips, params):
    faces = faces_of(clips["clip_id"])
    faces[3] = faces[0]  # Val and Train
    record = find_people(clips, faces, with_people(params, encoder="clip"))[1]
    assert record["near_identical"]["n_pairs"] == 1
    assert record["near_identical"]["examples"] == [
        {"clips": ["000", "003"], "sides": ["Train", "Val"], "similarity": 1.0}
    ]
    (warning,) = record["warnings"]
    assert "1 pairs of clips" in warning
    assert "000 (Train) and 003 (Val)" in warning


# --- the stages ---------------------------------------------------------------------------------


def write_faces(project, shown, vectors=None, left_out=(), no_face=()):
    """Write a store of three frames per clip, the second of which has NaN."""
    vectors = faces_of(shown) if vectors is None else vectors
    stored = []
    for number, (clip_id, vector) in enumerate(zip(project.clips["clip_id"], vectors, strict=True)):
        frames = np.stack([vector * 2, vector * np.nan, vector])
        share = 0.0 if clip_id in no_face else 1.0
        if clip_id not in left_out:
            embedding = Embedding(np.arange(3.0), frames, share)
            stored.append(StoredClip(clip_id, f"{number:064x}", embedding))
    write_store(project.folder / "data" / "features" / "face", stored, {})


def run_stages(project, **settings):
    project.content["people"] = {"source": "faces", "encoder": "face"} | settings
    project.write()
    stages.people()
    stages.folds()
    return load_params()


def test_folds_and_rows_never_separate_a_pseudo_subject(project, capsys):
    shown = project.clips["group"].copy()
    project.clips["group"] = pd.Series(pd.NA, project.clips.index, "string")
    write_faces(project, shown, left_out=["001"], no_face=["002"])
    params = run_stages(project)
    assert "warning" not in capsys.readouterr().out
    people = pd.read_parquet("data/people.parquet").set_index("clip_id")["person"]
    assert people["001"] == "clip:001"
    assert people["002"] == "clip:002"
    rows = read_rows(params)
    assert rows.people.tolist() == people.loc[rows.clip_ids].tolist()
    folds = pd.DataFrame({"person": rows.people[: rows.n_train], "fold": rows.fold_of_row})
    assert folds.groupby("person")["fold"].nunique().eq(1).all()
    assert folds["person"].nunique() == shown[project.clips["split"] == "Train"].nunique() + 2
    (project.folder / "results").mkdir()
    stages.baseline()
    first = (project.folder / "data" / "folds.parquet").read_bytes()
    run_stages(project)
    assert (project.folder / "data" / "folds.parquet").read_bytes() == first


def test_leaks_are_printed_and_recorded(project, capsys):
    vectors = faces_of(project.clips["clip_id"])
    vectors[3] = vectors[0]
    train = np.flatnonzero(project.clips["split"] == "Train")
    folds = make_folds(project.clips, load_params()).set_index("clip_id")["fold"]
    fold = folds.loc[project.clips["clip_id"][train]].to_numpy()
    other = train[fold != fold[1]][0]
    vectors[other] = vectors[train[1]]
    write_faces(project, None, vectors)
    run_stages(project, source="group")
    out = capsys.readouterr().out
    assert "warning: 1 pairs of clips with near-identical faces" in out
    assert "stand in different splits" in out
    assert "stand in different folds" in out
    warnings = read_warnings(*(project.folder / "data" / f"{n}.json" for n in ("people", "folds")))
    assert len(warnings) == 2


def test_with_groups_the_features_do_not_matter(project):
    project.content["people"] = {"source": "group"}
    project.write()
    stages.people()
    names = ("people.parquet", "people.json", "faces.parquet")
    before = [(project.folder / "data" / name).read_bytes() for name in names]
    project.write_store("face")
    stages.people()
    assert [(project.folder / "data" / name).read_bytes() for name in names] == before
    assert np.isnan(read_store(project.folder / "data" / "faces.parquet").embedding).all()
    stages.folds()
    assert json.loads((project.folder / "data" / "folds.json").read_text())["warnings"] == []


def test_a_missing_store_or_table_of_people_says_what_to_do(project):
    with pytest.raises(StoreError, match="dvc repro"):
        run_stages(project)
    with pytest.raises(ParamsError, match=r"no table of people .*dvc repro"):
        read_clips_of_people(load_params())


def test_people_of_other_clips_are_refused(project):
    write_faces(project, project.clips["group"])
    params = run_stages(project)
    project.clips[1:].to_parquet("data/clips.parquet")
    with pytest.raises(ParamsError, match=r"people are of other clips \(40\).*\(39\).*dvc repro"):
        read_clips_of_people(params)
