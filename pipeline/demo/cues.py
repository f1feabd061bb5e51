"""The vocabulary of the demo: what a drawn face can do and what a made voice can do.

Every movement and cue is a plain number, 0 = neutral and about 1 = as strong as it gets, so the
rule in `intensities` can add them up and a curve over time is one column of an array.
"""

from dataclasses import dataclass, fields

import numpy as np
from numpy.typing import NDArray

FloatArray = NDArray[np.float64]
ByteImage = NDArray[np.uint8]


@dataclass(frozen=True)
class Movements:
    """State of a face at one moment; the names follow facial action units where there is one."""

    brow_inner_raise: float = 0.0
    brow_outer_raise: float = 0.0
    brow_lower: float = 0.0
    lid_raise: float = 0.0
    squint: float = 0.0
    nose_wrinkle: float = 0.0
    upper_lip_raise: float = 0.0
    smile: float = 0.0
    corner_down: float = 0.0
    stretch: float = 0.0
    mouth_open: float = 0.0
    lip_press: float = 0.0
    blush: float = 0.0
    pallor: float = 0.0
    queasy: float = 0.0
    tears: float = 0.0
    gaze_away: float = 0.0
    head_tilt: float = 0.0
    head_back: float = 0.0
    head_drop: float = 0.0
    shrug: float = 0.0
    hands: float = 0.0
    bob: float = 0.0
    tremble: float = 0.0
    # What any talking head does, whatever it feels; the rule never sets these.
    speech: float = 0.0
    blink: float = 0.0
    turn: float = 0.0
    shift_x: float = 0.0
    shift_y: float = 0.0


@dataclass(frozen=True)
class VocalCues:
    """State of a voice at one moment, relative to its speaker's neutral voice."""

    pitch: float = 0.0
    pitch_range: float = 0.0
    rate: float = 0.0
    loudness: float = 0.0
    brightness: float = 0.0
    breath: float = 0.0
    roughness: float = 0.0
    tremor: float = 0.0
    laughter: float = 0.0
    gasp: float = 0.0
    sigh: float = 0.0


MOVEMENTS = tuple(field.name for field in fields(Movements))
VOCAL_CUES = tuple(field.name for field in fields(VocalCues))
