"""Frames come out as a player shows them: right values by formulas, NumPy and Pillow."""

import io
import struct
from fractions import Fraction

import av
import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from features.errors import MediaError
from features.media.files import probe
from features.media.frames import read_frames
from tests.features.heic import write_heic

BT601, BT709, BT2020 = (0.299, 0.114), (0.2126, 0.0722), (0.2627, 0.0593)  # red's and blue's share
SMPTE240M, FCC = (0.212, 0.087), (0.30, 0.11)
COLOUR = (110, 90, 170)  # Y, Cb, Cr in 8 bits


def write_plain(path, levels, size=(64, 48), pixels="yuv444p", codec="ffv1", aspect=None, **tags):
    """Write three frames of one colour, given as Y, Cb and Cr."""
    with av.open(path, "w") as container:
        stream = container.add_stream(codec, rate=10)
        stream.width, stream.height, stream.pix_fmt = *size, pixels
        for name, value in tags.items():
            setattr(stream.codec_context, name, value)
        if aspect:
            stream.codec_context.sample_aspect_ratio = aspect
        for k in range(3):
            frame = av.VideoFrame(*size, pixels)
            depth = "<u2" if "10" in pixels else "u1"
            for plane, level in zip(frame.planes, levels, strict=True):
                n_levels = plane.buffer_size // np.dtype(depth).itemsize
                plane.update(np.full(n_levels, level, depth).tobytes())
            for name, value in tags.items():
                setattr(frame, name, value)
            frame.pts = k
            container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    return path


def first_picture(path):
    return np.asarray(next(iter(read_frames(path, 3))).image).astype(int)


def to_rgb(levels, matrix, full=False, depth=8):
    """Follow ITU-T H.273."""
    scale = 2 ** (depth - 8)
    y, cb, cr = (level / scale for level in levels)
    kr, kb = matrix
    y, cb, cr = (
        (y / 255, (cb - 128) / 255, (cr - 128) / 255)
        if full
        else ((y - 16) / 219, (cb - 128) / 224, (cr - 128) / 224)
    )
    red, blue = y + 2 * (1 - kr) * cr, y + 2 * (1 - kb) * cb
    green = (y - kr * red - kb * blue) / (1 - kr - kb)
    return np.clip(255 * np.array([red, green, blue]), 0, 255)


@pytest.mark.parametrize(
    ("tag", "matrix"),
    [(1, BT709), (4, FCC), (5, BT601), (6, BT601), (7, SMPTE240M), (9, BT2020)],
)
@pytest.mark.parametrize("color_range", [1, 2])
def test_tagged_colours(tmp_path, tag, matrix, color_range):
    tags = {"colorspace": tag, "color_range": color_range}
    path = write_plain(tmp_path / "clip.mkv", COLOUR, **tags)
    right = to_rgb(COLOUR, matrix, full=color_range == 2)
    assert first_picture(path)[20, 20] == pytest.approx(right, abs=3)


@pytest.mark.parametrize(
    ("size", "matrix"),
    [
        ((640, 480), BT601),
        ((720, 576), BT601),
        ((1280, 720), BT709),
        ((720, 1280), BT709),
        ((1920, 800), BT709),
    ],
)
def test_untagged_colours_are_those_of_hd_from_720_lines_on(tmp_path, size, matrix):
    path = write_plain(tmp_path / "clip.mkv", COLOUR, size)
    assert first_picture(path)[20, 20] == pytest.approx(to_rgb(COLOUR, matrix), abs=3)


@pytest.mark.parametrize("pixels", ["yuv420p10le", "yuv444p10le", "yuv422p10le"])
def test_ten_bits_are_the_colours_of_eight(tmp_path, pixels):
    levels = tuple(4 * level for level in COLOUR)
    path = write_plain(tmp_path / "clip.mkv", levels, pixels=pixels, colorspace=1)
    assert first_picture(path)[20, 20] == pytest.approx(to_rgb(COLOUR, BT709), abs=3)


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
def test_hdr_is_shown_as_bright_as_it_is_up_to_white(tmp_path, nits, transfer, curve):
    levels = (round(64 + 876 * curve(nits)), 512, 512)
    tags = {"colorspace": 9, "color_range": 1, "color_primaries": 9, "color_trc": transfer}
    path = write_plain(tmp_path / "clip.mkv", levels, pixels="yuv420p10le", **tags)
    right = srgb(min(nits / 203, 1))
    assert first_picture(path)[20, 20] == pytest.approx([right] * 3, abs=3)


