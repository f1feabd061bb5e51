"""What people of the demo feel is seen and heard, beside a neutral face and voice."""

import dataclasses
import itertools

import numpy as np
from PIL import Image

from features.encoders.base import FrameEncoder
from features.encoders.weights import weights_file
from features.media.faces import FaceDetection, FaceFinder
from pipeline.demo.face import draw_picture
from pipeline.demo.rules import (
    EMOTIONS,
    FACE_CUES,
    FACE_RULES,
    FRAME_RATE_HZ,
    VOICE_CUES,
    act,
    draw_intensities,
    draw_person,
)
from pipeline.demo.voice import speak

ALL_FACE_CUES = [*FACE_CUES, "speech"]
PERSON = dataclasses.replace(draw_person(0, np.random.default_rng(0)), offset=0.0, zoom=1.0)


def draw(person=PERSON, **cues):
    return draw_picture(person, dict.fromkeys(ALL_FACE_CUES, 0.0) | cues).astype(float)


def say(**cues):
    table = np.tile([cues.get(name, 0.0) for name in VOICE_CUES], (2 * FRAME_RATE_HZ, 1))
    return speak(PERSON, table, np.random.default_rng(0))[0]


def test_face_and_voice_each_carry_a_part_of_labels_that_are_a_profile_per_clip():
    rng = np.random.default_rng(0)
    labels = draw_intensities(400, rng)
    assert labels.shape == (400, len(EMOTIONS))
    assert labels.min() >= 0
    assert (labels.max(axis=1) == 1).all()
    shown = [act(row, 45, 1.0, rng) for row in labels]
    for side in range(2):
        cues = np.array([each[side][-1] for each in shown])
        fitted = cues @ np.linalg.lstsq(cues, labels - labels.mean(axis=0), rcond=None)[0]
        r = [np.corrcoef(fitted[:, k], labels[:, k])[0, 1] for k in range(len(EMOTIONS))]
        assert np.mean(r) > 0.6


def test_every_cue_is_seen_or_heard():
    face, voice = draw(), say()
    for name in ALL_FACE_CUES:
        assert np.abs(draw(**{name: 1.0}) - face).max() > 25
    for name in VOICE_CUES:
        assert np.abs(say(**{name: 1.0}) - voice).mean() > 0.1 * np.abs(voice).mean()


def test_people_differ_a_real_detector_finds_them_and_nobody_is_in_an_empty_room():
    weights = weights_file(FrameEncoder.model_fields["face_weights"].default)
    finder = FaceFinder(FaceDetection(weights=weights, min_score=0.6))
    rng = np.random.default_rng(2)
    people = [draw_person(number, rng) for number in range(8)]
    for one, other in itertools.pairwise(map(draw, people)):
        assert np.abs(one - other).mean() > 5
    found = [
        finder.find(Image.fromarray(draw(person, **face).astype(np.uint8)))
        for person in people
        for face in FACE_RULES.values()
    ]
    assert np.mean([len(faces) for faces in found]) > 0.9
    assert (draw_picture(PERSON, None) == PERSON.wall).all()
