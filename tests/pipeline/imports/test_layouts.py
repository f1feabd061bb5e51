import re
import shutil
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import read_store
from pipeline.clip_table import read_labels
from pipeline.findings import Findings, RefusedError
from pipeline.imports.columns import split_by_person
from pipeline.imports.layouts import HUME_TARGETS, read_table
from pipeline.params import load_params
from tests.pipeline.imports.conftest import write_muse

HEADER = ",".join(["File_ID", "Split", *HUME_TARGETS, "Age", "Country"])
ROWS = [
    "[00000],Train,1.0,0.5,0,0,0,0,0.25,31.5,United States",
    "[00001],Train,0.1,1.0,0,0.2,0,0,0.5,22,South Africa",
    "[00002],Train,0.2,0.3,1.0,0,0.7,0.1,0,44,United States",
    "[00003],Val,0.2,0.3,0.9,0,0.7,0.1,0,44,United States",
    "[00004],Val,0.5,0.3,1.0,0.4,0.7,0.1,0,19,South Africa",
    "[00005],Test,,,,,,,,27.25,South Africa",
]


@pytest.fixture
def root(tmp_path, make_clip, touch):
    make_clip("hume/train/mp4/00000.mp4")
    make_clip("hume/train/mp4/00001.mp4", sound_s=0, level=80)
    make_clip("hume/train/mp4/00002.mp4", level=90)
    touch(*[f"hume/{name}.wav" for name in ("train/wav/00000", "train/wav/00001", "val/wav/00003")])
    shutil.copy(tmp_path / "hume/train/mp4/00000.mp4", tmp_path / "hume/train/mp4/00004.mp4")
    make_clip("hume/train/mp4/99999.mp4", n_frames=3)
    (tmp_path / "hume/data_info.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    return tmp_path / "hume"


def files_of(*folders) -> dict:
    return {
        path: path.read_bytes() for each in folders for path in each.rglob("*") if path.is_file()
    }


def test_every_quirk_is_found_and_the_table_is_what_the_pipeline_reads(root, run):
    shown = run("hume", root)
    kinds = shown["by_kind"]
    assert kinds["labels without media"]["items"] == ["00005"]
    assert kinds["media without labels"]["items"] == ["train/mp4/99999.mp4"]
    assert kinds["unreadable files"]["count"] == 1
    assert kinds["identical files in several splits"]["items"] == ["00000 = 00004"]
    assert kinds["further files of a clip"]["count"] == 2
    assert kinds["clips without a person"]["count"] == 6
    assert kinds["Test clips without labels"]["severity"] == "note"
    assert not [f for f in shown["findings"] if f["severity"] == "error"]
    params = load_params(Path("params.yaml"), check_heads=False)
    assert params.targets == HUME_TARGETS
    table = read_labels(params.data.labels, params.targets)
    assert list(table["clip_id"]) == [f"{k:05d}" for k in range(6)]
    assert list(table["file_id"]) == [f"[{k:05d}]" for k in range(6)]
    assert list(table["path"]) == [
        "train/mp4/00000.mp4",
        "train/mp4/00001.mp4",
        "train/mp4/00002.mp4",
        "val/wav/00003.wav",
        "train/mp4/00004.mp4",
        "00005",
    ]
    assert (params.data.media / table["path"][0]).is_file()
    assert list(table["age"])[::5] == ["31.5", "27.25"]
    assert table["country"][1] == "South Africa"
    assert table[list(HUME_TARGETS)].isna().sum(axis=1).tolist() == [0, 0, 0, 0, 0, 7]


@pytest.mark.parametrize("command", ["hume", "muse"])
def test_a_second_run_changes_no_byte_and_a_dry_run_writes_none(root, muse, run, command):
    source = {"hume": root, "muse": muse}[command]
    before = files_of(source)
    assert run(command, source, "--dry-run", "--no-probe")["written"] == []
    assert not Path("data").exists()
    written = run(command, source, "--no-probe")["written"]
    expected = ["data/imports/features/muse_faus"] if command == "muse" else []
    assert written == [*expected, f"data/imports/{command}/labels.csv", "params.yaml"]
    content = files_of(Path())
    assert run(command, source, "--no-probe")["written"] == []
    assert (content, before) == (files_of(Path()), files_of(source))


@pytest.mark.parametrize("wrong", ["100", "-0.1", "inf"])
def test_labels_that_are_none_are_refused(root, run, wrong):
    table = root / "data_info.csv"
    table.write_text(table.read_text().replace("Train,1.0", f"Train,{wrong}"))
    shown = run("hume", root, "--no-probe", status=1)
    (error,) = [f for f in shown["findings"] if f["severity"] == "error"]
    assert error["kind"].startswith("Adoration")
    assert "00000" in error["items"][0]
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("command", "place", "kind", "said"),
    [
        ("hume", "..", "folders of another layout", r"data_info.csv beside .* found .*hume"),
        ("hume", "nowhere", "no such folder", "no folder"),
        ("muse", ".", "folders of another layout", "expected c2_muse_reaction"),
    ],
)
def test_a_wrong_folder_says_what_was_expected_and_found(root, run, command, place, kind, said):
    (finding,) = run(command, root / place, status=1)["findings"]
    assert (finding["kind"], finding["severity"]) == (kind, "error")
    assert re.search(said, finding["what_was_done"])


