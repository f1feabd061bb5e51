import os
import socket
from pathlib import Path

from features.extraction.index import index_files, iterate_clips


def test_files_are_hashed_and_probed_in_the_order_given(make_clip, tmp_path):
    paths = {
        "b": make_clip("b.mp4"),
        "a": make_clip("a.mp4", sound_s=0),
        "gone": tmp_path / "gone.mp4",
        "text": tmp_path / "text.mp4",
    }
    paths["text"].write_text("no clip")
    table = index_files(paths, progress=False)
    assert table["clip_id"].tolist() == list(paths)
    assert table["has_audio"].tolist() == [True, False, False, False]
    assert table["error_step"].fillna("").tolist() == ["", "", "read", "probe"]
    assert table["sha256"].str.len().fillna(0).tolist() == [64, 64, 0, 0]


def test_rows_are_typed(make_clip, tmp_path):
    table = index_files({"a": make_clip(), "gone": tmp_path / "x.mp4"}, progress=False)
    good, bad = iterate_clips(table)
    assert good.error is None
    assert len(good.sha256) == 64
    assert good.has_video
    assert bad.error is not None
    assert bad.error.step == "read"
    assert bad.sha256 == ""


def test_a_name_that_is_no_text_costs_its_own_clip_only(make_clip, tmp_path):
    path = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    path.write_bytes(b"")
    missing = Path(os.fsdecode(b"na\xefve.mp4"))
    paths = {"good": make_clip(), path.stem: path, "gone": missing}
    table = index_files(paths, progress=False)
    assert table["clip_id"].tolist() == ["good", "caf\\xe9", "gone"]
    assert table["path"][1].endswith("caf\\xe9.mp4")
    assert table["error_step"].fillna("").tolist() == ["", "read", "read"]
    assert "not UTF-8: rename it" in table["error_reason"][1]
    table.to_parquet(tmp_path / "clips.parquet")


def test_what_is_no_file_is_named_and_not_waited_for(make_clip, tmp_path):
    paths = {name: tmp_path / f"{name}.mp4" for name in ("pipe", "socket", "link", "folder")}
    os.mkfifo(paths["pipe"])
    paths["link"].symlink_to("gone.mp4")
    paths["folder"].mkdir()
    paths |= {"device": Path("/dev/zero"), "loop": tmp_path / "loop.mp4", "good": make_clip()}
    paths["loop"].symlink_to("loop.mp4")
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(paths["socket"]))
        table = index_files(paths, progress=False).set_index("clip_id")
    assert table["error_step"].fillna("").to_dict() == dict.fromkeys(paths, "read") | {"good": ""}
    for name in ("pipe", "socket", "device"):
        assert "a pipe, a socket or a device" in table.loc[name, "error_reason"]
    assert "there is no file" in table.loc["link", "error_reason"]
