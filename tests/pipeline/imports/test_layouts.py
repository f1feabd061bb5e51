import re
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.store import read_store
from pipeline.clip_table import read_labels
from pipeline.findings import Findings, RefusedError
from pipeline.imports.columns import split_by_person
from pipeline.imports.layouts import CREMAD_TARGETS, HUME_TARGETS, read_table
from pipeline.params import load_params
from tests.pipeline.imports.conftest import POINTER, write_cremad, write_muse

ROWS = [
    ",".join(["File_ID", "Split", *HUME_TARGETS, "Age", "Country"]),
    "[00000],Train,1.0,0.5,0,0,0,0,0.25,31.5,United States",
    "[00001],Train,0.1,1.0,0,0.2,0,0,0.5,22,South Africa",
    "[00002],Train,0.2,0.3,1.0,0,0.7,0.1,0,44,United States",
    "[00003],Val,0.2,0.3,0.9,0,0.7,0.1,0,44,United States",
    "[00004],Val,0.5,0.3,1.0,0.4,0.7,0.1,0,19,South Africa",
    "[00005],Test,,,,,,,,27.25,South Africa",
]


@pytest.fixture
def hume(tmp_path, touch):
    touch(*[f"hume/train/mp4/{name}.mp4" for name in ("00000", "00001", "00002", "00004", "99999")])
    touch(*[f"hume/{name}.wav" for name in ("train/wav/00000", "train/wav/00001", "val/wav/00003")])
    (tmp_path / "hume/data_info.csv").write_text("\n".join(ROWS))
    return tmp_path / "hume"


@pytest.fixture
def muse(tmp_path):
    write_muse(tmp_path / "muse")
    return tmp_path / "muse"


@pytest.fixture
def cremad(tmp_path):
    return write_cremad(tmp_path / "CREMA-D")


def written() -> pd.DataFrame:
    """Read the label table that the import wrote, by the parameters that it set."""
    params = load_params(Path("params.yaml"), check_heads=False)
    return read_labels(params.data.labels, params.targets)


def files_of(*folders) -> dict:
    return {
        path: path.read_bytes() for each in folders for path in each.rglob("*") if path.is_file()
    }


def test_every_quirk_is_found_and_the_table_is_what_the_pipeline_reads(hume, run):
    shown = run("hume", hume)
    found = {kind: each["items"] for kind, each in shown["by_kind"].items()}
    assert found["labels without media"] == ["00005"]
    assert found["media without labels"] == ["train/mp4/99999.mp4"]
    counts = {"unreadable files": 5, "further files of a clip": 2, "clips without a person": 6}
    assert {kind: len(found[kind]) for kind in counts} == counts
    assert {f["severity"] for f in shown["findings"]} == {"warning", "note"}
    params, table = load_params(Path("params.yaml"), check_heads=False), written()
    assert params.targets == HUME_TARGETS
    assert list(table["clip_id"]) == [f"{k:05d}" for k in range(6)]
    assert list(table["file_id"]) == [f"[{k:05d}]" for k in range(6)]
    video = "train/mp4/{}.mp4".format
    files = [*map(video, ("00000", "00001", "00002")), "val/wav/00003.wav", video("00004"), "00005"]
    assert list(table["path"]) == files
    assert (params.data.media / files[0]).is_file()
    assert list(table["age"])[::5] == ["31.5", "27.25"]
    assert table[list(HUME_TARGETS)].isna().sum(axis=1).tolist() == [0, 0, 0, 0, 0, 7]


@pytest.mark.parametrize("command", ["hume", "muse", "cremad"])
def test_a_second_run_changes_no_byte_and_a_dry_run_writes_none(request, run, command):
    source = request.getfixturevalue(command)
    before = files_of(source)
    assert run(command, source, "--dry-run", "--no-probe")["written"] == []
    assert not Path("data").exists()
    name = "cremad_both" if command == "cremad" else command
    expected = ["data/imports/features/muse_faus"] if command == "muse" else []
    expected += [f"data/imports/{name}/labels.csv", "params.yaml"]
    assert sorted(run(command, source, "--no-probe")["written"]) == expected
    content = files_of(Path())
    assert run(command, source, "--no-probe")["written"] == []
    assert (content, before) == (files_of(Path()), files_of(source))


def replaced(path: Path, old: str, new: str, encoding: str = "utf-8") -> None:
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new), encoding=encoding)


@pytest.mark.parametrize(
    ("command", "place", "said"),
    [
        ("hume", ".", r"data_info.csv beside .* found .*muse"),
        ("hume", "nowhere", "found nothing"),
        ("muse", ".", "expected c2_muse_reaction"),
        ("cremad", "muse", "as in a clone of CREMA-D"),
    ],
)
def test_a_wrong_folder_says_what_was_expected_and_found(tmp_path, muse, run, command, place, said):
    (finding,) = run(command, tmp_path / place, status=1)["findings"]
    assert (finding["kind"], finding["severity"]) == ("folders of another layout", "error")
    assert re.search(said, finding["what_was_done"])


