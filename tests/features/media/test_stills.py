"""Pictures in files of their own are shown as a browser shows them."""

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageOps

from features.errors import MediaError
from features.media.files import probe
from features.media.frames import read_frames
from tests.features.heic import write_heic
from tests.features.odd_media import QUARTERS, first_picture


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


@pytest.mark.parametrize(("turns", "mirror"), [(t, m) for t in range(4) for m in (None, 0, 1)])
@pytest.mark.parametrize("size", [(100, 150), (64, 64)])
def test_pictures_made_of_tiles_or_of_one(tmp_path, turns, mirror, size):
    down, across = np.mgrid[: size[0], : size[1]]
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
    shown = first_picture(path)[5, [5, 25, 15]]
    assert shown == pytest.approx(np.array([[200, 0, 0], [255] * 3, [227, 127, 127]]), abs=3)


@pytest.mark.parametrize("ending", ["gif", "png", "webp", "avif"])
def test_animated_pictures_by_their_exact_times(tmp_path, ending):
    path = tmp_path / f"reaction.{ending}"
    clear = Image.new("RGBA", (16, 32))
    pictures = [Image.new("RGBA", (32, 32), (level, level, level, 255)) for level in (0, 100, 200)]
    for picture in pictures:
        picture.paste(clear, (8, 0))
    pictures[0].save(path, save_all=True, append_images=pictures[1:], duration=[100, 200, 300])
    frames = list(read_frames(path, 100))
    assert [frame.time_s for frame in frames] == pytest.approx([0, 0.1, 0.3])
    assert [np.mean(frame.image) for frame in frames] == pytest.approx([127, 177, 227], abs=3)


def test_a_damaged_picture_is_not_another_one_that_its_name_counts(tmp_path):
    Image.fromarray(QUARTERS).save(tmp_path / "frame0.png")
    (tmp_path / "frame%d.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(99))
    with pytest.raises(MediaError):
        first_picture(tmp_path / "frame%d.png")


@pytest.mark.parametrize(
    ("ending", "picture"),
    [
        ("png", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
        ("tif", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
        ("jpg", Image.new("CMYK", (9, 9), (99, 99, 99, 0))),
        ("bmp", Image.new("L", (9, 9), 156)),
        ("jp2", Image.new("RGB", (32, 32), (156,) * 3)),
        ("ppm", Image.new("RGB", (9, 9), (156,) * 3)),
        ("pgm", Image.fromarray(np.full((9, 9), 40_000, np.uint16))),
    ],
)
def test_grey_is_grey_in_every_form(tmp_path, ending, picture):
    path = tmp_path / f"grey.{ending}"
    picture.save(path)
    assert first_picture(path)[4, 4] == pytest.approx([156] * 3, abs=2)


@pytest.mark.parametrize(("ending", "side_px"), [("jpg", 16), ("heic", 64), ("heic", 100)])
def test_an_icc_profile_is_followed(tmp_path, ending, side_px):
    """Here sRGB with red and blue exchanged."""
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    names = {b"rXYZ": b"rest", b"bXYZ": b"rXYZ", b"rest": b"bXYZ", b"\0s\0R\0G\0B": b"\0B\0G\0R\0s"}
    for name, other in names.items():
        profile = profile.replace(name, other)
    path, picture = tmp_path / f"odd.{ending}", Image.new("RGB", (side_px,) * 2, (200, 80, 60))
    if ending == "heic":
        write_heic(path, np.asarray(picture), profile=profile)
    else:
        picture.save(path, quality=100, icc_profile=profile)
    assert first_picture(path)[8, 8] == pytest.approx([60, 80, 200], abs=3)