def test_a_missing_column_is_a_finding_beside_the_others(root, run):
    table = root / "data_info.csv"
    table.write_text(table.read_text().replace("Empathic-Pain", "Empathy"), encoding="utf-16")
    shown = run("hume", root, status=1)["by_kind"]
    assert shown["missing columns"]["items"] == ["Empathic-Pain"]
    assert "utf-16" in shown["written otherwise than UTF-8 with commas"]["items"][0]


@pytest.fixture
def muse(tmp_path):
    write_muse(tmp_path / "muse")
    return tmp_path / "muse"


def test_labels_partition_and_feature_sets_in_one_command(muse, run):
    shown = run("muse", muse)
    assert shown["n_clips_of_split"] == {"Train": 2, "Val": 2, "Test": 1}
    assert shown["features"]["muse_faus"]["columns"] == ["AU01", "AU02"]
    kinds = shown["by_kind"]
    lost = kinds["muse_faus: labels without features"]
    assert lost["items"] == ["00004"]
    assert kinds["labels without media"]["count"] == 5
    assert "Adoration = 1 on Train" in kinds["constant targets"]["items"]
    lines = Path("data/imports/muse/labels.csv").read_text().splitlines()
    assert lines[0].startswith("clip_id,path,split,Adoration")
    assert lines[1].startswith("00000,,Train,1.0,")
    entry = load_params(Path("params.yaml"), check_heads=False).stores["muse_faus"]
    store = read_store(entry.store)
    assert store.embedding[:2].tolist() == [[0, 1], [0.5, 0]]
    assert store.time_s[:2].tolist() == [0, 0.25]


def test_a_damaged_feature_set_keeps_everything_from_being_written(muse, run):
    (muse / "c2_muse_reaction/feats/faus/00002.csv").write_text(
        "timestamp,segment_id,AU01\n0,2,x\n"
    )
    before = Path("params.yaml").read_bytes()
    shown = run("muse", muse, status=1)
    assert shown["by_kind"]["muse_faus: files with text among the numbers"]["count"] == 1
    assert not Path("data/imports/muse").exists()
    assert Path("params.yaml").read_bytes() == before


def test_media_are_found_and_ids_whose_zeros_a_program_cut_are_the_same_clips(muse, run, touch):
    touch("muse/c2_muse_reaction/raw/00001.mp4")
    base = muse / "c2_muse_reaction"
    cut = re.sub(r"^0000", "", (base / "partition.csv").read_text(), flags=re.M)
    (base / "partition.csv").write_text(cut)
    (base / "labels.csv").write_text((base / "labels.csv").read_text() + "\n[00004],,,,,,,")
    shown = run("muse", base, "--no-probe")
    assert shown["by_kind"]["labels without media"]["count"] == 4
    table = read_labels(Path(shown["labels"]), HUME_TARGETS)
    assert list(table["clip_id"]) == [f"{k:05d}" for k in range(5)]
    assert list(table["file_id"]) == [f"[{k:05d}]" for k in range(5)]
    assert table["path"][1] == "raw/00001.mp4"
    (base / "partition.csv").write_text(cut.replace("3,x3,devel\n", ""))
    kinds = run("muse", base, "--no-probe", status=1)["by_kind"]
    assert kinds["labels of clips that partition.csv lacks"]["items"] == ["00003"]


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
    assert shown["by_kind"]["guessed"]["items"] == [
        "id = video",
        "person = speaker_id",
        "targets = joy,awe",
    ]
    labels = read_labels(Path(shown["labels"]), ["joy", "awe"])
    assert labels["joy"].tolist() == pytest.approx([9 * k / 99 for k in range(12)])
    assert labels.groupby("group")["split"].nunique().max() == 1
    assert set(labels["split"]) == {"Train", "Val", "Test"}
    assert labels["path"][3] == "003.mp4"
    seen = run(*by_person(table, *shares, "--rescale", "seen"))
    again = read_labels(Path(seen["labels"]), ["joy", "awe"])
    assert (again["awe"].min(), again["awe"].max()) == (0, 1)
    assert (again["split"] == labels["split"]).all()


