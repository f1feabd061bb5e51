import dataclasses

import numpy as np
import pytest

from pipeline.demo.camera import SUPERSAMPLING, Film, draw_room
from pipeline.demo.people import ROOMS, Camera, Light, draw_people

SIZE = 64


@pytest.fixture(scope="module")
def person():
    plain = draw_people(16, np.random.default_rng(0))[0]
    camera = Camera(offset_x=0, offset_y=0, zoom=1, blur_px=0, noise=0)
    light = Light(gain=1.0, colour=(1.0, 1.0, 1.0), side=0.0)
    return dataclasses.replace(plain, camera=camera, light=light)


def film(person, **light):
    lit = dataclasses.replace(person, light=dataclasses.replace(person.light, **light))
    room = draw_room(lit, SIZE)
    return Film(lit, SIZE).expose(room, np.random.default_rng(0)).astype(float)


def test_every_room_looks_its_own(person):
    rooms = [draw_room(dataclasses.replace(person, room=room), SIZE).tobytes() for room in ROOMS]
    assert len(set(rooms)) == len(ROOMS)


def test_a_frame_is_bytes_of_the_size_asked_for(person):
    room = draw_room(person, SIZE)
    assert room.size == (SIZE * SUPERSAMPLING, SIZE * SUPERSAMPLING)
    frame = Film(person, SIZE).expose(room, np.random.default_rng(0))
    assert frame.shape == (SIZE, SIZE, 3)
    assert frame.dtype == np.uint8


def test_gain_darkens_and_colour_tints(person):
    assert film(person, gain=0.8).mean() == pytest.approx(0.8 * film(person).mean(), rel=0.02)
    warm = film(person, colour=(1.0, 1.0, 0.8))
    assert warm[..., 2].mean() < 0.85 * film(person)[..., 2].mean()
    assert np.array_equal(warm[..., 0], film(person)[..., 0])


def test_side_light_shades_the_other_side(person):
    plain, lit = film(person, gain=0.8), film(person, gain=0.8, side=1.0)
    assert (lit[:, :10] < plain[:, :10]).all()
    assert (lit[:, -10:] > plain[:, -10:]).all()


def test_a_noisy_sensor_makes_frames_differ(person):
    noisy = dataclasses.replace(person, camera=dataclasses.replace(person.camera, noise=3.0))
    room, rng = draw_room(noisy, SIZE), np.random.default_rng(0)
    camera = Film(noisy, SIZE)
    difference = camera.expose(room, rng).astype(float) - camera.expose(room, rng)
    assert difference.std() == pytest.approx(3.0 * 2**0.5, rel=0.1)
