"""Faces are compared with a neutral one: what changed, and where."""

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from features.encoders.base import FrameEncoder
from features.encoders.weights import weights_file
from features.media.faces import FaceDetection, FaceFinder
from pipeline.demo.face import draw_picture
from pipeline.demo.rules import FACE_CUES, RULES, draw_person

ALL_CUES = [*FACE_CUES, "speech"]
PERSON = dataclasses.replace(draw_person(0, np.random.default_rng(0)), offset=0.0, zoom=1.0)


def draw(person=PERSON, **cues):
    return draw_picture(person, dict.fromkeys(ALL_CUES, 0.0) | cues).astype(float)


@pytest.mark.parametrize("name", ALL_CUES)
def test_every_cue_is_seen(name):
    assert np.abs(draw(**{name: 1.0}) - draw()).max() > 25


def test_people_differ_and_nobody_is_in_an_empty_room():
    rng = np.random.default_rng(1)
    pictures = [draw(draw_person(number, rng)) for number in range(5)]
    for one, other in itertools.pairwise(pictures):
        assert np.abs(one - other).mean() > 5
    assert (draw_picture(PERSON, None) == PERSON.wall).all()


def test_a_real_detector_finds_the_faces():
    weights = weights_file(FrameEncoder.model_fields["face_weights"].default)
    finder = FaceFinder(FaceDetection(weights=weights, min_score=0.6))
    rng = np.random.default_rng(2)
    found = [
        finder.find(Image.fromarray(draw(person, **rule.face).astype(np.uint8)))
        for person in (draw_person(number, rng) for number in range(8))
        for rule in RULES.values()
    ]
    assert np.mean([len(faces) for faces in found]) > 0.9
