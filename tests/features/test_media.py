import itertools
import zlib
from pathlib import Path

import av
import numpy as np
import pytest
from PIL import Image

from features.media import MediaError, check_duration, probe, read_frames
from features.sound import read_sound
from tests.features.mp4_patches import PATCHES
from tests.features.odd_media import Film, png, write_film


def brightness(image: Image.Image) -> float:
    return float(np.asarray(image).mean())


def test_probe_reads_the_header(make_clip):
    info = probe(make_clip(n_frames=20, frame_rate_hz=10, sound_s=2.0))
    assert info.has_video
    assert info.has_audio
    assert info.frame_rate_hz == pytest.approx(10)
    assert info.duration_s == pytest.approx(2.0, abs=0.1)


def test_a_sound_file_is_a_clip_without_video(make_clip):
    path = make_clip("voice.m4a", n_frames=0)
    info = probe(path)
    assert (info.has_video, info.has_audio) == (False, True)
    with pytest.raises(MediaError, match="no video") as caught:
        list(read_frames(path, 4))
    assert caught.value.step == "stream"


def test_a_still_image_is_a_clip_of_one_frame(tmp_path):
    path = tmp_path / "face.png"
    Image.new("L", (48, 48), 77).save(path)
    info = probe(path)
    assert (info.has_video, info.has_audio, info.duration_s) == (True, False, None)
    (frame,) = read_frames(path, 4)
    assert frame.time_s == 0
    assert frame.image.mode == "RGB"
    assert brightness(frame.image) == pytest.approx(77, abs=1)


@pytest.mark.parametrize("rate_hz", [1, 2, 3, 5, 10])
def test_frames_are_those_on_screen_at_the_grid_points(make_clip, rate_hz):
    frames = list(read_frames(make_clip(n_frames=30, frame_rate_hz=10, sound_s=0), rate_hz))
    shown = [np.floor(k / rate_hz * 10 + 1e-9) / 10 for k in range(3 * rate_hz)]
    assert [frame.time_s for frame in frames] == pytest.approx(shown)
    grey = [brightness(frame.image) for frame in frames]
    assert all(a < b for a, b in itertools.pairwise(grey))


def test_a_frame_shown_for_long_is_taken_once(make_clip):
    frames = list(read_frames(make_clip(n_frames=3, frame_rate_hz=1, sound_s=0), 10))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 1, 2])


def test_rotation_flags_are_applied(tmp_path):
    path = tmp_path / "turned.jpg"
    image = Image.new("RGB", (40, 20), "white")
    exif = image.getexif()
    exif[0x0112] = 6  # shown turned by 90 degrees
    image.save(path, exif=exif)
    (frame,) = read_frames(path, 1)
    assert frame.image.size == (20, 40)


