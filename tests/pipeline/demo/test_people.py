from collections import Counter

import numpy as np

from pipeline.demo.people import COUNTRIES, HAIR_STYLES, draw_people


def test_the_same_seed_gives_the_same_people():
    assert draw_people(16, np.random.default_rng(3)) == draw_people(16, np.random.default_rng(3))


def test_people_differ_in_look_voice_camera_and_light():
    people = draw_people(16, np.random.default_rng(0))
    for trait in ("person_id", "look", "voice", "camera", "light"):
        assert len({getattr(person, trait) for person in people}) == 16, trait


def test_palettes_are_dealt_out_evenly():
    people = draw_people(2 * len(HAIR_STYLES), np.random.default_rng(0))
    assert set(Counter(person.look.hair_style for person in people).values()) == {2}
    assert set(Counter(person.country for person in people)) == set(COUNTRIES)


def test_low_and_high_voices_come_in_equal_numbers():
    people = draw_people(16, np.random.default_rng(0))
    assert sum(person.voice.pitch_hz < 150 for person in people) == 8
