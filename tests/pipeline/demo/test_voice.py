import numpy as np
import pytest

from pipeline.demo.rules import FRAME_RATE_HZ, VOICE_CUES, draw_person
from pipeline.demo.voice import SAMPLE_RATE_HZ, speak

PERSON = draw_person(0, np.random.default_rng(3))
DURATION_S = 6


def say(person=PERSON, seed=0, **cues):
    row = [cues.get(name, 0.0) for name in VOICE_CUES]
    table = np.tile(row, (DURATION_S * FRAME_RATE_HZ, 1))
    return speak(person, table, np.random.default_rng(seed))


def loudness(sound):
    return np.sqrt(np.mean(np.square(sound)))


def pitch_hz(sound):
    """Estimate the pitch by the first peak of the autocorrelation."""
    power = np.abs(np.fft.rfft(sound, 2 * len(sound))) ** 2
    correlation = np.fft.irfft(power)[: SAMPLE_RATE_HZ // 60]
    lowest = SAMPLE_RATE_HZ // 550
    return SAMPLE_RATE_HZ / (lowest + np.argmax(correlation[lowest:]))


def share_above(sound, hz):
    power = np.abs(np.fft.rfft(sound)) ** 2
    return power[np.fft.rfftfreq(len(sound), 1 / SAMPLE_RATE_HZ) > hz].sum() / power.sum()


def test_sound_has_the_length_of_the_cues_and_comes_from_an_open_mouth():
    sound, mouth = say()
    assert sound.shape == mouth.shape == (DURATION_S * SAMPLE_RATE_HZ,)
    assert 0.01 < np.abs(sound).max() <= 1
    assert 0 <= mouth.min() < mouth.max() <= 1
    assert loudness(sound[mouth > 0.5]) > 3 * loudness(sound[mouth == 0])


@pytest.mark.parametrize("name", VOICE_CUES)
def test_every_cue_is_heard(name):
    neutral = say()[0]
    assert np.abs(say(**{name: 1.0})[0] - neutral).mean() > 0.1 * np.abs(neutral).mean()


def test_cues_do_what_their_names_say():
    neutral = say()[0]
    assert loudness(say(loudness=1.0)[0]) > 1.3 * loudness(neutral)
    assert pitch_hz(say(pitch=1.0)[0]) > 1.2 * pitch_hz(neutral)
    assert share_above(say(brightness=1.0)[0], 2000) > 1.3 * share_above(neutral, 2000)
