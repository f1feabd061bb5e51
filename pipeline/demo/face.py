"""Draw one person at one moment: a cartoon that a real face detector takes for a face."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from pipeline.demo.rules import Colour, FloatArray, Person

SIZE_PX = 192
_OVERSAMPLING = 2  # drawn larger, then scaled down: soft edges
_WHITE, _DARK, _SHADE = (250, 250, 248), (45, 28, 30), (30, 16, 20)
_ACROSS = np.linspace(-1, 1, 21)
_ARCH = 1 - _ACROSS**2
_CIRCLE = np.stack([f(np.linspace(0, 2 * np.pi, 40)) for f in (np.cos, np.sin)], axis=1)


def draw_picture(person: Person, cues: Mapping[str, float] | None) -> NDArray[np.uint8]:
    """Draw a person before their wall.

    `cues` are the state of the face by `rules.FACE_CUES`, and ``speech``, how far the mouth is open
    to speak; without them the person has left the picture. The array is [SIZE_PX, SIZE_PX, 3].
    """
    image = Image.new("RGB", (SIZE_PX * _OVERSAMPLING,) * 2, person.wall)
    if cues is not None:
        _draw_person(image, person, cues)
    return np.asarray(image.resize((SIZE_PX, SIZE_PX), Image.Resampling.BOX))


class _Pen:
    """Fills shapes given in face units (half a head's width), wherever and however the head is."""

    def __init__(self, image: Image.Image, person: Person, tilt: float) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        cos, sin = np.cos(0.22 * tilt), np.sin(0.22 * tilt)
        self._axes = 0.27 * image.width * person.zoom * np.array([[cos, sin], [-sin, cos]])
        self._centre = image.width * np.array([0.5 + person.offset + 0.09 * tilt, 0.47])

    def fill(self, points: FloatArray | Sequence[tuple[float, float]], colour: Colour) -> None:
        """Fill the polygon through points [n, 2]."""
        pixels = np.asarray(points) @ self._axes + self._centre
        self._draw.polygon(pixels.ravel().tolist(), fill=colour)

    def ellipse(self, x: float, y: float, rx: float, ry: float, colour: Colour) -> None:
        """Fill an ellipse around (x, y)."""
        self.fill(_CIRCLE * (rx, max(ry, 0.005)) + (x, y), colour)

    def stroke(self, x: FloatArray, y: FloatArray, width: float, colour: Colour) -> None:
        """Draw a line of some width through points, thinner at its ends."""
        half = width / 2 * np.sin(np.linspace(0.15, np.pi - 0.15, len(x)))
        self.band(x, y - half, y + half, colour)

    def band(self, x: FloatArray, upper: FloatArray, lower: FloatArray, colour: Colour) -> None:
        """Fill between two lines over the same x."""
        y = np.concatenate([upper, lower[::-1]])
        self.fill(np.stack([np.concatenate([x, x[::-1]]), y], axis=1), colour)


def _draw_person(image: Image.Image, person: Person, cues: Mapping[str, float]) -> None:
    body, head = _Pen(image, person, 0.0), _Pen(image, person, cues["head_tilt"])
    skin = _blend(person.skin, (228, 232, 240), 0.55 * float(np.clip(-cues["blush"], 0, 1)))
    length = 0.3 * person.long_hair
    head.ellipse(0, -0.2 + length, 1.08 + length / 4, 1.15 + length, person.hair)
    body.fill([(-0.4, 0.7), (0.4, 0.7), (0.5, 1.6), (-0.5, 1.6)], _blend(skin, _SHADE, 0.2))
    body.ellipse(0, 2.75, 1.7, 1.35, _blend(person.wall, _SHADE, 0.6))  # the clothes
    head.ellipse(0, 0.05, 1.06, 0.24, _blend(skin, _SHADE, 0.1))  # the ears
    head.ellipse(0, 0, 0.96, 1.25, skin)
    cheek = _blend(skin, (226, 60, 84), 0.5 * float(np.clip(cues["blush"], 0.1, 1)))
    for side in (-1, 1):
        head.ellipse(side * 0.56, 0.32, 0.24, 0.18, cheek)
    crown, fringe = -0.4 - 0.93 * np.sqrt(_ARCH), -0.62 - 0.2 * _ARCH
    head.band(0.96 * _ACROSS, np.minimum(crown, fringe), fringe, person.hair)
    for side in (-1, 1):
        _draw_eye(head, side, person, skin, cues)
    _draw_nose_and_mouth(head, skin, cues)


def _draw_eye(
    head: _Pen, side: int, person: Person, skin: Colour, cues: Mapping[str, float]
) -> None:
    open_ = np.clip(1 + 0.6 * cues["lid_raise"] - 0.65 * cues["squint"], 0.03, 1.6)
    x, height = side * 0.42, 0.10 * open_
    head.ellipse(x, -0.14, 0.28, 0.2, _blend(skin, _SHADE, 0.15))  # the socket
    head.ellipse(x, -0.12, 0.22, 1.25 * height, _DARK)
    head.ellipse(x, -0.1, 0.20, height, (238, 232, 228))
    look = x + 0.1 * cues["gaze_away"]
    head.ellipse(look, -0.1, 0.12, min(0.12, height), (58, 40, 32))
    head.ellipse(look, -0.1, 0.055, min(0.055, height), (8, 5, 5))
    raised = 0.18 * cues["brow_raise"] - 0.14 * cues["brow_lower"]
    slope = 0.1 * (cues["tears"] - cues["brow_lower"]) * side * _ACROSS
    head.stroke(x + 0.25 * _ACROSS, -0.38 - raised - 0.07 * _ARCH + slope, 0.09, person.hair)
    tear = float(np.clip(cues["tears"], 0, 1.2))
    if tear > 0.08:
        head.ellipse(x + 0.03, 0.08 + 0.3 * tear, 0.07, 0.08 + 0.26 * tear, (160, 212, 250))


def _draw_nose_and_mouth(head: _Pen, skin: Colour, cues: Mapping[str, float]) -> None:
    shade = _blend(skin, _SHADE, 0.25)
    wrinkle = float(np.clip(cues["nose_wrinkle"], 0, 1.1))
    head.fill([(0.02, -0.1), (0.15, 0.32), (0, 0.38)], shade)
    head.stroke(0.17 * _ACROSS, 0.36 - 0.06 * wrinkle + 0.05 * _ARCH, 0.08, shade)
    for line in range(3):
        height = 0.02 + 0.07 * line - 0.04 * _ARCH
        head.stroke(0.16 * wrinkle * _ACROSS, height, 0.05 * wrinkle, shade)
    smile = cues["smile"]
    opened = float(np.clip(max(cues["mouth_open"], 0.55 * cues["speech"]), 0, 1.1))
    x = (0.36 + 0.1 * smile - 0.08 * opened * (smile < 0.5)) * _ACROSS
    middle = 0.72 - 0.13 * smile * (_ACROSS**2 - 0.4) - 0.08 * wrinkle * _ARCH
    upper, lower = middle - 0.08 * opened * _ARCH, middle + (0.03 + 0.34 * opened) * _ARCH
    lips = _blend(shade, (160, 50, 58), 0.6)
    head.stroke(x, upper - 0.02, 0.10, lips)
    head.stroke(x, lower + 0.02, 0.12, lips)
    head.band(x, upper, lower, (86, 20, 30))
    head.band(x, upper, np.minimum(upper + 0.1, lower), _WHITE)


def _blend(one: Colour, other: Colour, share: float) -> Colour:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue
