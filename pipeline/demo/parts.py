"""The moving parts of a face: eyes, brows, nose, mouth, and what shows on the skin.

Coordinates are face units: half a head is 1 wide, x to the right, y down, 0 between the cheeks.
A part that comes in pairs is drawn with a pen whose x runs outwards.
"""

import numpy as np

from pipeline.demo.cues import FloatArray, Movements
from pipeline.demo.pen import Pen, bezier, blend, darker, ellipse
from pipeline.demo.people import Colour, Look

_WHITE: Colour = (250, 250, 248)
_DARK: Colour = (34, 22, 26)
_RED: Colour = (205, 62, 72)
_ACROSS = np.linspace(-1, 1, 25)
_ARCH = 1 - _ACROSS**2


def draw_eye(pen: Pen, look: Look, face: Movements, gaze_x: float) -> None:
    """Draw one eye around the pen's origin; `gaze_x` is where it looks, outwards positive."""
    width = 0.29 * look.eye_size
    blinking = 1 - face.blink
    raised = 0.17 * (1 + 0.75 * face.lid_raise - 0.4 * face.squint - 0.15 * face.brow_lower)
    upper = -max(raised, 0.02) * blinking * _ARCH**0.8
    lower = (0.11 + 0.05 * face.lid_raise - 0.17 * face.squint) * blinking * _ARCH
    lower = np.maximum(lower, upper) + 0.05 * face.blink * _ARCH
    upper = np.minimum(upper + 0.05 * face.blink * _ARCH, lower)
    x = width * _ACROSS
    lid, rim = np.column_stack([x, upper]), np.column_stack([x, lower])

    pen.fill(np.concatenate([_lower(lid, -0.06), _lower(rim, 0.05)[::-1]]), darker(look.skin, 0.13))
    pen.fill(np.concatenate([lid, rim[::-1]]), _WHITE)
    for radius, colour in ((0.135, look.eyes), (0.066, _DARK)):
        disc = ellipse(gaze_x, -0.01, radius, radius)
        disc[:, 1] = np.clip(
            disc[:, 1], np.interp(disc[:, 0], x, upper), np.interp(disc[:, 0], x, lower)
        )
        pen.fill(disc, colour)
    if (lower - upper).max() > 0.12:
        pen.ellipse(gaze_x - 0.04, -0.05, 0.028, 0.028, _WHITE)
    pen.stroke(lid, [0.03, 0.05, 0.06], _DARK)
    pen.stroke(rim, 0.018, darker(look.skin, 0.5))
    pen.stroke(_lower(lid, -0.075), [0.01, 0.025, 0.01], darker(look.skin, 0.35))
    pen.stroke(_lower(rim, 0.06), [0.01, 0.03, 0.01], darker(look.skin, 0.4), 0.8 * face.squint)


def draw_brow(pen: Pen, look: Look, face: Movements) -> None:
    """Draw one brow; the origin is its resting place, x runs outwards."""
    inner = -0.26 * face.brow_inner_raise + 0.20 * face.brow_lower
    middle = -0.13 * (face.brow_inner_raise + face.brow_outer_raise) + 0.09 * face.brow_lower
    outer = -0.24 * face.brow_outer_raise + 0.07 * face.brow_inner_raise
    pinch = 0.07 * face.brow_lower
    line = bezier((-0.27 - pinch, 0.02 + inner), (0.0, -0.12 + middle), (0.34, 0.05 + outer))
    thickness = 0.11 * look.brow_thickness
    pen.stroke(line, [thickness, thickness, 0.03], darker(look.hair, 0.25))


def draw_nose(pen: Pen, look: Look, face: Movements) -> None:
    """Draw the nose around its tip, with the wrinkles of disgust on its bridge."""
    shade = darker(look.skin, 0.32)
    size = 0.17 * look.nose_size
    lift = -0.07 * face.nose_wrinkle - 0.02 * face.upper_lip_raise
    pen.stroke(bezier((0.07, -0.5), (0.04, -0.3), (size * 0.75, -0.08)), [0.01, 0.035], shade, 0.7)
    pen.ellipse(0, lift, size, 0.11, blend(look.skin, _RED, 0.10))
    for side in (False, True):
        half = pen.at(0, lift, flip=side)
        half.ellipse(0.075, 0.055, 0.045, 0.028, darker(look.skin, 0.7))
        wing = 0.03 * face.nose_wrinkle
        half.stroke(
            bezier((size, -0.07 - wing), (size + 0.07, 0.02 - wing), (size - 0.02, 0.08)),
            [0.02, 0.035, 0.02],
            shade,
        )
        for row in range(3):
            y = -0.26 - 0.10 * row
            crease = bezier((0.02, y + 0.02), (0.10, y - 0.03), (0.16, y + 0.06))
            half.stroke(crease, [0.03, 0.01], darker(look.skin, 0.55), face.nose_wrinkle)


