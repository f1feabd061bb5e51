"""A pen that draws in face units, wherever the face is and however it is turned."""

from functools import lru_cache
from math import comb, cos, sin
from typing import Self

import numpy as np
from numpy.typing import ArrayLike
from PIL import Image, ImageDraw

from pipeline.demo.cues import FloatArray
from pipeline.demo.people import Colour


class Pen:
    """Draw filled shapes and tapered strokes under an affine map from face units to pixels.

    Parameters
    ----------
    image
        The picture to draw on, mode RGB.
    centre_px
        Where the origin of the face lies (x, y).
    unit_px
        Length of one face unit, half the width of a head.
    angle_rad
        Rotation, clockwise as seen.
    """

    def __init__(
        self, image: Image.Image, centre_px: ArrayLike, unit_px: float, angle_rad: float = 0.0
    ) -> None:
        self._draw = ImageDraw.Draw(image, "RGBA")
        self._origin = np.asarray(centre_px, dtype=float)
        self._axes = unit_px * _rotation(angle_rad)

    def at(self, x: float, y: float, *, flip: bool = False, angle_rad: float = 0.0) -> Self:
        """Give a pen on the same picture with its origin at (x, y), mirrored and turned."""
        pen = object.__new__(type(self))
        pen._draw = self._draw
        pen._origin = self._origin + np.array([x, y]) @ self._axes
        mirror = np.diag([-1.0, 1.0]) if flip else np.eye(2)
        pen._axes = _rotation(angle_rad) @ mirror @ self._axes
        return pen

    def fill(self, points: FloatArray, colour: Colour, opacity: float = 1.0) -> None:
        """Fill the polygon through points of shape [n, 2]."""
        alpha = round(255 * min(max(opacity, 0.0), 1.0))
        if alpha > 0:
            pixels = points @ self._axes + self._origin
            self._draw.polygon(pixels.ravel().tolist(), fill=(*colour, alpha))

    def ellipse(
        self, x: float, y: float, rx: float, ry: float, colour: Colour, opacity: float = 1.0
    ) -> None:
        """Fill an ellipse around (x, y)."""
        self.fill(ellipse(x, y, rx, ry), colour, opacity)

    def stroke(
        self, points: FloatArray, widths: ArrayLike, colour: Colour, opacity: float = 1.0
    ) -> None:
        """Draw a line through points [n, 2]; widths spread evenly along it (one, or from-to)."""
        along = np.gradient(points, axis=0)
        normal = np.column_stack([-along[:, 1], along[:, 0]])
        normal /= np.linalg.norm(normal, axis=1, keepdims=True) + 1e-9
        given = np.atleast_1d(np.asarray(widths, dtype=float))
        spread = np.interp(np.linspace(0, 1, len(points)), np.linspace(0, 1, len(given)), given)
        half = normal * spread[:, None] / 2
        self.fill(np.concatenate([points + half, (points - half)[::-1]]), colour, opacity)


def ellipse(x: float, y: float, rx: float, ry: float) -> FloatArray:
    """Give an ellipse as a polygon of shape [36, 2]."""
    points: FloatArray = np.array([x, y]) + _CIRCLE * np.array([rx, ry])
    return points


def bezier(*control_points: tuple[float, float]) -> FloatArray:
    """Give the Bezier curve of these control points as a polyline of shape [25, 2]."""
    points: FloatArray = _bernstein(len(control_points)) @ np.array(control_points)
    return points


def blend(one: Colour, other: Colour, share: float) -> Colour:
    """Mix a share of the other colour into the first."""
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(one, other, strict=True))
    return red, green, blue


def darker(colour: Colour, share: float) -> Colour:
    """Mix a share of near-black into a colour."""
    return blend(colour, (30, 16, 20), share)


@lru_cache
def _bernstein(n: int) -> FloatArray:
    t = np.linspace(0, 1, 25)[:, None]
    k = np.arange(n)
    choose = np.array([comb(n - 1, i) for i in k])
    weights: FloatArray = choose * t**k * (1 - t) ** (n - 1 - k)
    return weights


def _rotation(angle_rad: float) -> FloatArray:
    """Rotate row vectors (x right, y down) clockwise as seen."""
    return np.array([[cos(angle_rad), sin(angle_rad)], [-sin(angle_rad), cos(angle_rad)]])


_ANGLES = np.linspace(0, 2 * np.pi, 36, endpoint=False)
_CIRCLE = np.column_stack([np.cos(_ANGLES), np.sin(_ANGLES)])
