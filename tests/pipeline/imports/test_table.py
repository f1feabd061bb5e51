from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.imports.columns import LabelColumns
from pipeline.imports.findings import Findings, RefusedError
from pipeline.imports.table import read_any_table, split_by_person
from pipeline.labels import read_labels


def frame(n=12):
    return pd.DataFrame(
        {
            "video": [f"{k:03d}" for k in range(n)],
            "speaker_id": [f"s{k // 2}" for k in range(n)],
            "age": [20 + k for k in range(n)],
            "joy": [1 + 9 * k for k in range(n)],
            "awe": [100 - 3 * k for k in range(n)],
        }
    )


@pytest.fixture
def table(tmp_path, touch):
    touch(*[f"media/{k:03d}.mp4" for k in range(12)])
    path = tmp_path / "Ratings.csv"
    frame().to_csv(path, index=False, sep=";", decimal=",")
    return path


def by_person(table, *more):
    return ["table", table, "--media", table.parent / "media", "--no-probe", *more]


def test_guess_rescale_and_split_by_person(table, run):
    shares = ["--split-by-person", "0.5,0.25,0.25"]
    shown = run(*by_person(table, *shares, "--rescale", "1,100"))
    guessed = [f["examples"][0] for f in shown["findings"] if f["kind"] == "guessed"]
    assert guessed == ["id = video", "person = speaker_id", "targets = joy,awe"]
    labels = read_labels(Path(shown["labels"]), ["joy", "awe"])
    assert labels["joy"].tolist() == pytest.approx([9 * k / 99 for k in range(12)])
    assert labels.groupby("group")["split"].nunique().max() == 1
    assert set(labels["split"]) == {"Train", "Val", "Test"}
    assert labels["path"][3] == "003.mp4"
    seen = run(*by_person(table, *shares, "--rescale", "seen"))
    again = read_labels(Path(seen["labels"]), ["joy", "awe"])
    assert (again["awe"].min(), again["awe"].max()) == (0, 1)
    assert (again["split"] == labels["split"]).all()


def test_another_range_names_the_range_and_the_option(table, run):
    shown = run(*by_person(table, "--split-by-person", "0.5,0.25,0.25"), status=1)
    assert "--rescale 1,100" in shown["by_kind"]["joy outside [0, 1]"]["what_was_done"]
    assert "spans 67 to 100" in shown["by_kind"]["awe outside [0, 1]"]["what_was_done"]


def test_without_splits_the_error_names_both_ways(table):
    with pytest.raises(RefusedError, match=r"--split, or .*--split-by-person"):
        read_any_table(table, table.parent / "media", LabelColumns(), None, 0, Findings())


def test_bad_rows_are_named(tmp_path, touch, run):
    touch("media/a.mp4", "media/sub/B.MP4", "media/c.avi")
    table = pd.DataFrame(
        {
            "id": ["a", "a", "b", "c", "d", "d"],
            "file": ["a.mp4", "a.mp4", "b.mp4", "x\\c.avi", "gone.mp4", "gone.mp4"],
            "split": ["train", "train", "dev", "train", "test", "weird"],
            "person": ["p", "p", "p", "q", "r", "r"],
            "joy": ["0,5", "0,5", "NaN", "0,5", "", "0,5"],
            "sha256": list("uuvwxy"),
        }
    )
    path = tmp_path / "labels.csv"
    table.to_csv(path, index=False, encoding="utf-16", sep="\t")
    kinds = run("table", path, "--media", tmp_path / "media", "--no-probe", status=1)["by_kind"]
    assert kinds["rows twice the same"]["count"] == 1
    assert kinds["duplicate ids with different rows"]["examples"] == ["d"]
    assert kinds["splits that are none"]["examples"] == ["d: weird"]
    assert kinds["people in several splits"]["examples"] == ["p"]
    assert kinds["Val clips without labels"]["severity"] == "warning"
    assert kinds["labels without media"]["examples"] == ["d"]
    assert kinds["ids that differ by case"]["count"] == 1
    assert kinds["ids that differ by folder or file ending"]["count"] == 1
    assert kinds["constant targets"]["examples"] == ["joy = 0.5 on Train"]
    assert kinds["columns whose names have another meaning here"]["examples"] == ["sha256"]
    form = kinds["written otherwise than UTF-8 with commas"]["examples"]
    assert form == ["labels.csv: utf-16, tab"]


def test_a_folder_without_media_is_refused(table, tmp_path):
    with pytest.raises(RefusedError, match="no folder"):
        read_any_table(table, tmp_path / "nowhere", LabelColumns(split="age"), None, 0, Findings())


def test_parquet_and_unknown_columns(tmp_path):
    path = tmp_path / "t.parquet"
    frame().assign(split="Train").to_parquet(path)
    collection = read_any_table(path, None, LabelColumns(), None, 0, Findings())
    assert collection.targets == ("joy", "awe")
    assert collection.labels["clip_id"].iloc[1] == "001"
    with pytest.raises(RefusedError, match="fear"):
        read_any_table(path, None, LabelColumns(targets=("fear",)), None, 0, Findings())


@settings(max_examples=50, deadline=None)
@given(st.lists(st.integers(1, 9), min_size=3, max_size=30), st.integers(0, 99), st.randoms())
def test_people_stay_together_and_every_split_has_one(sizes, seed, random):
    people = [f"p{k}" for k, size in enumerate(sizes) for _ in range(size)]
    split = split_by_person(pd.Series(people), (0.7, 0.15, 0.15), seed)
    split_of = dict(zip(people, split, strict=True))
    assert [split_of[person] for person in people] == split
    assert set(split) == {"Train", "Val", "Test"}
    random.shuffle(people)
    again = split_by_person(pd.Series(people), (0.7, 0.15, 0.15), seed)
    assert dict(zip(people, again, strict=True)) == split_of


def test_shares_are_kept_and_nonsense_is_refused():
    people = pd.Series([f"p{k // 5}" for k in range(1000)])
    counts = pd.Series(split_by_person(people, (0.7, 0.3, 0), 0)).value_counts().to_dict()
    assert counts == {"Train": 700, "Val": 300}
    with pytest.raises(RefusedError, match="sum to 1"):
        split_by_person(people, (0.7, 0.3, 0.3), 0)
    with pytest.raises(RefusedError, match="1 people"):
        split_by_person(people[:5], (0.7, 0.15, 0.15), 0)