def test_a_missing_column_is_a_finding_beside_the_others(hume, cremad, run):
    replaced(hume / "data_info.csv", "Empathic-Pain", "Empathy", encoding="utf-16")
    shown = run("hume", hume, status=1)["by_kind"]
    assert shown["missing columns"]["items"] == ["Empathic-Pain"]
    assert "utf-16" in shown["written otherwise than UTF-8 with commas"]["items"][0]
    replaced(cremad / "processedResults/tabulatedVotes.csv", "meanSadResp", "sad")
    shown = run("cremad", cremad, status=1)["by_kind"]
    assert shown["missing columns"]["items"] == ["meanSadResp"]


def test_labels_partition_and_feature_sets_in_one_command(muse, run):
    shown = run("muse", muse)
    assert shown["n_clips_of_split"] == {"Train": 2, "Val": 2, "Test": 1}
    assert shown["features"]["muse_faus"]["columns"] == ["AU01", "AU02"]
    kinds = shown["by_kind"]
    assert kinds["muse_faus: labels without features"]["items"] == ["00004"]
    assert kinds["labels without media"]["count"] == 5
    lines = Path("data/imports/muse/labels.csv").read_text().splitlines()
    assert lines[0].startswith("clip_id,path,split,Adoration")
    assert lines[1].startswith("00000,,Train,1.0,")
    entry = load_params(Path("params.yaml"), check_heads=False).stores["muse_faus"]
    store = read_store(entry.store)
    assert store.embedding[:2].tolist() == [[0, 1], [0.5, 0]]
    assert store.time_s[:2].tolist() == [0, 0.25]


def test_a_damaged_feature_set_keeps_everything_from_being_written(muse, run):
    damaged = muse / "c2_muse_reaction/feats/faus/00002.csv"
    damaged.write_text("timestamp,segment_id,AU01\n0,2,x\n")
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
    table = written()
    assert list(table["clip_id"]) == [f"{k:05d}" for k in range(5)]
    assert list(table["file_id"]) == [f"[{k:05d}]" for k in range(5)]
    assert table["path"][1] == "raw/00001.mp4"
    (base / "partition.csv").write_text(cut.replace("3,x3,devel\n", ""))
    kinds = run("muse", base, "--no-probe", status=1)["by_kind"]
    assert kinds["labels of clips that partition.csv lacks"]["items"] == ["00003"]


@pytest.mark.parametrize(
    ("ratings", "file", "expected"),
    [
        ("voice", "{}.wav", [0.186, 0, 0.037, 0.04, 0.046, 0.309]),
        ("face", "{}.flv", [0.246, 0, 0.047, 0.05, 0.056, 0.399]),
        ("both", "{}.flv", [0.306, 0, 0.057, 0.06, 0.066, 0.489]),
    ],
)
def test_targets_of_cremad_are_the_mean_levels_of_all_raters(cremad, run, ratings, file, expected):
    shown = run("cremad", cremad, "--ratings", ratings, "--no-probe")
    assert list(shown["by_kind"]) == ["constant targets"]
    params, table = load_params(Path("params.yaml"), check_heads=False), written()
    assert params.targets == CREMAD_TARGETS
    assert params.evaluation.slices == ("duration_s", "sex", "age")
    clips = sorted(path.stem for path in (cremad / "AudioWAV").iterdir())
    assert table["clip_id"].tolist() == clips
    assert table["path"].tolist() == [file.format(clip) for clip in clips]
    assert all((params.data.media / path).is_file() for path in table["path"])
    assert table[[*CREMAD_TARGETS]].iloc[2].tolist() == pytest.approx(expected)
    assert table["group"].tolist() == [clip[:4] for clip in clips]
    assert (table["age"].iloc[-1], table["sex"].iloc[-1]) == ("24", "Female")


def test_what_a_half_finished_download_of_cremad_lacks_is_left_out_and_named(cremad, run):
    first, second, third, *others = sorted((cremad / "AudioWAV").iterdir())
    first.write_text(POINTER)
    second.unlink()
    third.rename(third.with_stem(third.stem[:-1]))  # as one of the data set is
    shown = run("cremad", cremad, "--ratings", "voice", "--no-probe")
    assert shown["n_clips"] == 1 + len(others)
    found = shown["by_kind"]["clips that are not downloaded"]
    assert found["items"] == [first.stem, second.stem]
    assert "git lfs pull --include AudioWAV" in found["what_was_done"]
    for path in (cremad / "VideoFlash").iterdir():
        path.write_text(POINTER)
    (finding,) = run("cremad", cremad, "--no-probe", status=1)["findings"]
    assert (finding["severity"], finding["count"]) == ("error", 3 + len(others))
    assert "git lfs pull --include VideoFlash" in finding["what_was_done"]


