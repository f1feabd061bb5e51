"""What people of the demo feel is seen and heard, beside a neutral face and voice."""

import dataclasses
import itertools

import numpy as np
import pytest
from PIL import Image

from features.encoders.base import FrameEncoder
from features.encoders.weights import weights_file
from features.media.faces import FaceDetection, FaceFinder
from pipeline.demo.face import draw_picture
from pipeline.demo.rules import (
    FACE_CUES,
    FRAME_RATE_HZ,
    RULES,
    VOICE_CUES,
    act,
    draw_intensities,
    draw_person,
)
from pipeline.demo.voice import SAMPLE_RATE_HZ, speak

ALL_FACE_CUES = [*FACE_CUES, "speech"]
DURATION_S = 6
PERSON = dataclasses.replace(draw_person(0, np.random.default_rng(0)), offset=0.0, zoom=1.0)


def draw(person=PERSON, **cues):
    return draw_picture(person, dict.fromkeys(ALL_FACE_CUES, 0.0) | cues).astype(float)


def say(**cues):
    table = np.tile([cues.get(name, 0.0) for name in VOICE_CUES], (DURATION_S * FRAME_RATE_HZ, 1))
    return speak(PERSON, table, np.random.default_rng(0))


def loudness(sound):
    return np.sqrt(np.mean(np.square(sound)))


def pitch_hz(sound):
    """Estimate the pitch by the first peak of the autocorrelation."""
    power = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
    correlation = np.fft.irfft(power)[: SAMPLE_RATE_HZ // 60]
    lowest = SAMPLE_RATE_HZ // 550
    return SAMPLE_RATE_HZ / (lowest + np.argmax(correlation[lowest:]))


def share_above_2000_hz(sound):
    power = np.abs(np.fft.rfft(sound)) ** 2
    return power[np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ) > 2000].sum() / power.sum()


def test_face_and_voice_each_carry_a_part_of_labels_that_are_a_profile_per_clip():
    rng = np.random.default_rng(0)
    labels = draw_intensities(400, rng)
    assert labels.shape == (400, len(RULES))
    assert labels.min() >= 0
    assert (labels.max(axis=1) == 1).all()
    shown = [act(row, 45, 1.0, rng) for row in labels]
    for side in range(2):
        cues = np.array([each[side][-1] for each in shown])
        fitted = cues @ np.linalg.lstsq(cues, labels - labels.mean(axis=0), rcond=None)[0]
        r = [np.corrcoef(fitted[:, k], labels[:, k])[0, 1] for k in range(len(RULES))]
        assert np.mean(r) > 0.6


def test_a_reaction_begins_after_its_start_and_stays():
    labels = np.array([float(name == "Amusement") for name in RULES])
    face, voice = act(labels, 60, 1.0, np.random.default_rng(0))
    assert (face.shape, voice.shape) == ((60, len(FACE_CUES)), (60, len(VOICE_CUES)))
    smile, laughter = face[:, FACE_CUES.index("smile")], voice[:, VOICE_CUES.index("laughter")]
    assert abs(smile[:7]).max() < 0.3
    assert smile[-1] > 0.7
    assert laughter[-1] > 0.5


@pytest.mark.parametrize("name", [*ALL_FACE_CUES, *VOICE_CUES])
def test_every_cue_is_seen_or_heard_and_rules_name_no_others(name):
    if name in ALL_FACE_CUES:
        assert np.abs(draw(**{name: 1.0}) - draw()).max() > 25
    else:
        neutral = say()[0]
        assert np.abs(say(**{name: 1.0})[0] - neutral).mean() > 0.1 * np.abs(neutral).mean()
    assert all(
        {*rule.face} <= {*FACE_CUES} and {*rule.voice} <= {*VOICE_CUES} for rule in RULES.values()
    )


def test_cues_of_the_voice_do_what_their_names_say():
    neutral, mouth = say()
    assert neutral.shape == mouth.shape == (DURATION_S * SAMPLE_RATE_HZ,)
    assert 0.01 < np.abs(neutral).max() <= 1
    assert 0 <= mouth.min() < mouth.max() <= 1
    assert loudness(neutral[mouth > 0.5]) > 3 * loudness(neutral[mouth == 0])
    assert loudness(say(loudness=1.0)[0]) > 1.3 * loudness(neutral)
    assert pitch_hz(say(pitch=1.0)[0]) > 1.2 * pitch_hz(neutral)
    assert share_above_2000_hz(say(brightness=1.0)[0]) > 1.3 * share_above_2000_hz(neutral)


def test_people_differ_a_real_detector_finds_them_and_nobody_is_in_an_empty_room():
    weights = weights_file(FrameEncoder.model_fields["face_weights"].default)
    finder = FaceFinder(FaceDetection(weights=weights, min_score=0.6))
    rng = np.random.default_rng(2)
    people = [draw_person(number, rng) for number in range(8)]
    for one, other in itertools.pairwise(map(draw, people)):
        assert np.abs(one - other).mean() > 5
    found = [
        finder.find(Image.fromarray(draw(person, **rule.face).astype(np.uint8)))
        for person in people
        for rule in RULES.values()
    ]
    assert np.mean([len(faces) for faces in found]) > 0.9
    assert (draw_picture(PERSON, None) == PERSON.wall).all()
