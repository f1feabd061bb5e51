"""What a client could put into an upload; afterwards the `disk` fixture finds nothing left."""

import gzip
import io
import re
import struct
import tarfile
import zipfile
import zlib

import av
import numpy as np
import pytest
from PIL import Image

from tests.features.odd_media import png
from tests.media import write_clip


def refused(client, name, content):
    reply = client.post("/predict", files={"file": (name, content)})
    assert reply.status_code == 422, reply.text
    return reply.json()["detail"]


def zipped(content: bytes) -> bytes:
    file = io.BytesIO()
    with zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("../../clip.mp4", content)
    return file.getvalue()


def tarred(content: bytes) -> bytes:
    file = io.BytesIO()
    with tarfile.open(fileobj=file, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo("../../clip.mp4"), io.BytesIO(content))
    return file.getvalue()


NOT_MEDIA = {
    "empty.mp4": b"",
    "none": b"",
    "pointer.mp4": b"version https://git-lfs.github.com/spec/v1\noid sha256:4d7a\nsize 9\n",
    "text.mp4": b"hello " * 1000,
    "page.html": b"<script>alert(1)</script>",
    "zeros.mp4": bytes(100_000),
    "noise.bin": np.random.default_rng(0).bytes(100_000),
    "bomb.zip": zipped(bytes(50_000_000)),
    "bomb.tar.gz": tarred(b""),
    "bomb.png": gzip.compress(bytes(50_000_000)),
    "entities.svg": b'<!DOCTYPE x [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;">]><svg>&b;</svg>',
    "list.mp4": b"ffconcat version 1.0\nfile clip.mp4\n",
    "list.m3u8": b"#EXTM3U\n#EXTINF:1,\nfile:///etc/hostname\n#EXT-X-ENDLIST\n",
    "net.m3u8": b"#EXTM3U\n#EXTINF:1,\nhttp://127.0.0.1:9/a.ts\n#EXT-X-ENDLIST\n",
    "net.sdp": b"v=0\nc=IN IP4 127.0.0.1\nt=0 0\nm=video 5004 RTP/AVP 96\na=rtpmap:96 H264/90000\n",
    "code.py": b"#!/usr/bin/env python3\nimport os\nos.abort()\n",
    "pickle.npy": b"\x93NUMPY\x01\x00",
}


@pytest.mark.parametrize("name", NOT_MEDIA)
def test_what_is_not_media_is_refused(client, name):
    why = refused(client, name, NOT_MEDIA[name])
    assert why.startswith("nothing in this file can be used: ")
    assert re.search(r"sound: .*tiny: (probe|decode): |tiny: (probe|decode): .*sound: ", why)


def test_pictures_that_would_fill_the_memory_are_refused(client):
    refused(client, "claimed.png", png(60_000, 60_000, zlib.compress(bytes(1000))))
    real = io.BytesIO()
    Image.new("1", (12_000, 12_000)).save(real, "PNG")
    assert len(real.getvalue()) < 100_000
    assert "12000 x 12000 pixels" in refused(client, "real.png", real.getvalue())


def test_silence_that_unpacks_to_hours_is_refused(client, tmp_path):
    with av.open(tmp_path / "b.flac", "w") as container:
        stream = container.add_stream("flac", rate=8000, layout="mono")
        for _ in range(60):
            minute = np.zeros((1, 60 * 8000), np.int16)
            frame = av.AudioFrame.from_ndarray(minute, format="s16", layout="mono")
            frame.sample_rate = 8000
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    bomb = (tmp_path / "b.flac").read_bytes()
    assert len(bomb) < 1_000_000
    assert "5 s" in refused(client, "b.flac", bomb)


@pytest.mark.parametrize("claimed_s", [1, 10**9])
def test_a_header_that_lies_about_the_length_does_not_help(client, tmp_path, claimed_s):
    path = write_clip(tmp_path / "l.mkv", n_frames=200, size=(32, 32), sound_s=0)
    content = path.read_bytes()
    place = content.index(b"\x44\x89\x88") + 3  # the element Duration, a double, in ms
    lie = content[:place] + struct.pack(">d", 1e3 * claimed_s) + content[place + 8 :]
    with av.open(io.BytesIO(lie)) as container:
        assert container.duration == 1_000_000 * claimed_s
    assert "5 s" in refused(client, "lie.mkv", lie)


def test_damaged_clips_are_predicted_or_refused(client, clip):
    rng = np.random.default_rng(0)
    for _ in range(8):
        content = bytearray(clip)
        for place in rng.integers(0, len(content), 20):
            content[place] = rng.integers(256)
        content = content[: rng.integers(len(content) // 2, len(content))]
        reply = client.post("/predict", files={"file": ("damaged.mp4", bytes(content))})
        assert reply.status_code in (200, 422), reply.text


def test_many_frames_in_one_picture_file(client):
    """An animation of a thousand frames within a few bytes each."""
    file = io.BytesIO()
    pages = [Image.new("P", (8, 8), k % 256) for k in range(1000)]
    pages[0].save(file, "GIF", save_all=True, append_images=pages[1:], duration=20)
    assert "5 s" in refused(client, "many.gif", file.getvalue())
