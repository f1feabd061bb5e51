"""Uploads as other people's phones and checkouts make them."""

import pytest

from tests.conftest import write_clip
from tests.pipeline.serve.conftest import form

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


@pytest.mark.parametrize("ending", ["avi", "mov", "mkv"])
def test_the_name_an_upload_has_changes_no_number(client, tmp_path, ending):
    path = write_clip(tmp_path / f"c.{ending}", n_frames=20, size=(32, 32), sound_s=0)
    names = [f"C.{ending.upper()}", "no ending", "wrong.jpg", "a.b.c", "x" * 300]
    replies = [client.post("/predict", **form(name.encode(), path.read_bytes())) for name in names]
    found = [reply.json()["intensities"] for reply in replies]
    assert all(each == pytest.approx(found[0], abs=1e-6) for each in found)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("c.mp4", LFS_POINTER, "git lfs pull"), ("p.png", b"", "empty"), ("none", b"", "empty")],
)
def test_what_stands_in_a_clip_s_place_is_named(client, name, content, said):
    reply = client.post("/predict", files={"file": (name, content)})
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


def test_sound_alone_is_a_clip(client, tmp_path):
    only_sound = write_clip(tmp_path / "s.mp4", n_frames=0, sound_s=2).read_bytes()
    reply = client.post("/predict", files={"file": ("voice.m4a", only_sound)}).json()
    assert (reply["has_video"], reply["encoders"]) == (False, ["sound"])
