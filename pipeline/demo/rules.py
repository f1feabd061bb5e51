"""The invented people of the demo, and its stated rule: what they feel, and how it shows.

`draw_intensities` draws amounts per clip; `act` shows them by `FACE_RULES` and `VOICE_RULES`: the
sum over emotions of amount x time course x cue, with a noise of its own in face and in voice, so
that the two together tell more than either.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
Colour = tuple[int, int, int]

_SKINS: tuple[Colour, ...] = ((255, 219, 188), (233, 184, 148), (193, 138, 98), (146, 98, 70))
_HAIRS: tuple[Colour, ...] = ((34, 26, 24), (92, 58, 34), (196, 152, 84), (150, 62, 34))

FACE_CUES = (
    *("smile", "mouth_open", "brow_raise", "brow_lower", "lid_raise", "squint", "nose_wrinkle"),
    *("tears", "blush", "gaze_away", "head_tilt"),
)
"""What a drawn face can do, from 0 (neutral) to 1; some also go below 0, such as ``smile``."""

VOICE_CUES = ("pitch", "rate", "loudness", "brightness", "breath", "tremor", "laughter")
"""What a made voice can do, relative to its speaker's neutral voice (0)."""

FRAME_RATE_HZ = 15
"""Pictures per second, and steps in which cues are given."""


@dataclass(frozen=True)
class Person:
    """One invented person before their camera, and their neutral voice.

    `expressiveness` and `zoom` are factors: how strongly they show what they feel, and how near the
    face is; `offset` is how far it is from the middle, in shares of the picture.
    """

    person_id: str
    age: float
    country: str
    skin: Colour
    hair: Colour
    wall: Colour
    long_hair: bool
    expressiveness: float
    zoom: float
    offset: float
    pitch_hz: float
    formant_scale: float


FACE_RULES = {
    "Adoration": {"smile": 0.7, "blush": 1.0, "head_tilt": 1.0, "squint": 0.25},
    "Amusement": {"smile": 1.0, "mouth_open": 0.7, "squint": 0.75},
    "Anxiety": {"gaze_away": 1.0, "brow_lower": 0.3},
    "Disgust": {"nose_wrinkle": 1.0, "brow_lower": 0.8, "squint": 0.45, "smile": -0.4},
    "Empathic-Pain": {"tears": 1.0, "smile": -1.0, "brow_raise": 0.5, "head_tilt": -0.7},
    "Fear": {"lid_raise": 0.7, "blush": -1.0, "mouth_open": 0.3},
    "Surprise": {"brow_raise": 1.0, "lid_raise": 0.9, "mouth_open": 1.1},
}
VOICE_RULES = {
    "Adoration": {"breath": 0.5, "brightness": -0.4, "rate": -0.2},
    "Amusement": {"laughter": 1.0, "pitch": 0.3, "loudness": 0.4},
    "Anxiety": {"rate": 1.0, "tremor": 0.5, "pitch": 0.2, "loudness": -0.5},
    "Disgust": {"pitch": -0.5, "loudness": 0.2, "brightness": -0.5},
    "Empathic-Pain": {"breath": 1.0, "rate": -0.8, "loudness": -0.4, "pitch": -0.3},
    "Fear": {"pitch": 0.9, "tremor": 0.8, "brightness": 0.7, "breath": 0.4},
    "Surprise": {"loudness": 0.5, "brightness": 0.6, "pitch": 0.4, "rate": -0.4},
}
"""How each emotion shows at full strength, in the face and in the voice."""
EMOTIONS = tuple(FACE_RULES)

_SPREAD = 1.4  # standard deviation of the log amounts
_FACE_NOISE, _VOICE_NOISE = 0.08, 0.12
_START, _RISE_S = 0.3, 0.4  # after which share of the clip reactions begin, and how fast
_STRONGEST = 1.1  # however many emotions ask for a movement, a face has its limits


def draw_person(number: int, rng: np.random.Generator) -> Person:
    """Draw a person who differs from the others."""
    high_voice = bool(rng.random() < 0.5)
    red, green, blue = rng.integers(110, 230, size=3).tolist()
    return Person(
        person_id=f"person_{number:03d}",
        age=round(rng.uniform(19, 60), 1),
        country=("United States", "South Africa")[number % 2],
        skin=_SKINS[rng.integers(len(_SKINS))],
        hair=_HAIRS[rng.integers(len(_HAIRS))],
        wall=(red, green, blue),
        long_hair=high_voice,
        expressiveness=rng.uniform(0.8, 1.15),
        zoom=rng.uniform(0.9, 1.1),
        offset=rng.uniform(-0.05, 0.05),
        pitch_hz=rng.uniform(170, 230) if high_voice else rng.uniform(95, 140),
        formant_scale=rng.uniform(1.03, 1.15) if high_voice else rng.uniform(0.92, 1.0),
    )


def draw_intensities(n_clips: int, rng: np.random.Generator) -> FloatArray:
    """Draw labels [n_clips, n_emotions] to four decimals, each row's largest exactly 1."""
    amounts = np.exp(_SPREAD * rng.standard_normal((n_clips, len(EMOTIONS))))
    labels: FloatArray = np.round(amounts / amounts.max(axis=1, keepdims=True), 4)
    return labels


def act(
    labels: FloatArray, n_frames: int, expressiveness: float, rng: np.random.Generator
) -> tuple[FloatArray, FloatArray]:
    """Decide what face and voice show over a clip with these labels.

    Parameters
    ----------
    labels : array [n_emotions]
        Intensities.
    n_frames, expressiveness : int, float
        Length of the clip, and how strongly this person shows what they feel; 1 = as the rule says.
    rng : numpy.random.Generator
        Draws the noise of face and voice, and when reactions begin.

    Returns
    -------
    face, voice : array [n_frames, n_cues]
        In the order of `FACE_CUES` and `VOICE_CUES`.
    """
    noise = rng.standard_normal((3, len(labels)))
    face = expressiveness * np.clip(labels + _FACE_NOISE * noise[0], 0.0, 1.2)
    voice = expressiveness * np.clip(labels + _VOICE_NOISE * noise[1], 0.0, 1.2)
    start = n_frames * np.clip(_START + 0.05 * noise[2], 0.02, 0.5)
    risen = np.clip((np.arange(n_frames)[:, None] - start) / (_RISE_S * FRAME_RATE_HZ), 0.0, 1.0)
    risen = risen**2 * (3 - 2 * risen)  # a smooth rise that stays
    return np.clip((risen * face) @ _FACE, -_STRONGEST, _STRONGEST), (risen * voice) @ _VOICE


_FACE = np.array([[rule.get(cue, 0.0) for cue in FACE_CUES] for rule in FACE_RULES.values()])
_VOICE = np.array([[rule.get(cue, 0.0) for cue in VOICE_CUES] for rule in VOICE_RULES.values()])
