import itertools
import zlib
from collections.abc import Sequence
from fractions import Fraction
from pathlib import Path

import av
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from features.errors import MediaError
from features.media.files import check_duration
from features.media.frames import read_frames
from tests.features.mp4_patches import PATCHES
from tests.features.odd_media import Film, png, read_sound, write_film
from tests.media import video, write_media

MS = Fraction(1, 1000)


def write_stamped(
    path: Path, pts: Sequence[int], time_base: Fraction, durations: Sequence[int] | None = None
) -> Path:
    """Write grey frames with these time stamps, be they in order or not."""

    def stamp(packets: list[av.Packet]) -> list[av.Packet]:
        for k, packet in enumerate(packets):
            packet.time_base, packet.pts, packet.dts = time_base, pts[k], pts[0] + k
            packet.duration = durations[k] if durations else 0
        return packets

    codec, pixels = ("mpeg4", "yuv420p") if path.suffix == ".ts" else ("mjpeg", "yuvj420p")
    pictures = (np.full((48, 64, 3), 5 * k % 255, np.uint8) for k in range(len(pts)))
    rate_hz = 30 if time_base == MS else 1 / time_base
    stream = video(pictures, codec, rate_hz, pixels, time_base=time_base)
    return write_media(path, stream._replace(stamp=stamp))


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("frames")


@settings(max_examples=40)
@given(
    first_ms=st.integers(0, 5000),
    durations_ms=st.lists(st.integers(1, 3000) | st.just(100), min_size=1, max_size=20),
    rate_hz=st.sampled_from([0.1, 1, 2, 3, 10, 24, 29.97, 1000]),
)
def test_frames_are_those_on_screen_at_the_grid_points(folder, first_ms, durations_ms, rate_hz):
    """Whatever the frame rate, be it variable, and wherever the time stamps begin."""
    begins = list(itertools.accumulate(durations_ms, initial=0))
    stamps = [first_ms + each for each in begins[:-1]]
    path = write_stamped(folder / "clip.mp4", stamps, MS, durations_ms)
    points_ms = itertools.count(0, 1000 / Fraction(str(rate_hz)))
    on_screen = (
        max(begin for begin in begins if begin <= point)
        for point in itertools.takewhile(lambda point: point < begins[-1], points_ms)
    )
    times_ms = [1000 * frame.time_s for frame in read_frames(path, rate_hz)]
    assert times_ms == pytest.approx(list(dict.fromkeys(on_screen)))


@pytest.mark.parametrize("rate_hz", [15, 24, 30, 60])
@pytest.mark.parametrize("first", [1, 4, 5, 42])
def test_where_the_time_stamps_begin_changes_no_frame(tmp_path, rate_hz, first):
    pts = [first + k for k in range(2 * rate_hz)]
    path = write_stamped(tmp_path / "clip.ts", pts, Fraction(1, rate_hz))
    times_s = [frame.time_s for frame in read_frames(path, 3)]
    assert times_s == pytest.approx([k / 3 for k in range(6)])


def test_a_frame_whose_time_stamp_goes_back_is_left_out_and_many_are_damage(tmp_path):
    pts = [100 * k for k in range(20)]
    pts[10] = 120
    times_s = [f.time_s for f in read_frames(write_stamped(tmp_path / "clip.mp4", pts, MS), 10)]
    assert times_s == pytest.approx([k / 10 for k in range(20) if k != 10])
    path = write_stamped(tmp_path / "clip.mp4", [0, 33, 350, 2000, 100, 4000], MS)
    with pytest.raises(MediaError, match="^decode: .*only 5 of 6 frames are in the order of time"):
        list(read_frames(path, 3))


@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "libx264"), ("clip.webm", "libvpx")])
def test_a_clip_that_ends_long_before_its_header_says_is_damaged(tmp_path, name, codec):
    film = Film(tuple(k / 10 for k in range(100)), codec=codec, sound_s=0)
    path = write_film(tmp_path / name, film)
    assert len(list(read_frames(path, 1))) == 10
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])
    with pytest.raises(MediaError, match=r"^decode: .*the video ends after .* of 10\.00 s"):
        list(read_frames(path, 1))


@pytest.mark.parametrize("codec", ["mpeg4", "libx264"])
@pytest.mark.parametrize(("name", "first"), [("clip.avi", 0), ("clip.mkv", 0), ("clip.mkv", 5)])
def test_frames_of_two_directions_are_in_order_and_begin_with_a_whole_one(
    tmp_path, codec, name, first
):
    """Also in AVI, which has no times for them, and where the beginning was cut off."""
    pictures = [np.full((48, 64, 3), 20 + 8 * k, np.uint8) for k in range(25)]
    stream = video(pictures, codec, 25, bit_rate=4_000_000, options={"bf": "2", "g": "10"})
    path = write_media(tmp_path / name, stream._replace(stamp=lambda packets: packets[first:]))
    frames = list(read_frames(path, 25))
    assert len(frames) >= (15 if first else 25)
    levels = [frame.image.getpixel((9, 9))[0] for frame in frames]
    assert levels == pytest.approx([20 + 8 * k for k in range(25 - len(frames), 25)], abs=4)
    assert np.diff([frame.time_s for frame in frames]) == pytest.approx(0.04, abs=0.001)


@pytest.mark.parametrize(("width", "height"), [(1, 1000), (2000, 2)])
def test_a_picture_with_an_absurd_shape_is_refused(tmp_path, width, height):
    path = tmp_path / "thin.png"
    path.write_bytes(png(width, height, zlib.compress(bytes((width + 1) * height))))
    with pytest.raises(MediaError, match=f"{width} x {height} pixels: .* longer than 500:1"):
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
    with pytest.raises(MediaError, match=f"^decode: .*{reason}"):
        list(read_frames(path, 5))
    assert len(read_sound(path, 16000)) == pytest.approx(2 * 16000, rel=0.1)


def test_a_clip_may_last_as_long_as_allowed(make_clip):
    path = make_clip(n_frames=30, frame_rate_hz=10, sound_s=0)
    check_duration(path, 3.0)
    assert len(list(read_frames(path, 1, max_duration_s=3))) == 3
    with pytest.raises(MediaError, match=r"^probe: .*lasts 3\.0 s, more than 2\.5 s"):
        check_duration(path, 2.5)
    with pytest.raises(MediaError, match=r"^decode: .*last more than 2\.5 s"):
        list(read_frames(path, 1, max_duration_s=2.5))


def test_a_clip_that_lost_most_of_its_frames_is_damaged(make_clip):
    path = make_clip(n_frames=60, frame_rate_hz=30, size=(320, 240), sound_s=0)
    with av.open(path) as container:
        packets = [packet for packet in container.demux(video=0) if packet.size]
    start, end = packets[15].pos, packets[-1].pos + packets[-1].size
    content = path.read_bytes()
    path.write_bytes(content[:start] + bytes(end - start) + content[end:])
    with pytest.raises(
        MediaError, match="^decode: only 0.50 of 2.00 s of the video decode: .*dama"
    ):
        list(read_frames(path, 4))
