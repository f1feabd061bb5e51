"""The stated rule: which intensities a clip gets, and how face and voice show them.

1. `draw_intensities` draws seven coupled log-normal amounts per clip and divides them by the
   clip's largest, as Hume-Reaction does.
2. `draw_display` turns them into what is shown. Each channel (face, voice) shows every emotion
   with its own noise, so the two err independently and together tell more than either.
3. `Display.movements` and `Display.vocal_cues` spread that over time by the table `RULES`: the
   sum over emotions of amount x time course x cue.

Adoration and Disgust are mostly seen, Anxiety and Fear mostly heard, the others both.
"""

from collections.abc import Sequence
from dataclasses import astuple, dataclass

import numpy as np

from models.arrays import DataError
from pipeline.demo.cues import FloatArray, Movements, VocalCues


@dataclass(frozen=True)
class Rule:
    """How one emotion shows: full-strength cues, when it starts, and how much of it stays."""

    emotion: str
    face: Movements
    voice: VocalCues
    start: float  # share of the clip that has passed when the reaction begins
    stays: float  # share of the peak that is left at the end of the clip


RULES = (
    Rule(
        "Adoration",
        Movements(
            smile=0.6,
            blush=1.0,
            head_tilt=1.0,
            brow_inner_raise=0.35,
            squint=0.25,
            head_back=-0.4,
        ),
        VocalCues(breath=0.5, brightness=-0.4, rate=-0.2),
        start=0.35,
        stays=1.0,
    ),
    Rule(
        "Amusement",
        Movements(smile=1.0, mouth_open=0.7, squint=0.75, bob=1.0, head_drop=-0.6),
        VocalCues(laughter=1.0, pitch=0.3, loudness=0.4),
        start=0.40,
        stays=1.0,
    ),
    Rule(
        "Anxiety",
        Movements(gaze_away=0.6, lip_press=0.5, brow_inner_raise=0.3, shrug=0.5),
        VocalCues(rate=1.0, tremor=0.5, pitch=0.2, loudness=-0.5),
        start=0.25,
        stays=1.0,
    ),
    Rule(
        "Disgust",
        Movements(
            nose_wrinkle=1.0,
            upper_lip_raise=1.0,
            squint=0.45,
            brow_lower=0.8,
            queasy=1.0,
            head_back=0.5,
        ),
        VocalCues(roughness=0.4, pitch=-0.2),
        start=0.35,
        stays=1.0,
    ),
    Rule(
        "Empathic-Pain",
        Movements(
            tears=1.0,
            corner_down=1.0,
            brow_inner_raise=0.9,
            brow_lower=0.3,
            head_tilt=-0.6,
            head_drop=1.0,
        ),
        VocalCues(sigh=1.0, rate=-0.8, loudness=-0.4, pitch=-0.2),
        start=0.40,
        stays=1.0,
    ),
    Rule(
        "Fear",
        Movements(lid_raise=0.5, stretch=0.8, tremble=0.5, pallor=0.8, shrug=0.6),
        VocalCues(pitch=0.9, tremor=0.8, brightness=0.7, breath=0.4),
        start=0.30,
        stays=1.0,
    ),
    Rule(
        "Surprise",
        Movements(
            brow_inner_raise=0.7,
            brow_outer_raise=1.0,
            lid_raise=0.9,
            mouth_open=1.1,
            head_back=0.4,
            hands=1.0,
        ),
        VocalCues(gasp=1.0, pitch_range=0.8, loudness=0.3),
        start=0.30,
        stays=0.9,
    ),
)

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
_FACE_NOISE = 0.08
_VOICE_NOISE = 0.12
_RISE_S = 0.4
_STRONGEST = 1.1  # however many emotions ask for a movement, a face has its limits


@dataclass(frozen=True)
class Display:
    """What one clip shows: amounts per emotion in face and voice, and when each begins.

    Parameters
    ----------
    face, voice
        Amounts of shape [n_emotions], about 0 to 1.
    start_s
        When each reaction begins, shape [n_emotions].
    duration_s
        Length of the clip.
    """

    face: FloatArray
    voice: FloatArray
    start_s: FloatArray
    duration_s: float

    def movements(self, times_s: FloatArray) -> FloatArray:
        """Face over time, shape [n_times, n_movements] in the order of `cues.MOVEMENTS`."""
        movements: FloatArray = (self._time_courses(times_s) * self.face) @ _FACE
        return np.clip(movements, -_STRONGEST, _STRONGEST)

    def vocal_cues(self, times_s: FloatArray) -> FloatArray:
        """Voice over time, shape [n_times, n_vocal_cues] in the order of `cues.VOCAL_CUES`."""
        cues: FloatArray = (self._time_courses(times_s) * self.voice) @ _VOICE
        return cues

    def _time_courses(self, times_s: FloatArray) -> FloatArray:
        """Rise smoothly from the start, then fade evenly to what stays: [n_times, n_emotions]."""
        since_s = times_s[:, None] - self.start_s
        rise = np.clip(since_s / _RISE_S, 0.0, 1.0)
        fade = np.clip((since_s - _RISE_S) / (self.duration_s - self.start_s - _RISE_S), 0.0, 1.0)
        courses: FloatArray = rise**2 * (3 - 2 * rise) * (1 - (1 - _STAYS) * fade)
        return courses


def check_targets(targets: Sequence[str]) -> None:
    """Refuse a list of targets that the rule does not cover.

    Raises
    ------
    DataError
        If there are not exactly as many different targets as rules.
    """
    if len(targets) != len(RULES) or len(set(targets)) != len(targets):
        names = ", ".join(rule.emotion for rule in RULES)
        raise DataError(
            f"The demo corpus shows {len(RULES)} emotions by a stated rule, but {len(targets)} "
            f"targets came ({', '.join(targets)}). Give {len(RULES)} different names, which stand "
            f"for {names} in this order."
        )


def draw_intensities(n_clips: int, rng: np.random.Generator) -> FloatArray:
    """Draw labels of shape [n_clips, n_emotions] in [0, 1], each row's largest exactly 1.

    Rounded to four decimals, as a label table on disk is.
    """
    shared = rng.standard_normal((n_clips, len(_CAUSES))) @ _CAUSES
    own = rng.standard_normal((n_clips, len(RULES)))
    amounts = np.exp(_BASE + _SPREAD * (shared + own))
    labels: FloatArray = np.round(amounts / amounts.max(axis=1, keepdims=True), 4)
    return labels


def draw_display(
    labels: FloatArray, duration_s: float, expressiveness: float, rng: np.random.Generator
) -> Display:
    """Draw what a clip with these labels [n_emotions] shows of them.

    Parameters
    ----------
    expressiveness
        How strongly this person shows what they feel; 1 = as the rule says.
    """
    face = labels + _FACE_NOISE * rng.standard_normal(len(labels))
    voice = labels + _VOICE_NOISE * rng.standard_normal(len(labels))
    starts = np.array([rule.start for rule in RULES]) + 0.05 * rng.standard_normal(len(RULES))
    return Display(
        face=expressiveness * np.clip(face, 0.0, 1.2),
        voice=expressiveness * np.clip(voice, 0.0, 1.2),
        start_s=duration_s * np.clip(starts, 0.02, 0.5),
        duration_s=duration_s,
    )


_FACE = np.array([astuple(rule.face) for rule in RULES])  # [n_emotions, n_movements]
_VOICE = np.array([astuple(rule.voice) for rule in RULES])  # [n_emotions, n_vocal_cues]
_STAYS = np.array([rule.stays for rule in RULES])