def frame():
    table = pd.DataFrame({"video": [f"{k:03d}" for k in range(12)]})
    table["speaker_id"] = [f"s{k // 2}" for k in table.index]
    return table.assign(age=20 + table.index, joy=1 + 9 * table.index, awe=100 - 3 * table.index)


@pytest.fixture
def table(tmp_path, touch):
    touch(*[f"media/{k:03d}.mp4" for k in range(12)])
    frame().to_csv(tmp_path / "Ratings.csv", index=False, sep=";", decimal=",")
    return ["table", tmp_path / "Ratings.csv", "--media", tmp_path / "media", "--no-probe"]


SHARES = ["--split-by-person", "0.5,0.25,0.25"]


def test_guess_rescale_and_split_by_person(table, run):
    shown = run(*table, *SHARES, "--rescale", "1,100")
    guessed = ["id = video", "person = speaker_id", "targets = joy,awe"]
    assert shown["by_kind"]["guessed"]["items"] == guessed
    labels = written()
    assert labels["joy"].tolist() == pytest.approx([9 * k / 99 for k in range(12)])
    assert labels.groupby("group")["split"].nunique().max() == 1
    assert set(labels["split"]) == {"Train", "Val", "Test"}
    shown = run(*table, *SHARES, status=1)["by_kind"]
    assert "--rescale 1,100" in shown["joy outside [0, 1]"]["what_was_done"]
    error = run(*table, status=1)["by_kind"]["missing columns"]
    assert re.search("--split, or .*--split-by-person", error["what_was_done"])
    run(*table, *SHARES, "--rescale", "seen")
    again = written()
    assert (again["awe"].min(), again["awe"].max()) == (0, 1)
    assert (again["split"] == labels["split"]).all()


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
    shown = run("table", path, "--media", tmp_path / "media", "--no-probe", status=1)
    expected = {
        "rows twice the same": ["a"],
        "duplicate ids with different rows": ["d"],
        "splits that are none": ["d: weird"],
        "people in several splits": ["p"],
        "Val clips without labels": ["b"],
        "labels without media": ["d"],
        "several that fit one clip, or several clips": ["x/e.mp4 or y/e.mp4 for e"],
        "ids that differ by case": ["sub/B.MP4 -> b"],
        "ids that differ by folder or file ending": ["c.avi -> c"],
        "constant targets": ["joy = 0.5 on Train"],
        "columns whose names have another meaning here": ["sha256"],
        "written otherwise than UTF-8 with commas": ["labels.csv: utf-16, tab"],
    }
    assert {f["kind"]: f["items"] for f in shown["findings"] if f["kind"] in expected} == expected


def test_parquet_unknown_columns_and_a_folder_that_is_none(tmp_path):
    frame().assign(split="Train").to_parquet(path := tmp_path / "t.parquet")
    source = read_table(path, None, {}, [], Findings())
    assert source.targets == ("joy", "awe")
    assert source.table["clip_id"].iloc[1] == "001"
    for media, targets, said in ((None, ["fear"], "fear"), (tmp_path / "nowhere", [], "no folder")):
        with pytest.raises(RefusedError, match=said):
            read_table(path, media, {}, targets, Findings())


def test_clips_in_folders_of_their_own_and_people_nobody_named(tmp_path, touch, run):
    files = [f"{who}/f.jpg" for who in "abcd"]
    touch(*[f"media/{file}" for file in files])
    frame = pd.DataFrame({"url": [f"https://h/{file}?s=1" for file in files], "joy": ".5"})
    usage = ["Training", "Training", "PublicTest", "PrivateTest"]
    frame = frame.assign(person=["NA", "--", "x", ""], split=range(4), Usage=usage)
    frame.to_csv(tmp_path / "t.csv", index=False)
    run("table", tmp_path / "t.csv", "--media", tmp_path / "media", "--no-probe")
    labels = written()
    assert labels["path"].tolist() == files
    assert labels["group"].isna().tolist() == [True, True, False, True]


@pytest.mark.parametrize(
    ("place", "is_right"), [("videos", True), (".", False), ("results/x", False)]
)
def test_media_lie_where_no_stage_writes(tmp_path, touch, run, place, is_right):
    touch(*[f"project/{place}/{k:03d}.mp4" for k in range(12)])
    frame().assign(split="Train", joy=0.5, awe=0.1).to_csv("t.csv", index=False)
    given = place.replace("videos", ".")
    shown = run("table", "t.csv", "--media", given, "--no-probe", status=int(not is_right))
    said = "taken for ." if is_right else "stages write there"
    assert said in shown["by_kind"]["folder of the media"]["what_was_done"]
    assert not is_right or shown["media"] == "videos"


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
