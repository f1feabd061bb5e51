import numpy as np
import pytest

from pipeline.demo.cues import VOCAL_CUES
from pipeline.demo.people import draw_people
from pipeline.demo.speech import CONTROL_RATE_HZ, plan_speech

TRAITS = draw_people(16, np.random.default_rng(0))[0].voice


def plan(duration_s=4.0, seed=0, **cues):
    steady = np.zeros((round(duration_s * CONTROL_RATE_HZ), len(VOCAL_CUES)))
    for name, amount in cues.items():
        steady[:, VOCAL_CUES.index(name)] = amount
    return plan_speech(TRAITS, steady, np.random.default_rng(seed))


def n_humps(track):
    high = track > 0.3
    return int((high[1:] & ~high[:-1]).sum())


def test_curves_cover_the_whole_time_and_vowels_share_each_moment():
    speech = plan(duration_s=2.5)
    assert speech.voiced.shape == speech.breath.shape == speech.lift_st.shape == (250,)
    assert speech.vowels.sum(axis=1) == pytest.approx(np.ones(250))


def test_a_higher_rate_gives_more_syllables():
    slow = sum(n_humps(plan(seed=seed, rate=-0.8).voiced) for seed in range(5))
    fast = sum(n_humps(plan(seed=seed, rate=0.8).voiced) for seed in range(5))
    assert fast > 1.5 * slow


def test_the_mouth_opens_with_the_voice_and_closes_in_pauses():
    speech = plan()
    assert speech.mouth[speech.voiced > 0.6].min() > 0.15
    assert speech.mouth[speech.voiced + speech.breath < 0.01].max() < 0.01


@pytest.mark.parametrize("cue", ["laughter", "gasp", "sigh"])
def test_laughs_gasps_and_sighs_are_breathy(cue):
    assert plan(**{cue: 1.0}).breath.sum() > 2 * plan().breath.sum()


def test_laughter_lifts_the_pitch():
    assert plan(laughter=1.0).lift_st.max() > 4
