import base64
import io

from PIL import Image

from pipeline.report.page import thumbnails


def test_a_picture_is_small_and_a_broken_or_missing_file_has_none(tmp_path):
    Image.new("RGB", (640, 480), (200, 30, 30)).save(tmp_path / "a.png")
    (tmp_path / "b.mp4").write_bytes(b"no media")
    files = {name: (tmp_path / name, 0.0) for name in ("a.png", "b.mp4", "c.mp4")}
    found = thumbnails(files)
    assert set(found) == {"a.png"}
    kind, content = found["a.png"].split(",")
    assert kind == "data:image/jpeg;base64"
    with Image.open(io.BytesIO(base64.b64decode(content))) as picture:
        assert picture.size == (192, 144)
        red, green, _ = picture.getpixel((90, 70))
    assert red > 150 > 100 > green
