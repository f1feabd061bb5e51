"""Uploads as other people's cameras, phones and checkouts make them."""

import io

import av
import numpy as np
import pytest
from PIL import Image

from tests.conftest import write_clip
from tests.pipeline.serve.conftest import form

LFS_POINTER = b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 12345\n"


def encoded(path, codec="mpeg4", **options):
    """Write 20 frames in another container, as its ending asks for."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width = stream.height = 32
        stream.pix_fmt = options.get("pix_fmt", "yuv420p")
        for k in range(20):
            picture = np.full((32, 32, 3), 10 * k, np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode(None))
    return path.read_bytes()


def intensities(client, filename, content):
    reply = client.post("/predict", **form(filename.encode(), content))
    assert reply.status_code == 200, reply.text
    return reply.json()["intensities"]


@pytest.mark.parametrize(
    ("ending", "codec"),
    [("avi", "mpeg4"), ("flv", "flv1"), ("3gp", "mpeg4"), ("ts", "mpeg2video"), ("wmv", "wmv2")],
)
def test_the_name_an_upload_has_changes_no_number(client, tmp_path, ending, codec):
    content = encoded(tmp_path / f"c.{ending}", codec)
    names = [f"c.{ending}", f"C.{ending.upper()}", "no ending", "wrong.jpg", "a.b.c", "x" * 300]
    found = [intensities(client, name, content) for name in names]
    assert all(each == pytest.approx(found[0], abs=1e-6) for each in found)


def test_a_picture_held_upright_by_its_orientation_is_that_of_the_upright_pixels(client):
    pixels = np.zeros((40, 40, 3), np.uint8)
    pixels[:20] = 250
    files = []
    for turned, orientation in ((pixels, 1), (np.rot90(pixels, 1), 6), (np.rot90(pixels, 3), 8)):
        file, exif = io.BytesIO(), Image.Exif()
        exif[0x0112] = orientation
        Image.fromarray(np.ascontiguousarray(turned)).save(file, "PNG", exif=exif)
        files.append(intensities(client, "p.png", file.getvalue()))
    for each in files[1:]:
        assert each == pytest.approx(files[0], abs=1e-3)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [("c.mp4", LFS_POINTER, "git lfs pull"), ("c.wav", LFS_POINTER, "git lfs pull")]
    + [(name, b"", "empty") for name in ("c.mp4", "p.png", "none")],
)
def test_what_stands_in_a_clip_s_place_is_named(client, name, content, said):
    reply = client.post("/predict", files={"file": (name, content)})
    assert reply.status_code == 422
    assert said in reply.json()["detail"]


def test_sound_alone_and_sound_that_starts_late_are_clips(client, tmp_path):
    only_sound = write_clip(tmp_path / "s.mp4", n_frames=0, sound_s=2).read_bytes()
    reply = client.post("/predict", files={"file": ("voice.m4a", only_sound)}).json()
    assert (reply["has_video"], reply["encoders"]) == (False, ["sound"])
