import os
import socket
from pathlib import Path

import pytest

from features.extraction.index import index_files, iterate_clips

pytestmark = pytest.mark.usefixtures("one_processor")


def test_files_are_hashed_and_probed_in_the_order_given_and_odd_ones_cost_themselves(
    make_clip, tmp_path
):
    names = ("pipe", "socket", "link", "loop", "folder", "text", "gone")
    paths = {name: tmp_path / f"{name}.mp4" for name in names}
    os.mkfifo(paths["pipe"])
    paths["link"].symlink_to("nowhere.mp4")
    paths["loop"].symlink_to("loop.mp4")
    paths["folder"].mkdir()
    paths["text"].write_text("no clip")
    no_text = tmp_path / os.fsdecode(b"caf\xe9.mp4")
    no_text.write_bytes(b"")
    paths |= {"device": Path("/dev/zero"), no_text.stem: no_text}
    paths["silent"] = make_clip("silent.mp4", sound_s=0)
    paths["good"] = make_clip()
    with socket.socket(socket.AF_UNIX) as bound:
        bound.bind(str(paths["socket"]))
        table = index_files(paths, progress=False)
    table.to_parquet(tmp_path / "clips.parquet")
    assert table["clip_id"].tolist() == [n if n.isascii() else "caf\\xe9" for n in paths]
    rows = table.set_index("clip_id")
    steps = dict.fromkeys(rows.index, "read") | {"text": "probe", "silent": "", "good": ""}
    assert rows["error_step"].fillna("").to_dict() == steps
    for name, reason in {
        **dict.fromkeys(("pipe", "socket", "device"), "a pipe, a socket or a device"),
        **dict.fromkeys(("link", "gone"), "there is no file"),
        "caf\\xe9": "not UTF-8: rename it",
    }.items():
        assert reason in rows.loc[name, "error_reason"]
    assert rows.loc["caf\\xe9", "path"].endswith("caf\\xe9.mp4")
    assert rows.loc[["silent", "good"], "has_audio"].tolist() == [False, True]
    clips = {clip.clip_id: clip for clip in iterate_clips(table)}
    good, gone = clips["good"], clips["gone"]
    assert (good.error, len(good.sha256), good.has_video) == (None, 64, True)
    assert (gone.error.step, gone.sha256, gone.has_video) == ("read", "", False)
