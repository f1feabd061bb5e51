import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.demo.cues import MOVEMENTS, VOCAL_CUES
from pipeline.demo.intensities import RULES, check_targets, draw_display, draw_intensities

N = len(RULES)
NAMES = [rule.emotion for rule in RULES]


@settings(max_examples=25, deadline=None)
@given(n_clips=st.integers(1, 60), seed=st.integers(0, 2**31))
def test_labels_are_scaled_so_that_the_largest_of_each_clip_is_exactly_one(n_clips, seed):
    labels = draw_intensities(n_clips, np.random.default_rng(seed))
    assert labels.shape == (n_clips, N)
    assert labels.min() >= 0
    assert (labels.max(axis=1) == 1.0).all()
    assert np.array_equal(labels, np.round(labels, 4))


def test_every_emotion_varies_and_sometimes_leads():
    labels = draw_intensities(400, np.random.default_rng(1))
    assert (labels.std(axis=0) > 0.2).all()
    assert set(labels.argmax(axis=1)) == set(range(N))


@pytest.mark.parametrize("targets", [NAMES[:6], [*NAMES, "Pride"], [*NAMES[:6], NAMES[0]], []])
def test_other_than_seven_different_targets_are_refused_with_their_count(targets):
    with pytest.raises(ValueError, match=rf"{len(targets)} targets came .* Give 7 different names"):
        check_targets(targets)


def test_seven_targets_of_any_name_are_accepted():
    check_targets([f"target {i}" for i in range(N)])


def test_every_emotion_is_seen_and_heard():
    assert all(any(vars(rule.face).values()) for rule in RULES)
    assert all(any(vars(rule.voice).values()) for rule in RULES)


def test_face_is_neutral_before_the_reaction_and_shows_the_rule_after():
    display = draw_display(np.eye(N)[NAMES.index("Surprise")], 3.0, 1.0, np.random.default_rng(0))
    movements = display.movements(np.array([0.0, 2.5]))
    assert movements.shape == (2, len(MOVEMENTS))
    assert not movements[0].any()
    assert movements[1, MOVEMENTS.index("brow_outer_raise")] > 0.6
    assert abs(movements[1, MOVEMENTS.index("nose_wrinkle")]) < 0.4


def test_face_and_voice_show_the_label_with_noise_of_their_own():
    rng = np.random.default_rng(0)
    label = np.full(N, 0.5)
    shown = [draw_display(label, 3.0, 1.0, rng) for _ in range(300)]
    face = np.stack([display.face for display in shown])
    voice = np.stack([display.voice for display in shown])
    assert np.abs(face.mean(axis=0) - 0.5).max() < 0.05
    assert np.abs(voice.mean(axis=0) - 0.5).max() < 0.05
    assert face.std(axis=0).min() > 0.05
    assert abs(np.corrcoef(face.ravel(), voice.ravel())[0, 1]) < 0.1


def test_a_more_expressive_person_shows_more():
    label = np.full(N, 0.6)
    calm = draw_display(label, 3.0, 0.8, np.random.default_rng(5))
    vivid = draw_display(label, 3.0, 1.2, np.random.default_rng(5))
    times_s = np.array([2.9])
    assert np.allclose(vivid.vocal_cues(times_s), 1.5 * calm.vocal_cues(times_s))
    assert vivid.vocal_cues(times_s).shape == (1, len(VOCAL_CUES))
