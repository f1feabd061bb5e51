import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from features.store_writer import write_clip_vectors, write_failures
from pipeline import stages
from pipeline.params import ParamsError
from pipeline.paths import IMPUTED, PREDICTIONS
from pipeline.submission import IMPUTED_COLUMNS, file_ids, imputed_table, submission_table


def write_vectors(path, clip_ids):
    vectors = np.ones((len(clip_ids), 2), np.float32)
    path.parent.mkdir(exist_ok=True)
    write_clip_vectors(path, np.array(clip_ids, object), vectors, {})


def with_file_ids(rows):
    rows.clips["file_id"] = pd.Series(
        [f"[{k:05d}]" for k in range(len(rows.clips))], dtype="string"
    )
    return rows


def test_the_challenge_s_ids_where_there_are_and_the_clip_s_elsewhere(rows):
    assert file_ids(rows.clips).tolist() == rows.clip_ids
    given_ids = file_ids(with_file_ids(rows).clips)
    assert given_ids[3] == "[00003]"
    rows.clips.loc[[0, 1], "file_id"] = [pd.NA, ""]
    assert file_ids(rows.clips).tolist() == [*rows.clip_ids[:2], *given_ids[2:]]


@pytest.mark.parametrize("has_file_ids", [False, True])
def test_every_clip_of_val_and_test_is_there_once(rows, params, has_file_ids):
    rows = with_file_ids(rows) if has_file_ids else rows
    predictions = np.random.default_rng(0).normal(size=rows.y.shape)
    table = submission_table(predictions, rows.clips, params.targets)
    assert table.columns.tolist() == ["File_ID", *params.targets]
    held = rows.clips[rows.clips["split"] != "Train"]
    assert len(held) > 6
    assert table["File_ID"].tolist() == list(held["file_id" if has_file_ids else "clip_id"])
    np.testing.assert_array_equal(table[list(params.targets)], predictions[held.index])


def test_an_id_for_two_clips_is_refused(rows, params):
    with_file_ids(rows).clips.loc[rows.clips.index[-2:], "file_id"] = "[7]"
    with pytest.raises(ParamsError, match=r"1 values of `file_id`.*\[7\]"):
        submission_table(rows.y, rows.clips, params.targets)


@settings(
    deadline=None,
    max_examples=25,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(lost=st.lists(st.sets(st.integers(0, 39)), min_size=3, max_size=3))
def test_exactly_the_clips_without_some_features_are_listed(rows, tmp_path, lost):
    encoders = ["b", "c", "a"]
    for encoder, without in zip(encoders, lost, strict=True):
        ids = [clip_id for k, clip_id in enumerate(rows.clip_ids) if k not in without]
        write_vectors(tmp_path / f"{encoder}.parquet", ids)
    failures = {name: tmp_path / f"{name}.failures.parquet" for name in encoders}
    table = imputed_table(rows, failures, tmp_path)
    assert table.columns.tolist() == IMPUTED_COLUMNS
    assert table["clip_id"].tolist() == [rows.clip_ids[k] for k in sorted(set.union(*lost))]
    for row in table.itertuples():
        place = rows.clip_ids.index(row.clip_id)
        missing = sorted(e for e, without in zip(encoders, lost, strict=True) if place in without)
        assert row.missing == "+".join(missing)
        assert row.all_missing == (len(missing) == 3)
        assert row.split == rows.clips["split"][place]
        assert row.reasons == "; ".join(f"{encoder}: no features" for encoder in missing)


def test_the_reasons_are_those_of_the_failure_table(rows, tmp_path):
    first, second, *others = with_file_ids(rows).clip_ids
    write_vectors(tmp_path / "face.parquet", others)
    write_vectors(tmp_path / "voice.parquet", [second, *others])
    failures = {name: tmp_path / f"{name}.failures.parquet" for name in ("voice", "face")}
    for encoder, reason in {"face": "no picture", "voice": "no sound"}.items():
        failed = pd.DataFrame({"clip_id": [first], "step": ["decode"], "reason": [reason]})
        write_failures(failures[encoder], failed)
    table = imputed_table(rows, failures, tmp_path)
    assert table["File_ID"].tolist() == ["[00000]", "[00001]"]
    assert table["reasons"].tolist() == [
        "face: decode: no picture; voice: decode: no sound",
        "face: no features",
    ]
    assert table["all_missing"].tolist() == [True, False]


def test_the_stage_predicts_clips_that_failed_and_flags_them(project):
    """One clip of Test has no features at all, one of Val no face."""
    for encoder, lost in {"face": ["039", "003"], "voice": ["039"]}.items():
        path = project.folder / "data" / "pooled" / f"{encoder}.parquet"
        ids = [clip_id for clip_id in project.clips["clip_id"] if clip_id not in lost]
        vectors = np.random.default_rng(0).normal(size=(len(ids), 4)).astype(np.float32)
        write_clip_vectors(path, np.array(ids, object), vectors, {})
    project.clips["file_id"] = "[" + project.clips["clip_id"] + "]"
    project.write()
    for head in project.content["heads"]:
        stages.fit(head)
    stages.stack()
    predicted = pd.read_csv(PREDICTIONS).set_index("File_ID")
    assert {"[039]", "[003]"} <= set(predicted.index)
    assert len(predicted) == (project.clips["split"] != "Train").sum()
    assert np.isfinite(predicted.to_numpy()).all()
    flagged = pd.read_csv(IMPUTED, dtype={"clip_id": str})
    assert flagged["File_ID"].tolist() == ["[003]", "[039]"]
    assert flagged["missing"].tolist() == ["face", "face+voice"]
    assert flagged["split"].tolist() == ["Val", "Test"]
    assert not list(PREDICTIONS.parent.glob(".*"))
