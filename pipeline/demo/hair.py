"""Hair styles and what people wear on their heads."""

import numpy as np

from pipeline.demo.cues import FloatArray
from pipeline.demo.pen import Pen, bezier, blend, darker, ellipse
from pipeline.demo.people import Look


def draw_hair_behind(pen: Pen, look: Look) -> None:
    """Draw the hair that hangs behind the head."""
    shade = darker(look.hair, 0.18)
    match look.hair_style:
        case "long":
            side = bezier((-0.5, -0.6), (-2.0, 0.2), (-1.1, 1.8), (0.0, 1.6))
            pen.fill(np.concatenate([side, side[::-1] * [-1, 1]]), shade)
            pen.ellipse(0, -0.25, 1.22, 1.2, shade)
        case "bob":
            pen.ellipse(0, 0.05, 1.24, 1.18, shade)
        case "bun":
            pen.ellipse(0, -1.38, 0.42, 0.38, shade)
        case "curly":
            for angle in np.linspace(np.pi * 0.92, np.pi * 2.08, 13):
                pen.ellipse(1.02 * np.cos(angle), 0.95 * np.sin(angle) - 0.2, 0.33, 0.33, shade)
        case "scarf":
            pen.ellipse(0, 0.02, 1.22, 1.42, darker(look.clothes, 0.25))


def draw_hair_before(pen: Pen, look: Look) -> None:
    """Draw the hair that falls over the forehead."""
    match look.hair_style:
        case "short":
            _cap(pen, look, bezier((-0.97, -0.42), (-0.75, -1.15), (0.3, -0.75), (0.97, -0.42)))
        case "long":
            left = bezier((-1.06, 0.55), (-0.82, -0.70), (-0.12, -1.14))
            _cap(pen, look, np.concatenate([left, left[::-1] * [-1, 1]]))
        case "bun":
            _cap(pen, look, bezier((-0.97, -0.35), (-0.6, -1.08), (0.6, -1.08), (0.97, -0.35)))
        case "bob":
            left = bezier((-1.12, 0.60), (-0.72, 0.10), (-0.78, -0.72))
            fringe = bezier((-0.78, -0.72), (0, -0.80), (0.78, -0.72))
            _cap(pen, look, np.concatenate([left, fringe, left[::-1] * [-1, 1]]))
        case "side":
            _cap(pen, look, bezier((-0.99, -0.25), (-0.80, -1.45), (0.2, -0.70), (0.97, -0.35)))
        case "curly":
            for angle in np.linspace(np.pi * 1.12, np.pi * 1.88, 8):
                pen.ellipse(0.80 * np.cos(angle), 0.95 * np.sin(angle) - 0.2, 0.26, 0.24, look.hair)
        case "scarf":
            _wrap(pen, look)


def draw_worn(turned: Pen, head: Pen, look: Look) -> None:
    """Draw glasses (they turn with the eyes) and earrings (they stay with the head)."""
    if look.glasses:
        frame = (44, 40, 48)
        for side in (-1, 1):
            ring = ellipse(side * 0.44, -0.12, 0.37, 0.31)
            turned.stroke(np.concatenate([ring, ring[:2]]), 0.035, frame)
            turned.stroke(np.array([[side * 0.80, -0.16], [side * 0.99, -0.14]]), 0.035, frame)
        turned.stroke(bezier((-0.08, -0.16), (0, -0.22), (0.08, -0.16)), 0.035, frame)
    if look.earrings and look.hair_style not in ("long", "bob", "scarf"):
        for side in (-1, 1):
            head.ellipse(side * 1.02 * look.face_width, 0.31, 0.055, 0.055, (240, 204, 96))


def _cap(pen: Pen, look: Look, fringe: FloatArray) -> None:
    """Fill between a fringe [n, 2], drawn from left to right, and the outline of the skull."""
    reach = np.array([look.face_width + 0.06, 1.30])
    ends = fringe[[-1, 0]] / reach
    right, left = np.arctan2(ends[:, 1], ends[:, 0])
    left -= 2 * np.pi * (left > 0)
    angles = np.linspace(right, left, 40)
    skull = reach * np.column_stack([np.cos(angles), np.sin(angles)])
    pen.fill(np.concatenate([fringe, skull]), look.hair)
    gloss = bezier((-0.55, -1.02), (-0.1, -1.22), (0.4, -1.12))
    pen.stroke(gloss, [0.01, 0.07, 0.01], blend(look.hair, (255, 255, 255), 0.25), 0.6)


def _wrap(pen: Pen, look: Look) -> None:
    angles = np.linspace(0, 2 * np.pi, 49)
    outer = np.column_stack([1.20 * np.cos(angles), 1.38 * np.sin(angles) + 0.02])
    inner = np.column_stack([0.93 * np.cos(angles), 1.05 * np.sin(angles) + 0.12])
    outer[:, 1] = np.minimum(outer[:, 1], 1.30)
    upper = angles >= np.pi  # the cloth covers forehead and temples, the jaw stays free
    pen.fill(np.concatenate([outer[upper], inner[upper][::-1]]), look.clothes)
    pen.stroke(inner[upper], 0.04, darker(look.clothes, 0.3))
