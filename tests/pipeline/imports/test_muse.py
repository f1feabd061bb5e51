import re
from pathlib import Path

import pytest

from features.store import read_store
from pipeline.imports.collection import HUME_TARGETS
from pipeline.labels import read_labels
from pipeline.params import load_params


@pytest.fixture
def root(tmp_path, touch):
    base = tmp_path / "muse/c2_muse_reaction"
    base.mkdir(parents=True)
    labels = [",".join(["File_ID", *HUME_TARGETS])]
    labels += [f"[{k:05d}],1.0,0.{k},0.{k},0.{k},0.{k},0,0.{k}" for k in range(4)]
    (base / "labels.csv").write_text("\n".join(labels))
    splits = ["train", "train", "devel", "devel", "test"]
    rows = [f"{k:05d},x{k},{split}" for k, split in enumerate(splits)]
    (base / "partition.csv").write_text("\n".join(["Id,Note,Proposal", *rows]))
    for k in range(4):
        path = base / f"feats/faus/{k:05d}.csv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(f"timestamp,segment_id,AU01,AU02\n0,{k},0.{k},1\n250,{k},0.5,0.{k}\n")
    return tmp_path / "muse"


def test_labels_partition_and_feature_sets_in_one_command(root, run):
    shown = run("muse", root)
    assert shown["n_clips_of_split"] == {"Train": 2, "Val": 2, "Test": 1}
    assert shown["features"]["muse_faus"]["columns"] == ["AU01", "AU02"]
    kinds = shown["by_kind"]
    lost = kinds["muse_faus: clips of the label table without features"]
    assert lost["examples"] == ["00004"]
    assert kinds["no media at all"]["count"] == 5
    assert kinds["encoders that need media"]["count"] == 3
    assert kinds["clips that labels.csv lacks"]["examples"] == ["00004"]
    assert "Adoration = 1 on Train" in kinds["constant targets"]["examples"]
    lines = Path("data/imports/muse/labels.csv").read_text().splitlines()
    assert lines[0].startswith("clip_id,path,split,Adoration")
    assert lines[1].startswith("00000,,Train,1.0,")
    entry = load_params(Path("params.yaml"), check_heads=False).stores["muse_faus"]
    store = read_store(entry.store)
    assert store.embedding[:2].tolist() == [[0, 1], [0.5, 0]]
    assert store.time_s[:2].tolist() == [0, 0.25]
    before = {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()}
    assert run("muse", root)["written"] == []
    assert {path: path.read_bytes() for path in Path().rglob("*") if path.is_file()} == before


def test_a_damaged_feature_set_keeps_everything_from_being_written(root, run):
    (root / "c2_muse_reaction/feats/faus/00002.csv").write_text(
        "timestamp,segment_id,AU01\n0,2,x\n"
    )
    before = Path("params.yaml").read_bytes()
    shown = run("muse", root, status=1)
    assert shown["by_kind"]["muse_faus: files with text among the numbers"]["count"] == 1
    assert not Path("data/imports/muse").exists()
    assert Path("params.yaml").read_bytes() == before


def test_the_inner_folder_will_do_and_media_are_found(root, run, touch):
    touch("muse/c2_muse_reaction/raw/00001.mp4")
    base = root / "c2_muse_reaction"
    shown = run("muse", base, "--no-probe")
    assert shown["by_kind"]["labels without media"]["count"] == 4
    assert "raw/00001.mp4" in Path(shown["labels"]).read_text()


def test_ids_whose_zeros_a_program_cut_are_the_same_clips(root, run):
    path = root / "c2_muse_reaction/partition.csv"
    path.write_text(re.sub(r"^0000", "", path.read_text(), flags=re.M))
    labels = root / "c2_muse_reaction/labels.csv"
    labels.write_text(labels.read_text() + "\n[00004],,,,,,,")
    shown = run("muse", root)
    kind = shown["by_kind"]["ids of partition.csv spelt otherwise than in labels.csv"]
    assert (kind["count"], kind["examples"][0]) == (5, "0 -> 00000")
    table = read_labels(Path(shown["labels"]), HUME_TARGETS)
    assert list(table["clip_id"]) == [f"{k:05d}" for k in range(5)]
    assert list(table["file_id"]) == [f"[{k:05d}]" for k in range(5)]


def test_a_partition_without_a_header_loses_no_clip(root, run):
    path = root / "c2_muse_reaction/partition.csv"
    path.write_text(path.read_text().split("\n", 1)[1])
    assert run("muse", root)["n_clips"] == 5


def test_labels_without_a_split_are_refused(root, run):
    path = root / "c2_muse_reaction/partition.csv"
    path.write_text(path.read_text().replace("00003,x3,devel\n", ""))
    shown = run("muse", root, status=1)
    assert shown["by_kind"]["labels of clips that partition.csv lacks"]["examples"] == ["00003"]


def test_a_wrong_folder_is_named(root, run):
    (root / "c2_muse_reaction/partition.csv").unlink()
    finding = run("muse", root, status=1)["by_kind"]["folders of another layout"]
    assert "expected c2_muse_reaction" in finding["what_was_done"]
