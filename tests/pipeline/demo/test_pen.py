import numpy as np
import pytest
from PIL import Image

from pipeline.demo.pen import Pen, bezier, blend, darker

RED = (255, 0, 0)


def painted(image):
    """Mean place (x, y) of the pixels that are no longer black."""
    rows, columns = np.nonzero(np.asarray(image).any(axis=2))
    return columns.mean(), rows.mean()


@pytest.fixture
def image():
    return Image.new("RGB", (100, 100))


def test_shapes_land_where_the_map_says(image):
    Pen(image, (50, 50), 20).ellipse(1, -1, 0.2, 0.2, RED)
    assert painted(image) == pytest.approx((70, 30), abs=1)


def test_a_turned_pen_turns_clockwise(image):
    Pen(image, (50, 50), 20, np.pi / 2).ellipse(1, 0, 0.2, 0.2, RED)
    assert painted(image) == pytest.approx((50, 70), abs=1)


def test_a_flipped_pen_mirrors_around_its_own_origin(image):
    Pen(image, (50, 50), 20).at(-1, 0, flip=True).ellipse(0.5, 0, 0.2, 0.2, RED)
    assert painted(image) == pytest.approx((20, 50), abs=1)


def test_opacity_mixes_with_what_is_there(image):
    pen = Pen(image, (50, 50), 20)
    pen.ellipse(0, 0, 1, 1, RED, opacity=0.5)
    pen.ellipse(0, 0, 1, 1, (0, 0, 255), opacity=0.0)
    red, green, blue = image.getpixel((50, 50))
    assert red == pytest.approx(128, abs=2)
    assert (green, blue) == (0, 0)


def test_a_stroke_is_as_wide_as_asked_and_tapers(image):
    Pen(image, (0, 50), 100).stroke(bezier((0.1, 0), (0.9, 0)), [0.4, 0.1], RED)
    height = (np.asarray(image)[:, :, 0] > 0).sum(axis=0)
    assert height[12] == pytest.approx(40, abs=3)
    assert height[88] == pytest.approx(10, abs=3)


def test_a_bezier_curve_runs_from_its_first_to_its_last_point():
    curve = bezier((0, 0), (1, 5), (2, 0))
    assert curve[0] == pytest.approx((0, 0))
    assert curve[-1] == pytest.approx((2, 0))
    assert curve[:, 1].max() == pytest.approx(2.5)


def test_colours_blend_by_share():
    assert blend((0, 0, 0), (100, 200, 50), 0.5) == (50, 100, 25)
    assert sum(darker((200, 200, 200), 0.3)) < 600
