import dataclasses

import numpy as np
import pytest
from scipy.signal import periodogram

from pipeline.demo.cues import VOCAL_CUES
from pipeline.demo.people import draw_people
from pipeline.demo.speech import CONTROL_RATE_HZ
from pipeline.demo.voice import SAMPLE_RATE_HZ, synthesise

TRAITS = dataclasses.replace(
    draw_people(16, np.random.default_rng(0))[0].voice, pitch_hz=120.0, breathiness=0.05
)


def speak(seed=0, traits=TRAITS, **cues):
    steady = np.zeros((3 * CONTROL_RATE_HZ, len(VOCAL_CUES)))
    for name, amount in cues.items():
        steady[:, VOCAL_CUES.index(name)] = amount
    return synthesise(traits, steady, np.random.default_rng(seed))


def median_pitch_hz(sound):
    """Median over loud 40 ms windows of the lag at which the sound repeats best."""
    windows = sound[: len(sound) // 640 * 640].reshape(-1, 640)
    loud = windows[windows.std(axis=1) > np.median(windows.std(axis=1))]
    lags = np.arange(SAMPLE_RATE_HZ // 400, SAMPLE_RATE_HZ // 70)
    best = []
    for window in loud:
        repeats = [np.corrcoef(window[:-lag], window[lag:])[0, 1] for lag in lags]
        best.append(SAMPLE_RATE_HZ / lags[int(np.argmax(repeats))])
    return float(np.median(best))


def share_of_power_above(sound, frequency_hz):
    frequencies, power = periodogram(sound, SAMPLE_RATE_HZ)
    return power[frequencies > frequency_hz].sum() / power.sum()


def test_sound_is_float32_within_one_and_as_long_as_the_cues():
    utterance = speak()
    assert utterance.sound.dtype == np.float32
    assert utterance.sound.shape == (3 * SAMPLE_RATE_HZ,)
    assert 0.05 < np.abs(utterance.sound).max() <= 1
    assert utterance.mouth.shape == (3 * CONTROL_RATE_HZ,)
    assert utterance.mouth.min() >= 0
    assert utterance.mouth.max() <= 1


def test_the_same_seed_gives_the_same_sound():
    assert np.array_equal(speak(seed=4).sound, speak(seed=4).sound)
    assert not np.array_equal(speak(seed=4).sound, speak(seed=5).sound)


def test_pitch_follows_the_speaker_and_the_cue():
    assert median_pitch_hz(speak().sound) == pytest.approx(120, rel=0.12)
    high = dataclasses.replace(TRAITS, pitch_hz=200.0)
    assert median_pitch_hz(speak(traits=high).sound) == pytest.approx(200, rel=0.12)
    raised = 120 * 2 ** (8 / 12)
    assert median_pitch_hz(speak(pitch=1.0).sound) == pytest.approx(raised, rel=0.12)


def test_a_brighter_voice_has_more_power_up_high():
    bright, dull = speak(brightness=0.8).sound, speak(brightness=-0.8).sound
    assert share_of_power_above(bright, 2000) > 2 * share_of_power_above(dull, 2000)


def test_loudness_changes_level_by_nine_decibels():
    quiet, plain = speak(loudness=-1.0).sound, speak().sound
    assert 20 * np.log10(plain.std() / quiet.std()) == pytest.approx(9, abs=1.5)


def test_a_longer_vocal_tract_lowers_the_formants():
    def centroid_hz(scale):
        sound = speak(traits=dataclasses.replace(TRAITS, formant_scale=scale)).sound
        frequencies, power = periodogram(sound, SAMPLE_RATE_HZ)
        return (frequencies * power).sum() / power.sum()

    assert centroid_hz(0.9) < centroid_hz(1.2)


def test_the_mouth_opens_when_the_sound_is_loud():
    utterance = speak()
    level = np.abs(utterance.sound).reshape(-1, SAMPLE_RATE_HZ // CONTROL_RATE_HZ).mean(axis=1)
    assert np.corrcoef(level, utterance.mouth)[0, 1] > 0.5
