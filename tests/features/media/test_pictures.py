"""Frames come out as a player shows them: right values by formulas, NumPy and Pillow."""

from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image

from features.errors import MediaError
from tests.features.odd_media import QUARTERS, Film, first_picture, write_film
from tests.media import video, write_media

BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)  # red's and blue's share
SMPTE240M, FCC = (0.212, 0.087), (0.30, 0.11)
COLOUR = (110, 90, 170)  # Y, Cb, Cr in 8 bits


def write_plain(path, levels, size=(64, 48), pixels="yuv444p", codec="ffv1", aspect=None, **tags):
    """Write three frames of one colour, given as Y, Cb and Cr."""
    stream = video([np.zeros((*size[::-1], 3), np.uint8)], codec, pixels=pixels)
    frames = [av.VideoFrame(*size, pixels) for _ in range(3)]
    depth = "<u2" if "10" in pixels else "u1"
    for k, frame in enumerate(frames):
        frame.pts = k
        for plane, level in zip(frame.planes, levels, strict=True):
            n_levels = plane.buffer_size // np.dtype(depth).itemsize
            plane.update(np.full(n_levels, level, depth).tobytes())
        for name, value in tags.items():
            setattr(frame, name, value)
    if aspect:
        tags["sample_aspect_ratio"] = Fraction(*aspect)
    return write_media(path, stream._replace(frames=frames, said=stream.said | tags))


def to_rgb(levels, matrix, full=False):
    """Follow ITU-T H.273."""
    y, cb, cr = levels
    kr, kb = matrix
    of_luma, of_colour, black = (255, 255, 0) if full else (219, 224, 16)
    y, cb, cr = (y - black) / of_luma, (cb - 128) / of_colour, (cr - 128) / of_colour
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(255 * np.array([red, green, blue]), 0, 255)


TAGGED = {1: BT709, 4: FCC, 5: BT601, 6: BT601, 7: SMPTE240M, 9: BT2020}
UNTAGGED = {(640, 480): BT601, (720, 576): BT601, (1278, 718): BT601}  # HD from 1280 x 720 on
UNTAGGED |= {(1280, 720): BT709, (720, 1280): BT709, (1280, 536): BT709}
SMALL, PIXELS = (64, 48), "yuv444p"


@pytest.mark.parametrize(
    ("matrix", "size", "pixels", "tags"),
    [
        *((m, SMALL, PIXELS, {"colorspace": t, "color_range": 1}) for t, m in TAGGED.items()),
        *((m, SMALL, PIXELS, {"colorspace": t, "color_range": 2}) for t, m in TAGGED.items()),
        *((m, size, PIXELS, {}) for size, m in UNTAGGED.items()),
        *((BT709, SMALL, f"yuv{k}p10le", {"colorspace": 1}) for k in (420, 422, 444)),
    ],
)
def test_colours_are_of_their_tags_or_of_the_size(tmp_path, matrix, size, pixels, tags):
    levels = tuple(4 * level for level in COLOUR) if "10" in pixels else COLOUR
    path = write_plain(tmp_path / "clip.mkv", levels, size, pixels, **tags)
    right = to_rgb(COLOUR, matrix, full=tags.get("color_range") == 2)
    assert first_picture(path)[20, 20] == pytest.approx(right, abs=3)


def test_colours_of_a_matrix_that_cannot_be_read_are_said(tmp_path):
    path = write_plain(tmp_path / "clip.mkv", COLOUR, colorspace=8)
    with pytest.raises(MediaError, match="matrix 8 of ITU-T H.273"):
        first_picture(path)