def draw_mouth(pen: Pen, look: Look, face: Movements) -> None:
    """Draw lips, teeth and tongue around the middle of the mouth."""
    gap = 0.38 * max(face.mouth_open, 0.0) + 0.17 * face.speech
    smile, sneer = face.smile, face.upper_lip_raise
    narrow = 0.13 * np.clip(face.mouth_open - 0.8 * smile - face.stretch, 0, 1)
    width = 0.38 + 0.17 * smile + 0.14 * face.stretch - narrow - 0.05 * face.corner_down
    corners = -0.20 * smile + 0.20 * face.corner_down + 0.03 * face.stretch
    bend = corners * np.abs(_ACROSS) ** 2.2 + 0.05 * smile
    square = 1 - np.abs(_ACROSS) ** 3.5
    grimace = 0.09 * face.stretch * square
    top = bend - 0.3 * gap * _ARCH**0.7 - 0.17 * sneer * square - grimace
    bottom = bend + 1.0 * gap * _ARCH**0.6 + grimace + 0.03 * sneer * square
    x = width * _ACROSS

    fullness = look.lip_fullness * (1 - 0.75 * np.clip(face.lip_press, 0, 1) - 0.25 * face.stretch)
    bow = 0.075 * fullness * (_ARCH**0.6 - 0.25 * np.exp(-((_ACROSS / 0.13) ** 2)))
    lips = blend(look.skin, _RED, 0.25 + look.lip_redness)
    upper_lip = np.concatenate([_line(x, top - bow), _line(x, top)[::-1]])
    lower_lip = np.concatenate(
        [_line(x, bottom), _line(x, bottom + 0.11 * fullness * _ARCH**0.7)[::-1]]
    )
    if (bottom - top).max() > 0.02:
        _draw_inside(pen, x, top, bottom, tongue=face.mouth_open + 0.5 * face.speech)
    pen.fill(upper_lip, darker(lips, 0.12))
    pen.fill(lower_lip, lips)
    pen.stroke(_line(x, top), [0.035, 0.02, 0.035], darker(lips, 0.55))
    for end in (-1, 1):  # dimples
        pen.ellipse(end * (width + 0.01), corners + 0.05 * smile, 0.025, 0.03, darker(lips, 0.5))


def draw_skin(pen: Pen, look: Look, face: Movements) -> None:
    """Draw folds, blush and furrows; goes under the parts."""
    fold = darker(look.skin, 0.38)
    for y, amount in ((-0.86, 1.0), (-0.97, 0.8)):
        raised = amount * (0.45 * face.brow_inner_raise + 0.55 * face.brow_outer_raise)
        pen.stroke(bezier((-0.5, y + 0.04), (0, y - 0.06), (0.5, y + 0.04)), 0.03, fold, raised)
    for side in (False, True):
        half = pen.at(0, 0, flip=side)
        for radius in (0.30, 0.24, 0.17):
            half.ellipse(0.60, 0.30, radius, 0.75 * radius, (232, 62, 84), 0.24 * face.blush)
        lifted = 0.06 * face.smile + 0.05 * face.upper_lip_raise
        deep = 0.75 * max(face.smile, face.upper_lip_raise, 0.6 * face.stretch)
        line = bezier((0.24, 0.30 - lifted), (0.42, 0.36), (0.56 + lifted, 0.66))
        half.stroke(line, [0.015, 0.04, 0.01], fold, deep)
        half.stroke(
            bezier((0.07, -0.50), (0.10, -0.62), (0.06, -0.76)), 0.03, fold, face.brow_lower
        )
        if look.freckles:
            for x, y in ((0.45, 0.2), (0.55, 0.28), (0.65, 0.2), (0.5, 0.35), (0.38, 0.3)):
                half.ellipse(x, y, 0.016, 0.016, darker(look.skin, 0.3))


def draw_tears(pen: Pen, face: Movements, eye_x: float) -> None:
    """Draw a wet lid and a tear that runs further the more there is of it."""
    amount = float(np.clip(face.tears, 0, 1.2))
    if amount < 0.08:
        return
    length = 0.62 * amount
    for side, flip in ((1, False), (-1, True)):
        half = pen.at(side * (eye_x + 0.02), 0.0, flip=flip)
        half.stroke(
            bezier((0, 0.0), (0.05, length / 2), (0.04, length)), [0.05, 0.09], (150, 205, 245), 0.8
        )
        half.ellipse(0.04, length, 0.065, 0.085, (170, 216, 250), 0.95)
        half.ellipse(0.02, length - 0.02, 0.02, 0.03, _WHITE)


def _draw_inside(
    pen: Pen, x: FloatArray, top: FloatArray, bottom: FloatArray, tongue: float
) -> None:
    pen.fill(np.concatenate([_line(x, top), _line(x, bottom)[::-1]]), (86, 20, 30))
    tip = np.maximum(bottom - 0.14 * tongue * _ARCH, top)
    pen.fill(np.concatenate([_line(x, tip), _line(x, bottom)[::-1]]), (206, 96, 104))
    inner = slice(2, -2)
    teeth = np.minimum(top + 0.11, bottom)
    pen.fill(np.concatenate([_line(x, top)[inner], _line(x, teeth)[inner][::-1]]), (248, 246, 238))


def _line(x: FloatArray, y: FloatArray) -> FloatArray:
    return np.column_stack([x, y])


def _lower(points: FloatArray, by: float) -> FloatArray:
    moved: FloatArray = points + np.array([0.0, by])
    return moved
