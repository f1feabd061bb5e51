import re
from pathlib import Path

import pytest

from pipeline.imports.collection import HUME_TARGETS
from pipeline.labels import read_labels
from pipeline.params import load_params

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
def root(tmp_path, make_clip):
    make_clip("hume/train/mp4/00000.mp4")
    make_clip("hume/train/mp4/00001.mp4", sound_s=0, level=80)
    make_clip("hume/train/mp4/00002.mp4", level=90)
    for name in ("train/wav/00000.wav", "train/wav/00001.wav", "val/wav/00003.wav"):
        path = tmp_path / "hume" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    (tmp_path / "hume/train/mp4/00004.mp4").write_bytes(
        (tmp_path / "hume/train/mp4/00000.mp4").read_bytes()
    )
    make_clip("hume/train/mp4/99999.mp4", n_frames=3)
    (tmp_path / "hume/data_info.csv").write_text("\n".join([HEADER, *ROWS]) + "\n")
    return tmp_path / "hume"


def test_every_quirk_is_found_and_the_table_is_what_the_pipeline_reads(root, run):
    shown = run("hume", root)
    kinds = shown["by_kind"]
    assert kinds["ids in brackets"]["count"] == 6
    assert kinds["clips with a wav but no mp4"]["examples"] == ["00003"]
    assert kinds["media in the folder of another split"]["examples"] == [
        "00004 -> train/mp4/00004.mp4"
    ]
    assert kinds["labels without media"]["examples"] == ["00005"]
    assert kinds["media without labels"]["examples"] == ["train/mp4/99999.mp4"]
    assert kinds["labelled clips whose largest label is not 1"]["examples"] == ["00003"]
    assert kinds["unreadable files"]["count"] == 1
    assert kinds["no sound, but a sound file beside"]["examples"] == ["00001"]
    assert kinds["identical files in several splits"]["examples"] == ["00000 = 00004"]
    assert kinds["files of another kind beside a clip's"]["count"] == 2
    assert kinds["ages with fractions"]["examples"] == ["00000: 31.5", "00005: 27.25"]
    assert kinds["clips without a person"]["count"] == 6
    assert kinds["Test without labels"]["severity"] == "note"
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
        "test/mp4/00005.mp4",
    ]
    assert (params.data.media / table["path"][0]).is_file()
    assert list(table["age"])[::5] == ["31.5", "27.25"]
    assert table["country"][1] == "South Africa"
    assert table[list(HUME_TARGETS)].isna().sum(axis=1).tolist() == [0, 0, 0, 0, 0, 7]


def test_a_second_run_changes_no_byte_and_a_dry_run_writes_none(root, run):
    before = {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}
    assert run("hume", root, "--dry-run", "--no-probe")["written"] == []
    assert not Path("data").exists()
    written = run("hume", root, "--no-probe")["written"]
    assert written == ["data/imports/hume/labels.csv", "params.yaml"]
    content = {name: Path(name).read_bytes() for name in written}
    assert run("hume", root, "--no-probe")["written"] == []
    assert content == {name: Path(name).read_bytes() for name in written}
    assert before == {path: path.read_bytes() for path in root.rglob("*") if path.is_file()}


@pytest.mark.parametrize("wrong", ["100", "abc", "-0.1", "inf"])
def test_labels_that_are_none_are_refused(root, run, wrong):
    table = root / "data_info.csv"
    table.write_text(table.read_text().replace("Train,1.0", f"Train,{wrong}"))
    shown = run("hume", root, "--no-probe", status=1)
    (error,) = [f for f in shown["findings"] if f["severity"] == "error"]
    assert error["kind"].startswith("Adoration")
    assert "00000" in error["examples"][0]
    assert not Path("data").exists()


@pytest.mark.parametrize(
    ("place", "kind", "said"),
    [
        ("..", "folders of another layout", r"data_info.csv beside .* found .*hume/.*Use .*hume"),
        ("nowhere", "no such folder", "no folder"),
        ("train", "folders of another layout", "folder above"),
    ],
)
def test_a_wrong_folder_says_what_was_expected_and_found(root, run, place, kind, said):
    shown = run("hume", root / place, status=1)
    (finding,) = shown["findings"]
    assert (finding["kind"], finding["severity"]) == (kind, "error")
    assert re.search(said, finding["what_was_done"])


def test_a_missing_column_is_a_finding_beside_the_others(root, run):
    table = root / "data_info.csv"
    table.write_text(table.read_text().replace("Empathic-Pain", "Empathy"), encoding="utf-16")
    shown = run("hume", root, status=1)["by_kind"]
    assert shown["missing columns"]["examples"] == ["Empathic-Pain"]
    assert shown["encoding"]["severity"] == "note"
