import numpy as np

from pipeline.demo.rules import FACE_CUES, RULES, VOICE_CUES, act, draw_intensities


def test_intensities_are_a_profile_per_clip():
    labels = draw_intensities(4000, np.random.default_rng(0))
    assert labels.shape == (4000, len(RULES))
    assert labels.min() >= 0
    assert (labels.max(axis=1) == 1).all()


def test_every_rule_names_known_cues():
    for rule in RULES.values():
        assert set(rule.face) <= set(FACE_CUES)
        assert set(rule.voice) <= set(VOICE_CUES)


def test_a_reaction_begins_after_its_start_and_stays():
    labels = np.array([float(name == "Amusement") for name in RULES])
    face, voice = act(labels, 60, 1.0, np.random.default_rng(0))
    assert (face.shape, voice.shape) == ((60, len(FACE_CUES)), (60, len(VOICE_CUES)))
    smile, laughter = face[:, FACE_CUES.index("smile")], voice[:, VOICE_CUES.index("laughter")]
    assert abs(smile[:7]).max() < 0.3
    assert smile[-1] > 0.7
    assert laughter[-1] > 0.5


def test_face_and_voice_each_carry_a_part():
    rng = np.random.default_rng(0)
    labels = draw_intensities(400, rng)
    shown = [act(row, 45, 1.0, rng) for row in labels]
    for side in range(2):
        cues = np.array([each[side][-1] for each in shown])
        fitted = cues @ np.linalg.lstsq(cues, labels - labels.mean(axis=0), rcond=None)[0]
        r = [np.corrcoef(fitted[:, k], labels[:, k])[0, 1] for k in range(len(RULES))]
        assert np.mean(r) > 0.6
