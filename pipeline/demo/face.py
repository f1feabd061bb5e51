"""Draw one person at one moment: the head with all its parts, in its room."""

from dataclasses import replace

import numpy as np
from PIL import Image

from pipeline.demo import parts
from pipeline.demo.cues import Movements
from pipeline.demo.hair import draw_hair_before, draw_hair_behind, draw_worn
from pipeline.demo.pen import Pen, bezier, blend, darker, ellipse
from pipeline.demo.people import Colour, Look, Person

_HEAD_SHARE = 0.315  # half a head's width as a share of the picture's width


def draw_face(room: Image.Image, person: Person, face: Movements) -> Image.Image:
    """Draw a person into a copy of their room.

    Parameters
    ----------
    room
        Square picture without the person, mode RGB; its size is the size of the result.
    face
        The moment's movements. The head's place moves by `shift_x` and `shift_y`, in face units.
    """
    picture = room.copy()
    size = picture.width
    camera = person.camera
    look = replace(person.look, skin=_complexion(person.look.skin, face))
    unit = _HEAD_SHARE * size * camera.zoom * (1 - 0.18 * face.head_back)
    centre = np.array([0.5 + camera.offset_x, 0.48 + camera.offset_y]) * size
    follows = unit * np.array([0.3 * face.shift_x, 0.4 * face.shift_y - 0.40 * face.shrug])
    body = Pen(picture, centre + follows, unit)
    sway = np.array([face.shift_x, face.shift_y + 0.05 * face.head_back + 0.21 * face.head_drop])
    neck = centre + np.array([0.0, 0.9 * unit])  # the head tilts about the neck
    tilt = 0.36 * face.head_tilt
    head_centre = neck + unit * (sway + 0.9 * np.array([np.sin(tilt), -np.cos(tilt)]))
    head = Pen(picture, head_centre, unit, tilt)

    draw_hair_behind(head, look)
    _draw_neck(body, look)
    _draw_clothes(body, look)
    _draw_head(head, look, face)
    turned = head.at(0.16 * face.turn, 0)
    parts.draw_skin(turned, look, face)
    _draw_parts(turned, look, face)
    draw_hair_before(head, look)
    draw_worn(turned, head, look)
    _draw_hands(body, look, _share(face.hands))
    return picture


def _complexion(skin: Colour, face: Movements) -> Colour:
    """Let the blood rise to the skin or leave it, or turn it queasily green."""
    flushed = blend(skin, (226, 70, 84), 0.22 * _share(face.blush))
    pale = blend(flushed, (226, 230, 238), 0.50 * _share(face.pallor))
    return blend(pale, (124, 166, 76), 0.46 * _share(face.queasy))


def _share(amount: float) -> float:
    return min(max(amount, 0.0), 1.0)


def _draw_neck(pen: Pen, look: Look) -> None:
    neck = np.array([[-0.42, 0.7], [0.42, 0.7], [0.48, 2.3], [-0.48, 2.3]])
    pen.fill(neck, darker(look.skin, 0.22))


def _draw_clothes(pen: Pen, look: Look) -> None:
    left = bezier((-2.4, 3.2), (-2.1, 1.65), (-1.0, 1.55), (-0.5, 1.42))
    neckline = bezier((-0.5, 1.42), (-0.2, 1.95), (0.2, 1.95), (0.5, 1.42))
    right = left[::-1] * [-1, 1]
    pen.fill(np.concatenate([left, neckline, right]), look.clothes)
    pen.stroke(neckline, 0.10, darker(look.clothes, 0.25))


def _draw_head(pen: Pen, look: Look, face: Movements) -> None:
    for end in (-1, 1):
        pen.ellipse(end * 0.99 * look.face_width, 0.02, 0.14, 0.24, darker(look.skin, 0.08))
        pen.ellipse(end * 1.00 * look.face_width, 0.02, 0.07, 0.14, darker(look.skin, 0.28))
    outline = ellipse(0, 0, look.face_width, 1.22)
    below = np.clip(outline[:, 1] / 1.22, 0, 1)
    outline[:, 0] *= 1 - look.jaw_taper * below**2 + 0.12 * below * (1 - below)
    outline[:, 1] += (0.16 * max(face.mouth_open, 0.0) + 0.06 * face.speech) * below
    pen.fill(outline, look.skin)
    if look.beard:
        cheeks = outline[(outline[:, 1] > 0.25)]
        line = bezier(
            (-0.93, 0.25),
            (-0.62, 0.45),
            (-0.45, 0.40),
            (0, 0.40),
            (0.45, 0.40),
            (0.62, 0.45),
            (0.93, 0.25),
        )
        pen.fill(np.concatenate([cheeks, line]), look.hair)
    pen.stroke(np.concatenate([outline, outline[:1]]), 0.025, darker(look.skin, 0.3))


def _draw_parts(pen: Pen, look: Look, face: Movements) -> None:
    eye_x = 0.43 * look.eye_gap
    look_aside = 0.13 * face.gaze_away + 0.05 * face.turn
    for side, flip in ((1, False), (-1, True)):
        parts.draw_eye(pen.at(side * eye_x, -0.16, flip=flip), look, face, side * look_aside)
        parts.draw_brow(pen.at(side * eye_x, -0.50, flip=flip), look, face)
    parts.draw_nose(pen.at(0, 0.27), look, face)
    parts.draw_mouth(pen.at(0, 0.68), look, face)
    if look.moustache:
        for flip in (False, True):
            line = bezier((0.0, 0.47), (0.20, 0.44), (0.38, 0.56))
            pen.at(0, -0.05 * face.upper_lip_raise, flip=flip).stroke(
                line, [0.10, 0.11, 0.03], darker(look.hair, 0.15)
            )
    parts.draw_tears(pen.at(0, -0.02), face, eye_x)


def _draw_hands(pen: Pen, look: Look, raised: float) -> None:
    """Draw hands that rise from below the picture to the cheeks."""
    if raised == 0:
        return
    edge = darker(look.skin, 0.35)
    for side, flip in ((1, False), (-1, True)):
        hand = pen.at(side * 1.05, 2.75 - 2.0 * raised, flip=flip, angle_rad=-0.25)
        hand.stroke(np.array([[0.05, 0.2], [0.30, 2.6]]), [0.34, 0.60], darker(look.clothes, 0.12))
        for finger, (x, length) in enumerate(
            ((-0.19, 0.40), (-0.06, 0.50), (0.07, 0.48), (0.19, 0.38))
        ):
            tip = bezier((x, 0.0), (x + 0.04 * (finger - 1.5), -length))
            hand.stroke(tip, [0.15, 0.14, 0.08], edge)
            hand.stroke(tip, [0.12, 0.11, 0.05], look.skin)
        hand.stroke(bezier((-0.18, 0.12), (-0.40, 0.0), (-0.42, -0.22)), [0.16, 0.14, 0.08], edge)
        hand.stroke(
            bezier((-0.18, 0.12), (-0.40, 0.0), (-0.42, -0.20)), [0.12, 0.10, 0.05], look.skin
        )
        hand.ellipse(0.0, 0.08, 0.27, 0.28, edge)
        hand.ellipse(0.0, 0.08, 0.25, 0.26, look.skin)
