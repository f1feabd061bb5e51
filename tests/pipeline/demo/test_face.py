"""Faces are compared with a neutral one: what changed, where, and which way."""

import dataclasses

import numpy as np
import pytest
from PIL import Image

from pipeline.demo.cues import MOVEMENTS, Movements
from pipeline.demo.face import draw_face
from pipeline.demo.people import HAIR_STYLES, draw_people

SIZE = 192
ROOM = Image.new("RGB", (SIZE, SIZE), (0, 0, 255))
# Found when the movement is acted out over time, not in a single drawing.
ACTED = {"bob", "tremble"}


@pytest.fixture(scope="module")
def person():
    plain = draw_people(16, np.random.default_rng(0))[0]
    look = dataclasses.replace(
        plain.look, hair_style="bald", glasses=False, beard=False, moustache=False, freckles=False
    )
    camera = dataclasses.replace(plain.camera, offset_x=0.0, offset_y=0.0, zoom=1.0)
    return dataclasses.replace(plain, look=look, camera=camera)


def draw(person, **movements):
    return np.asarray(draw_face(ROOM, person, Movements(**movements)), dtype=float)


def changed_rows(person, **movements):
    """Rows of the picture that differ from the neutral face, as shares of its height."""
    difference = np.abs(draw(person, **movements) - draw(person)).sum(axis=2)
    return np.nonzero(difference.max(axis=1) > 30)[0] / SIZE


def left_edge_of_head(picture):
    """First column of each row that is not room."""
    return (picture[:, :, 2] < 250).argmax(axis=1)


@pytest.mark.parametrize("name", [name for name in MOVEMENTS if name not in ACTED])
def test_every_movement_is_seen(person, name):
    assert np.abs(draw(person, **{name: 1.0}) - draw(person)).max() > 40


@pytest.mark.parametrize("name", ["brow_lower", "brow_outer_raise", "lid_raise", "blink", "squint"])
def test_upper_movements_leave_the_mouth_alone(person, name):
    assert changed_rows(person, **{name: 1.0}).max() < 0.6


@pytest.mark.parametrize("name", ["smile", "corner_down", "mouth_open", "lip_press", "speech"])
def test_lower_movements_leave_eyes_and_brows_alone(person, name):
    assert changed_rows(person, **{name: 1.0}).min() > 0.48


def test_the_open_mouth_is_dark_and_grows_with_the_movement(person):
    dark = [
        (draw(person, mouth_open=amount)[110:150, 70:122].max(axis=2) < 100).sum()
        for amount in (0.0, 0.5, 1.0)
    ]
    assert dark[0] < dark[1] < dark[2]


def test_a_closed_eye_shows_no_white(person):
    def white(picture):
        return (picture[60:100].min(axis=2) > 245).sum()

    assert white(draw(person)) > 30
    assert white(draw(person, blink=1.0)) < 5


def test_queasy_turns_the_skin_green_and_blush_red(person):
    forehead = (slice(45, 52), slice(90, 102))
    neutral = draw(person)[forehead].mean(axis=(0, 1))
    queasy = draw(person, queasy=1.0)[forehead].mean(axis=(0, 1))
    flushed = draw(person, blush=1.0)[forehead].mean(axis=(0, 1))
    assert queasy[1] - queasy[0] > neutral[1] - neutral[0] + 10
    assert flushed[0] - flushed[1] > neutral[0] - neutral[1] + 10


def test_the_head_tilts_to_the_side_asked_for(person):
    row = SIZE // 3
    neutral = left_edge_of_head(draw(person))[row]
    assert left_edge_of_head(draw(person, head_tilt=1.0))[row] > neutral
    assert left_edge_of_head(draw(person, head_tilt=-1.0))[row] < neutral


def test_a_head_that_draws_back_is_smaller(person):
    def width(picture):
        return (picture[SIZE // 3, :, 2] < 250).sum()

    assert width(draw(person, head_back=1.0)) < width(draw(person)) - 5


@pytest.mark.parametrize("style", HAIR_STYLES)
def test_every_hair_style_can_be_drawn_and_looks_its_own(person, style):
    look = dataclasses.replace(person.look, hair_style=style)
    picture = draw(dataclasses.replace(person, look=look))
    assert picture.shape == (SIZE, SIZE, 3)
    if style != "bald":
        assert np.abs(picture - draw(person)).max() > 40


def test_accessories_are_seen(person):
    for name in ("glasses", "beard", "moustache", "earrings", "freckles"):
        look = dataclasses.replace(person.look, **{name: True, "hair": (20, 20, 20)})
        bare = dataclasses.replace(person.look, **{name: False, "hair": (20, 20, 20)})
        with_it = draw(dataclasses.replace(person, look=look))
        without = draw(dataclasses.replace(person, look=bare))
        assert np.abs(with_it - without).max() > 30, name