@pytest.mark.parametrize("primaries", [9, 12])
def test_a_wide_gamut_is_brought_to_srgb(tmp_path, primaries):
    """Grey stays; a red that sRGB can show is more saturated by its numbers than in the file."""
    tags = {"colorspace": 1, "color_range": 1, "color_primaries": primaries, "color_trc": 1}
    grey = write_plain(tmp_path / "grey.mkv", (126, 128, 128), **tags)
    assert first_picture(grey)[20, 20] == pytest.approx([128] * 3, abs=2)
    coded = to_rgb(COLOUR, BT709) / 255
    light = np.where(coded < 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    right = np.linalg.inv(XYZ[1]) @ XYZ[primaries] @ light
    shown = first_picture(write_plain(tmp_path / "red.mkv", COLOUR, **tags))[20, 20]
    assert shown == pytest.approx([srgb(min(max(each, 0), 1)) for each in right], abs=4)


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


@pytest.mark.parametrize(
    ("size", "aspect", "shown"),
    [
        ((720, 576), (16, 15), (768, 576)),
        ((720, 480), (8, 9), (720, 540)),
        ((1440, 1080), (4, 3), (1920, 1080)),
        ((64, 48), (255, 1), (64, 48)),  # nonsense
        ((64, 48), (1, 1), (64, 48)),
        ((64, 48), None, (64, 48)),
    ],
)
@pytest.mark.parametrize("name", ["clip.mkv", "clip.mp4"])
def test_pixels_are_square(tmp_path, name, size, aspect, shown):
    form = {"codec": "mpeg4", "pixels": "yuv420p", "aspect": aspect and Fraction(*aspect)}
    path = write_plain(tmp_path / name, COLOUR, size, **form)
    assert first_picture(path).shape == (shown[1], shown[0], 3)


QUARTERS = np.zeros((32, 48, 3), np.uint8)
QUARTERS[:16, :24], QUARTERS[:16, 24:] = (250, 0, 0), (0, 250, 0)
QUARTERS[16:, :24], QUARTERS[16:, 24:] = (0, 0, 250), (250, 250, 250)


@pytest.mark.parametrize("ending", ["jpg", "png", "webp", "tif", "avif"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientations_of_pictures(tmp_path, ending, orientation):
    exif = Image.Exif()
    exif[0x112] = orientation
    path = tmp_path / f"still.{ending}"
    quality = {} if ending in {"png", "tif"} else {"quality": 95}
    Image.fromarray(QUARTERS).save(path, exif=exif, **quality)
    right = np.asarray(ImageOps.exif_transpose(Image.open(path)).convert("RGB"), int)
    assert first_picture(path).shape == right.shape
    assert np.abs(first_picture(path) - right).max() < 3


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
    path = tmp_path / name
    with av.open(path, "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 48, 32, "yuv444p"
        stream.set_display_matrix([a, b, 0, c, d, 0, 0, 0, 2**30])
        container.mux(stream.encode(av.VideoFrame.from_ndarray(QUARTERS, format="rgb24")))
        container.mux(stream.encode(None))
    right = Image.fromarray(QUARTERS)
    right = np.asarray(right if turn is None else right.transpose(turn), int)
    shown = first_picture(path)
    assert shown.shape == right.shape
    assert np.mean(np.abs(shown - right)) < 5


@pytest.mark.parametrize(("turns", "mirror"), [(t, m) for t in range(4) for m in (None, 0, 1)])
def test_pictures_made_of_tiles(tmp_path, turns, mirror):
    down, across = np.mgrid[:100, :150]
    picture = np.dstack([across, 2 * down, across + down]).astype(np.uint8)
    path = write_heic(tmp_path / "phone.heic", picture, turns=turns, mirror=mirror)
    assert (probe(path).has_video, probe(path).duration_s) == (True, None)
    right = np.rot90(picture, turns)
    right = right if mirror is None else np.flip(right, mirror)
    assert first_picture(path).shape == right.shape
    assert np.abs(first_picture(path) - right).max() < 6


@pytest.mark.parametrize(("ending", "mode"), [("png", "RGBA"), ("png", "P"), ("webp", "RGBA")])
def test_transparent_pictures_are_on_white(tmp_path, ending, mode):
    path = tmp_path / f"sticker.{ending}"
    pixels = np.zeros((20, 30, 4), np.uint8)
    pixels[:, :10] = (200, 0, 0, 255)
    pixels[:, 10:20] = (200, 0, 0, 128)  # half
    image = Image.fromarray(pixels)
    image = image.quantize(4) if mode == "P" else image
    image.save(path, **({"lossless": True} if ending == "webp" else {}))
    shown = first_picture(path)
    assert shown[5, 5] == pytest.approx([200, 0, 0], abs=2)
    assert shown[5, 25].tolist() == [255] * 3
    assert shown[5, 15] == pytest.approx([227, 127, 127], abs=3)


@pytest.mark.parametrize("ending", ["gif", "png", "webp"])
def test_animated_pictures_by_their_exact_times(tmp_path, ending):
    path = tmp_path / f"reaction.{ending}"
    first, *others = (Image.new("RGB", (32, 32), (level,) * 3) for level in (0, 100, 200))
    first.save(path, save_all=True, append_images=others, duration=[100, 200, 300])
    frames = list(read_frames(path, 100))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.3])
    assert [np.mean(frame.image) for frame in frames] == pytest.approx([0, 100, 200], abs=3)


@pytest.mark.parametrize(
    ("ending", "picture"),
    [
        ("png", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
        ("tif", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
        ("jpg", Image.new("CMYK", (9, 9), (99, 99, 99, 0))),
        ("bmp", Image.new("L", (9, 9), 156)),
        ("jp2", Image.new("RGB", (32, 32), (156,) * 3)),
        ("ppm", Image.new("RGB", (9, 9), (156,) * 3)),
    ],
)
def test_grey_is_grey_in_every_form(tmp_path, ending, picture):
    path = tmp_path / f"grey.{ending}"
    picture.save(path)
    assert first_picture(path)[4, 4] == pytest.approx([156] * 3, abs=2)


def test_pictures_in_the_colours_of_a_phone_s_camera_are_brought_to_srgb(tmp_path):
    profile = ImageCms.ImageCmsProfile(io.BytesIO(_display_p3()))
    path = tmp_path / "phone.jpg"
    Image.new("RGB", (16, 16), (200, 80, 60)).save(path, quality=100, icc_profile=profile.tobytes())
    coded = np.array([200, 80, 60]) / 255
    light = XYZ[12] @ ((coded + 0.055) / 1.055) ** 2.4
    right = [srgb(min(max(each, 0), 1)) for each in np.linalg.solve(XYZ[1], light)]
    assert first_picture(path)[8, 8] == pytest.approx(right, abs=4)


def _display_p3():
    """Return a small ICC profile: primaries of P3, adapted to D50, and the curve of sRGB."""
    bradford = np.array(
        [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
    )
    d50, d65 = np.array([0.9642, 1, 0.8249]), np.array([0.9505, 1, 1.0891])
    adapt = np.linalg.inv(bradford) @ np.diag(bradford @ d50 / (bradford @ d65)) @ bradford

    def fixed(*values):
        return struct.pack(f">{len(values)}i", *(round(65536 * value) for value in values))

    curve = b"para" + bytes(4) + struct.pack(">HH", 3, 0)
    curve += fixed(2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
    text = b"desc" + bytes(4) + struct.pack(">I", 3) + b"P3\0" + bytes(80)
    tags = {b"desc": text, b"wtpt": b"XYZ " + bytes(4) + fixed(*d50)}
    for name, column in zip((b"r", b"g", b"b"), (adapt @ XYZ[12]).T, strict=True):
        tags[name + b"XYZ"] = b"XYZ " + bytes(4) + fixed(*column)
        tags[name + b"TRC"] = curve
    table, data = struct.pack(">I", len(tags)), b""
    for name, content in tags.items():
        content += bytes(-len(content) % 4)
        table += struct.pack(">4sII", name, 128 + 4 + 12 * len(tags) + len(data), len(content))
        data += content
    head = struct.pack(
        ">I4sI4s4s4s",
        132 + len(table) - 4 + len(data),
        b"none",
        0x02400000,
        b"mntr",
        b"RGB ",
        b"XYZ ",
    )
    head += bytes(12) + b"acsp" + bytes(28) + fixed(*d50) + bytes(48)
    return head + table + data


def test_of_interlaced_pictures_one_field_is_shown(tmp_path):
    """Lines of two moments would stand between each other."""
    path = tmp_path / "camera.mp4"
    moment, later = np.zeros((96, 96, 3), np.uint8), np.full((96, 96, 3), 200, np.uint8)
    woven = moment.copy()
    woven[1::2] = later[1::2]
    with av.open(path, "w") as container:
        stream = container.add_stream("mpeg4", rate=10)
        stream.width, stream.height, stream.pix_fmt = 96, 96, "yuv420p"
        stream.options = {"flags": "+ildct+ilme", "qscale": "1"}
        frame = av.VideoFrame.from_ndarray(woven, format="rgb24")
        container.mux(stream.encode(frame))
        container.mux(stream.encode(None))
    with av.open(path) as container:
        assert next(container.decode(video=0)).interlaced_frame
    shown = first_picture(path)
    assert shown.shape == (96, 96, 3)
    assert np.abs(np.diff(shown[10:-10].astype(int), axis=0)).max() < 20


@pytest.mark.parametrize(
    ("which", "expected"), [("default", 60), ("largest", 120), ("not the cover", 120)]
)
def test_of_several_pictures_the_one_is_shown_that_a_player_shows(tmp_path, which, expected):
    path = tmp_path / "several.mkv"
    levels, sizes = [60, 120], [(48, 32), (96, 64)]
    with av.open(path, "w") as container:
        for k, size in enumerate(sizes):
            stream = container.add_stream("ffv1", rate=10)
            stream.width, stream.height, stream.pix_fmt = *size, "yuv444p"
            if which == "default" and k == 0:
                stream.disposition = av.stream.Disposition.default
            if which == "not the cover" and k == 0:
                stream.disposition = av.stream.Disposition.attached_pic
        for k, level in enumerate(levels):
            stream = container.streams[k]
            picture = np.full((sizes[k][1], sizes[k][0], 3), level, np.uint8)
            frame = av.VideoFrame.from_ndarray(picture, format="rgb24")
            container.mux(stream.encode(frame))
            container.mux(stream.encode(None))
    assert first_picture(path).mean() == pytest.approx(expected, abs=3)