@pytest.mark.parametrize("rotation", [90, 180, -90])
def test_a_turned_video_is_turned_back(tmp_path, rotation):
    path = tmp_path / "turned.mp4"
    picture = np.zeros((48, 64, 3), np.uint8)
    picture[:, :16] = 255  # white on the left
    with av.open(path, "w") as container:
        video = container.add_stream("libx264", rate=10)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        video.set_display_rotation(rotation)  # counter-clockwise
        container.mux(video.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(video.encode(None))
    (frame,) = read_frames(path, 1)
    expected = np.rot90(picture, rotation // 90)
    assert np.asarray(frame.image) == pytest.approx(expected, abs=30)


@pytest.mark.parametrize(("width", "height"), [(1, 1000), (2000, 2)])
def test_a_picture_with_an_absurd_shape_is_refused(tmp_path, width, height):
    path = tmp_path / "thin.png"
    path.write_bytes(png(width, height, zlib.compress(bytes((width + 1) * height))))
    with pytest.raises(MediaError, match=f"{width} x {height} pixels: longer than 500:1"):
        list(read_frames(path, 1))


@pytest.mark.parametrize(
    ("patch", "reason"),
    [
        ("picture_codec_vide_2054847098", "no decoder for the video stream"),
        ("time_delta_vide_0", "20 frames within 0 s: the time stamps are damaged"),
    ],
)
def test_a_damaged_header_of_the_video_is_noticed_and_spares_the_sound(tmp_path, patch, reason):
    path = write_film(tmp_path / "clip.mp4", Film())
    path.write_bytes(PATCHES[patch].apply(path.read_bytes()))
    with pytest.raises(MediaError, match=reason) as caught:
        list(read_frames(path, 5))
    assert caught.value.step == "decode"
    assert len(read_sound(path, 16000)) == pytest.approx(2 * 16000, rel=0.1)


def test_a_name_with_a_colon_is_no_protocol(make_clip, monkeypatch):
    path = make_clip("12:30.mp4")
    monkeypatch.chdir(path.parent)
    assert probe(Path("12:30.mp4")).has_video


@pytest.mark.parametrize(
    "content",
    [
        "ffconcat version 1.0\nfile other.mp4\n",
        "ffconcat version 1.0\nfile list.mp4\n",  # itself, and so on without end
        "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXTINF:1,\nother.mp4\n#EXT-X-ENDLIST\n",
    ],
)
@pytest.mark.parametrize("name", ["list.mp4", "list.m3u8"])
def test_what_points_at_other_files_is_no_clip(make_clip, tmp_path, name, content):
    make_clip("other.mp4")
    (tmp_path / name).write_text(content)
    with pytest.raises(MediaError, match="not a media file") as caught:
        probe(tmp_path / name)
    assert caught.value.step == "probe"


def test_a_clip_may_last_as_long_as_allowed(make_clip):
    path = make_clip(n_frames=30, frame_rate_hz=10, sound_s=0)
    check_duration(path, 3.0)
    assert len(list(read_frames(path, 1, max_duration_s=3))) == 3
    with pytest.raises(MediaError, match=r"lasts 3\.0 s, more than 2\.5 s") as caught:
        check_duration(path, 2.5)
    assert caught.value.step == "probe"
    with pytest.raises(MediaError, match=r"last more than 2\.5 s") as caught:
        list(read_frames(path, 1, max_duration_s=2.5))
    assert caught.value.step == "decode"


def test_sound_may_last_as_long_as_allowed(make_clip):
    path = make_clip(n_frames=0, sound_s=2)
    read_sound(path, 8000, max_duration_s=2.5)
    with pytest.raises(MediaError, match=r"the sound lasts more than 1 s"):
        read_sound(path, 8000, max_duration_s=1)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(MediaError, match=r"no file .*gone\.mp4") as caught:
        probe(tmp_path / "gone.mp4")
    assert caught.value.step == "read"


@pytest.mark.parametrize("content", [b"", b"not a clip at all", b"\0" * 5000])
def test_what_is_no_media_file_fails_in_probe(tmp_path, content):
    path = tmp_path / "clip.mp4"
    path.write_bytes(content)
    with pytest.raises(MediaError) as caught:
        probe(path)
    assert caught.value.step == "probe"


def test_a_clip_that_lost_most_of_its_frames_is_damaged(make_clip):
    path = make_clip(n_frames=60, frame_rate_hz=30, size=(320, 240), sound_s=0)
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
        start = packets[len(packets) // 4].pos
    content = bytearray(path.read_bytes())
    end = packets[-1].pos + packets[-1].size
    content[start:end] = bytes(end - start)
    path.write_bytes(content)
    with pytest.raises(MediaError, match="damaged|decodes") as caught:
        list(read_frames(path, 4))
    assert caught.value.step == "decode"


def test_the_shared_clips_decode(request):
    folder = Path(request.config.rootpath).parent / "shared" / "clips"
    if not folder.is_dir():
        pytest.skip("../shared is not there")
    paths = sorted([*folder.glob("*.mp4"), *folder.glob("*.mov")])
    assert len(paths) == 10
    for path in paths:
        duration_s = probe(path).duration_s
        assert duration_s is not None
        frames = list(read_frames(path, 1))
        assert abs(len(frames) - duration_s) <= 1.5
