import dataclasses

import pandas as pd

from pipeline.report.data import (
    clip_lists,
    data_warnings,
    imputed_sentences,
    label_table,
    people_sentences,
    split_table,
)

IMPUTED = pd.DataFrame({"split": ["Val", "Val", "Test"], "all_missing": [False, True, False]})


def test_splits_are_counted(rows):
    clips = rows.clips.assign(has_audio=rows.clips["split"] == "Val")
    table = split_table(dataclasses.replace(rows, clips=clips), IMPUTED).set_index("split")
    assert table["clips"].sum() == len(clips)
    assert table.loc["Test", "labelled"] == 0
    val = table.loc["Val"]
    assert [val["with sound"], val["with video"]] == [val["clips"], 0]
    assert [val["lacking some features"], val["lacking all"]] == [2, 1]
    seconds = clips.loc[clips["split"] == "Val", "duration_s"]
    assert val["hours"] == f"{seconds.sum() / 3600:.2f}"
    assert val["people"] == clips.loc[clips["split"] == "Val", "group"].nunique()


def test_labels_are_described_where_there_are_some(rows, params):
    table = label_table(rows, params.targets)
    assert set(table["split"]) == {"Train", "Val"}
    assert len(table) == 2 * len(params.targets)


def test_a_sound_table_is_warned_of_its_few_people_only(rows, params):
    said = "{} has labels of 5 people only: its intervals say little"
    assert data_warnings(rows, params.targets) == [said.format("Train"), said.format("Val")]


def test_what_makes_scores_worthless_is_said(rows, params):
    clips = rows.clips.assign(group="p", sha256="ab")
    y = rows.y.copy()
    val = (clips["split"] == "Val").to_numpy()
    y[val, 0] = 5.0  # does not vary
    said = " / ".join(data_warnings(dataclasses.replace(rows, clips=clips, y=y), params.targets))
    for part in (
        "1 people have clips in several splits (p)",
        "the same files in several splits",
        f"labels that do not vary: {params.targets[0]}",
    ):
        assert part in said


def test_clips_that_lack_something_are_listed_in_part():
    failures = pd.DataFrame({"clip_id": ["a"] * 60, "step": "decode", "reason": "damaged"})
    clips = pd.DataFrame({"clip_id": ["a", "b"], "error_step": [None, "open"]})
    lacking, unusable, failed, none = clip_lists(
        clips.assign(error_reason="no file"), IMPUTED[:0], {"x": failures, "y": pd.DataFrame()}
    )
    assert lacking.n == none.n == 0
    assert unusable.table.to_numpy().tolist() == [["b", "open", "no file"]]
    assert [failed.n, len(failed.table), failed.counts] == [60, 50, "decode: 60"]


def test_sentences_of_people_and_of_imputed_clips():
    record = {"n_people": 9, "source": "faces", "encoder": "clip", "silhouette": 0.25}
    per = {"clips_per_person": {"min": 1, "median": 2.0, "max": 3}}
    first, second = people_sentences(record | per)
    assert "9 people, by faces (clip); 1 to 3 clips" in first
    assert "0.25" in second
    assert people_sentences({}) == []
    val, test = imputed_sentences(IMPUTED)
    assert val.startswith("Val: 2 clips")
    assert "1 of them without any" in val
    assert test.startswith("Test: 1 clips")
    assert imputed_sentences(IMPUTED[:0]) == []