def pq(nits):
    m1, m2, c1, c2, c3 = 2610 / 16384, 2523 / 32, 3424 / 4096, 2413 / 128, 2392 / 128
    power = (nits / 10_000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(nits):
    """What a screen of 1,000 cd/m2 shows as this bright."""
    scene = (nits / 1000) ** (1 / 1.2)
    if scene <= 1 / 12:
        return np.sqrt(3 * scene)
    return 0.17883277 * np.log(12 * scene - 0.28466892) + 0.55991073


def srgb(light):
    return 255 * (12.92 * light if light < 0.0031308 else 1.055 * light ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("nits", [0, 2, 20, 50, 100, 203, 400, 1000])
@pytest.mark.parametrize(("transfer", "curve"), [(16, pq), (18, hlg)])
@pytest.mark.parametrize(("name", "codec"), [("clip.mkv", "ffv1"), ("still.avif", "libsvtav1")])
def test_hdr_is_shown_as_bright_as_it_is_up_to_white(tmp_path, nits, transfer, curve, name, codec):
    levels = (round(64 + 876 * curve(nits)), 512, 512)
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    path = write_plain(tmp_path / name, levels, pixels="yuv420p10le", codec=codec, **tags)
    right = srgb(min(nits / 203, 1))
    assert first_picture(path)[20, 20] == pytest.approx([right] * 3, abs=3)


def _to_xyz(red, green, blue, white=(0.3127, 0.3290)):
    """Return the matrix from linear RGB to XYZ of these chromaticities."""
    primaries = np.array([[x / y, 1, (1 - x - y) / y] for x, y in (red, green, blue)]).T
    x, y = white
    return primaries * np.linalg.solve(primaries, [x / y, 1, (1 - x - y) / y])


XYZ = {
    1: _to_xyz((0.64, 0.33), (0.30, 0.60), (0.15, 0.06)),
    9: _to_xyz((0.708, 0.292), (0.170, 0.797), (0.131, 0.046)),
    12: _to_xyz((0.680, 0.320), (0.265, 0.690), (0.150, 0.060)),
}


@pytest.mark.parametrize("primaries", [9, 12])
def test_a_wide_gamut_is_brought_to_srgb(tmp_path, primaries):
    """Grey stays; a red that sRGB can show is more saturated by its numbers than in the file."""
    tags = {"colorspace": 1, "color_range": 1, "color_primaries": primaries, "color_trc": 1}
    for levels in ((126, 128, 128), COLOUR):
        coded = to_rgb(levels, BT709) / 255
        light = np.where(coded < 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
        right = np.linalg.solve(XYZ[1], XYZ[primaries] @ light)
        shown = first_picture(write_plain(tmp_path / "clip.mkv", levels, **tags))[20, 20]
        assert shown == pytest.approx([srgb(min(max(each, 0), 1)) for each in right], abs=4)


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((720, 576), (16, 15), (768, 576)),
        ((720, 480), (8, 9), (720, 540)),
        ((1440, 1080), (4, 3), (1920, 1080)),
        ((64, 48), (4, 1), (256, 48)),
        ((64, 48), (9, 2), (64, 48)),  # damage
        ((64, 48), (255, 1), (64, 48)),
        ((64, 48), None, (64, 48)),
    ],
)
@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_pixels_are_square(tmp_path, name, size, aspect, shown):
    form = {"codec": "mpeg4", "pixels": "yuv420p", "aspect": aspect}
    path = write_plain(tmp_path / name, COLOUR, size, **form)
    assert first_picture(path).shape == (shown[1], shown[0], 3)


ONE = 65536


@pytest.mark.parametrize(
    ("matrix", "turn"),
    [
        ((ONE, 0, 0, ONE), None),
        ((-ONE, 0, 0, ONE), Image.Transpose.FLIP_LEFT_RIGHT),
        ((ONE, 0, 0, -ONE), Image.Transpose.FLIP_TOP_BOTTOM),
        ((-ONE, 0, 0, -ONE), Image.Transpose.ROTATE_180),
        ((0, ONE, ONE, 0), Image.Transpose.TRANSPOSE),
        ((0, ONE, -ONE, 0), Image.Transpose.ROTATE_270),
        ((0, -ONE, ONE, 0), Image.Transpose.ROTATE_90),
        ((0, -ONE, -ONE, 0), Image.Transpose.TRANSVERSE),
        ((0, 2 * ONE, -2 * ONE, 0), Image.Transpose.ROTATE_270),
        ((0, 0, 0, 0), None),
        ((ONE, ONE, ONE, ONE), None),
        ((46341, 46341, -46341, 46341), None),  # half way: no player turns it
    ],
)
@pytest.mark.parametrize("name", ["clip.mp4", "clip.mov"])
def test_display_matrices_of_videos(tmp_path, name, matrix, turn):
    a, b, c, d = matrix
    said = {"set_display_matrix": [a, b, 0, c, d, 0, 0, 0, 2**30]}
    shown = first_picture(write_media(tmp_path / name, video([QUARTERS], pixels="yuv444p", **said)))
    right = Image.fromarray(QUARTERS)
    right = np.asarray(right if turn is None else right.transpose(turn), int)
    assert shown.shape == right.shape
    assert np.mean(np.abs(shown - right)) < 5


def test_of_interlaced_pictures_one_field_is_shown(tmp_path):
    """Lines of two moments would stand between each other."""
    woven = np.zeros((96, 96, 3), np.uint8)
    woven[1::2] = 200
    options = {"flags": "+ildct+ilme", "qscale": "1"}
    path = write_media(tmp_path / "camera.mp4", video([woven], "mpeg4", options=options))
    with av.open(path) as container:
        assert next(container.decode(video=0)).interlaced_frame
    shown = first_picture(path)
    assert shown.shape == (96, 96, 3)
    assert np.abs(np.diff(shown[10:-10].astype(int), axis=0)).max() < 20


@pytest.mark.parametrize(
    ("first", "expected"), [("default", 60), (None, 120), ("attached_pic", 120)]
)
def test_of_several_pictures_the_one_is_shown_that_a_player_shows(tmp_path, first, expected):
    small, large = np.full((32, 48, 3), 60, np.uint8), np.full((64, 96, 3), 120, np.uint8)
    said = {"disposition": getattr(av.stream.Disposition, first)} if first else {}
    form = {"codec": "ffv1", "pixels": "yuv444p"}
    streams = video([small], **form, **said), video([large], **form)
    path = write_media(tmp_path / "several.mkv", *streams)
    assert first_picture(path).mean() == pytest.approx(expected, abs=3)


def test_moving_pictures_are_shown_before_a_larger_still_one(tmp_path):
    said = {"codec": "mpeg4", "disposition": av.stream.Disposition.default}
    streams = (
        video([np.full((side, side, 3), level, np.uint8)] * n_frames, **said)
        for side, level, n_frames in ((96, 60, 1), (48, 120, 3))
    )
    path = write_media(tmp_path / "both.mp4", *streams)
    assert first_picture(path).mean() == pytest.approx(120, abs=3)


def test_the_filling_of_raw_pixels_is_no_transparency(tmp_path):
    path = write_plain(tmp_path / "screen.avi", [0], pixels="bgra", codec="rawvideo")
    assert first_picture(path).max() == 0


def test_transparency_in_vp9_is_not_handled(tmp_path):
    path, pixels, levels = tmp_path / "sticker.webm", "yuva420p", (150, 128, 128, 0)
    write_plain(path, levels, pixels=pixels, codec="libvpx-vp9")
    assert first_picture(path).mean() == pytest.approx(to_rgb(levels[:3], BT601)[0], abs=2)


@pytest.mark.parametrize(
    ("name", "codec", "place", "asked"),
    [  # PixelCropLeft in the place of DisplayUnit; a Dolby Vision record, of profile 5
        ("cropped.mkv", "mpeg4", b"\x54\xb2\x81\x04", b"\x54\xcc\x81\x10"),
        ("dolby.mp4", "libx265", b"btrt", b"dvcC\x01\x00\x0a\x0d"),
    ],
)
def test_what_a_container_alone_asks_for_is_not_handled(tmp_path, name, codec, place, asked):
    path = write_film(tmp_path / name, Film(codec=codec, sound_s=0))
    before, (start, rest) = first_picture(path), path.read_bytes().split(place)
    path.write_bytes(start + asked + rest[len(asked) - len(place) :])
    assert np.array_equal(first_picture(path), before)
