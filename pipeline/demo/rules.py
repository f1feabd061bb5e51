"""The stated rule of the demo: which intensities a clip gets, and how face and voice show them.

`draw_intensities` draws coupled amounts per clip; `act` shows them by the table `RULES`: the sum
over emotions of amount x time course x cue, with a noise of its own in face and in voice, so that
the two together tell more than either.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]

FACE_CUES = (
    *("smile", "mouth_open", "brow_raise", "brow_lower", "lid_raise", "squint", "nose_wrinkle"),
    *("tears", "blush", "pallor", "queasy", "gaze_away", "head_tilt", "head_drop", "head_back"),
)
"""What a drawn face can do, from 0 (neutral) to 1; some also go below 0, such as ``smile``."""

VOICE_CUES = (
    *("pitch", "rate", "loudness", "brightness", "breath", "roughness", "tremor", "laughter"),
)
"""What a made voice can do, relative to its speaker's neutral voice (0)."""

CUE_RATE_HZ = 20
"""Steps per second in which cues are given."""


@dataclass(frozen=True)
class Rule:
    """How one emotion shows at full strength, and after which share of the clip it begins."""

    face: dict[str, float]
    voice: dict[str, float]
    start: float


RULES = {
    "Adoration": Rule(
        face={"smile": 0.7, "blush": 1.0, "head_tilt": 1.0, "squint": 0.25, "head_back": -0.4},
        voice={"breath": 0.5, "brightness": -0.4, "rate": -0.2},
        start=0.35,
    ),
    "Amusement": Rule(
        face={"smile": 1.0, "mouth_open": 0.7, "squint": 0.75, "head_drop": -0.6},
        voice={"laughter": 1.0, "pitch": 0.3, "loudness": 0.4},
        start=0.40,
    ),
    "Anxiety": Rule(
        face={"gaze_away": 0.7, "brow_lower": 0.3, "head_drop": 0.2},
        voice={"rate": 1.0, "tremor": 0.5, "pitch": 0.2, "loudness": -0.5},
        start=0.25,
    ),
    "Disgust": Rule(
        face={"nose_wrinkle": 1.0, "queasy": 1.0, "brow_lower": 0.8, "squint": 0.45, "smile": -0.4},
        voice={"roughness": 0.5, "pitch": -0.2},
        start=0.35,
    ),
    "Empathic-Pain": Rule(
        face={"tears": 1.0, "smile": -1.0, "brow_raise": 0.5, "head_tilt": -0.7, "head_drop": 1.0},
        voice={"breath": 1.0, "rate": -0.8, "loudness": -0.4, "pitch": -0.3},
        start=0.40,
    ),
    "Fear": Rule(
        face={"lid_raise": 0.6, "pallor": 0.9, "head_back": 0.3},
        voice={"pitch": 0.9, "tremor": 0.8, "brightness": 0.7, "breath": 0.4},
        start=0.30,
    ),
    "Surprise": Rule(
        face={"brow_raise": 1.0, "lid_raise": 0.9, "mouth_open": 1.1, "head_back": 0.6},
        voice={"loudness": 0.5, "brightness": 0.6, "pitch": 0.4, "rate": -0.4},
        start=0.30,
    ),
}

# Emotions come in company: the latent amounts share three causes (delight, dread, shock).
_CAUSES = np.array(
    [
        # Ado  Amu   Anx  Dis   Pai  Fea  Sur
        [0.5, 0.5, -0.2, -0.3, 0.0, -0.3, 0.1],
        [-0.2, -0.2, 0.5, 0.0, 0.3, 0.5, 0.1],
        [0.0, 0.2, 0.0, 0.3, -0.2, 0.3, 0.5],
    ]
)
_BASE = np.array([0.1, 0.35, -0.1, -0.15, 0.0, -0.1, 0.25])  # log amount of a usual clip
_SPREAD = 1.2  # standard deviation of the log amounts, about
_FACE_NOISE, _VOICE_NOISE = 0.08, 0.12
_RISE_S = 0.4
_STRONGEST = 1.1  # however many emotions ask for a movement, a face has its limits


def draw_intensities(n_clips: int, rng: np.random.Generator) -> FloatArray:
    """Draw labels [n_clips, n_emotions] to four decimals, each row's largest exactly 1."""
    shared = rng.standard_normal((n_clips, len(_CAUSES))) @ _CAUSES
    own = rng.standard_normal((n_clips, len(RULES)))
    amounts = np.exp(_BASE + _SPREAD * (shared + own))
    labels: FloatArray = np.round(amounts / amounts.max(axis=1, keepdims=True), 4)
    return labels


def act(
    labels: FloatArray, duration_s: float, expressiveness: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Decide what face and voice show over a clip with these labels.

    Parameters
    ----------
    labels : array [n_emotions]
        Intensities.
    duration_s : float
        Length of the clip.
    expressiveness : float
        How strongly this person shows what they feel; 1 = as the rule says.
    rng : numpy.random.Generator
        Draws the noise of face and voice, and when reactions begin.

    Returns
    -------
    face, voice : array [n_steps, n_cues]
        At `CUE_RATE_HZ`, in the order of `FACE_CUES` and `VOICE_CUES`.
    """
    noise = rng.standard_normal((3, len(labels)))
    face = expressiveness * np.clip(labels + _FACE_NOISE * noise[0], 0.0, 1.2)
    voice = expressiveness * np.clip(labels + _VOICE_NOISE * noise[1], 0.0, 1.2)
    start_s = duration_s * np.clip(_START + 0.05 * noise[2], 0.02, 0.5)
    time_s = np.arange(0, duration_s, 1 / CUE_RATE_HZ)
    risen = np.clip((time_s[:, None] - start_s) / _RISE_S, 0.0, 1.0)
    risen = risen**2 * (3 - 2 * risen)  # a smooth rise that stays
    return np.clip((risen * face) @ _FACE, -_STRONGEST, _STRONGEST), (risen * voice) @ _VOICE


_FACE = np.array([[rule.face.get(cue, 0.0) for cue in FACE_CUES] for rule in RULES.values()])
_VOICE = np.array([[rule.voice.get(cue, 0.0) for cue in VOICE_CUES] for rule in RULES.values()])
_START = np.array([rule.start for rule in RULES.values()])
