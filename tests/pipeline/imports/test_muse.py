from pathlib import Path

import pytest

from pipeline.imports.collection import HUME_TARGETS, CollectionError
from pipeline.imports.muse import read_muse


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
    touch(*[f"muse/c2_muse_reaction/feats/faus/{k:05d}.csv" for k in range(4)])
    return tmp_path / "muse"


def test_labels_partition_and_feature_sets(root, run):
    shown = run("muse", root)
    assert list(shown["feature_sets"]) == ["faus"]
    assert Path(shown["feature_sets"]["faus"]).is_dir()
    assert shown["n_clips_of_split"] == {"Train": 2, "Val": 2, "Test": 1}
    kinds = shown["by_kind"]
    assert kinds["clips without features of faus"]["examples"] == ["00004"]
    assert kinds["no media at all"]["count"] == 5
    assert kinds["clips that labels.csv lacks"]["examples"] == ["00004"]
    assert kinds["constant targets"]["count"] == 1
    lines = Path("data/imports/muse/labels.csv").read_text().splitlines()
    assert lines[0].startswith("clip_id,path,split,Adoration")
    assert lines[1].startswith("00000,,Train,1.0,")


def test_the_inner_folder_will_do_and_media_are_found(root, run, touch):
    touch("muse/c2_muse_reaction/raw/00001.mp4")
    base = root / "c2_muse_reaction"
    shown = run("muse", base, "--no-probe")
    assert shown["by_kind"]["labels without media"]["count"] == 4
    assert "raw/00001.mp4" in Path(shown["labels"]).read_text()


def test_a_partition_without_a_header_loses_no_clip(root):
    path = root / "c2_muse_reaction/partition.csv"
    path.write_text(path.read_text().split("\n", 1)[1])
    assert list(read_muse(root).labels["clip_id"]) == [f"{k:05d}" for k in range(5)]


def test_labels_without_a_split_are_refused(root, run):
    path = root / "c2_muse_reaction/partition.csv"
    path.write_text(path.read_text().replace("00003,x3,devel\n", ""))
    shown = run("muse", root, status=1)
    assert shown["by_kind"]["labels of clips that partition.csv lacks"]["examples"] == ["00003"]


def test_a_wrong_folder_is_named(root, tmp_path):
    (root / "c2_muse_reaction/partition.csv").unlink()
    with pytest.raises(CollectionError, match="expected c2_muse_reaction"):
        read_muse(root)