def test_what_is_to_be_said_is_named_with_its_options(table, run):
    shown = run(*by_person(table, "--split-by-person", "0.5,0.25,0.25"), status=1)["by_kind"]
    assert "--rescale 1,100" in shown["joy outside [0, 1]"]["what_was_done"]
    assert "spans 67 to 100" in shown["awe outside [0, 1]"]["what_was_done"]
    error = run(*by_person(table), status=1)["by_kind"]["missing columns"]
    assert re.search("--split, or .*--split-by-person", error["what_was_done"])


def test_bad_rows_are_named(tmp_path, touch, run):
    touch("media/a.mp4", "media/sub/B.MP4", "media/c.avi", "media/x/e.mp4", "media/y/e.mp4")
    table = pd.DataFrame(
        {
            "id": ["a", "a", "b", "c", "d", "d", "e"],
            "file": ["a.mp4", "a.mp4", "b.mp4", "x\\c.avi", "gone.mp4", "gone.mp4", "e.mp4"],
            "split": ["train", "train", "dev", "train", "test", "weird", "test"],
            "person": ["p", "p", "p", "q", "r", "r", "r"],
            "joy": ["0,5", "0,5", "NaN", "0,5", "", "0,5", ""],
            "sha256": list("uuvwxyz"),
        }
    )
    path = tmp_path / "labels.csv"
    table.to_csv(path, index=False, encoding="utf-16", sep="\t")
    kinds = run("table", path, "--media", tmp_path / "media", "--no-probe", status=1)["by_kind"]
    assert kinds["rows twice the same"]["count"] == 1
    assert kinds["duplicate ids with different rows"]["items"] == ["d"]
    assert kinds["splits that are none"]["items"] == ["d: weird"]
    assert kinds["people in several splits"]["items"] == ["p"]
    assert kinds["Val clips without labels"]["severity"] == "warning"
    assert kinds["labels without media"]["items"] == ["d"]
    unclear = kinds["several that fit one clip, or several clips"]
    assert (unclear["severity"], unclear["items"]) == ("error", ["x/e.mp4 or y/e.mp4 for e"])
    assert kinds["ids that differ by case"]["count"] == 1
    assert kinds["ids that differ by folder or file ending"]["count"] == 1
    assert kinds["constant targets"]["items"] == ["joy = 0.5 on Train"]
    assert kinds["columns whose names have another meaning here"]["items"] == ["sha256"]
    form = kinds["written otherwise than UTF-8 with commas"]["items"]
    assert form == ["labels.csv: utf-16, tab"]


def test_parquet_unknown_columns_and_a_folder_that_is_none(tmp_path):
    path = tmp_path / "t.parquet"
    frame().assign(split="Train").to_parquet(path)
    source = read_table(path, None, {}, [], Findings())
    assert source.targets == ("joy", "awe")
    assert source.table["clip_id"].iloc[1] == "001"
    with pytest.raises(RefusedError, match="fear"):
        read_table(path, None, {}, ["fear"], Findings())
    with pytest.raises(RefusedError, match="no folder"):
        read_table(path, tmp_path / "nowhere", {}, [], Findings())


def test_clips_in_folders_of_their_own_and_people_nobody_named(tmp_path, touch, run):
    files = [f"{who}/f.jpg" for who in "abcd"]
    touch(*[f"media/{file}" for file in files])
    frame = pd.DataFrame({"url": [f"https://h/{file}?s=1" for file in files], "joy": ".5"})
    usage = ["Training", "Training", "PublicTest", "PrivateTest"]
    frame = frame.assign(person=["NA", "--", "x", ""], split=range(4), Usage=usage)
    frame.to_csv(tmp_path / "t.csv", index=False)
    shown = run("table", tmp_path / "t.csv", "--media", tmp_path / "media", "--no-probe")
    labels = read_labels(Path(shown["labels"]), ["joy"])
    assert labels["path"].tolist() == files
    assert labels["clip_id"].is_unique
    assert labels["group"].isna().tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("place", "given", "media"),
    [("videos", ".", "videos"), (".", ".", None), ("results/x", "results", None)],
)
def test_media_lie_where_no_stage_writes(tmp_path, touch, run, place, given, media):
    touch(*[f"project/{place}/{k:03d}.mp4" for k in range(12)])
    frame().assign(split="Train", joy=0.5, awe=0.1).to_csv("t.csv", index=False)
    shown = run("table", "t.csv", "--media", given, "--no-probe", status=int(media is None))
    finding = shown["by_kind"]["folder of the media"]
    said = f"taken for {given}" if media else "move the media to a folder of their own"
    assert said in finding["what_was_done"]
    assert media in (None, shown["media"])


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
