"""What lies behind the person, and what light, lens and sensor do to the picture."""

import numpy as np
from PIL import Image, ImageFilter

from pipeline.demo.cues import ByteImage, FloatArray
from pipeline.demo.pen import Pen, bezier, blend, darker
from pipeline.demo.people import Person

SUPERSAMPLING = 2


def draw_room(person: Person, image_size_px: int) -> Image.Image:
    """Draw the room behind a person, `SUPERSAMPLING` times as large as the filmed picture."""
    size = image_size_px * SUPERSAMPLING
    wall = person.wall
    picture = Image.new("RGB", (size, size), wall)
    pen = Pen(picture, (0, 0), size)
    light, dark = blend(wall, (255, 255, 255), 0.30), darker(wall, 0.20)
    match person.room:
        case "window":
            pen.fill(_box(0.62, 0.05, 0.95, 0.55), light)
            pen.fill(_box(0.64, 0.07, 0.93, 0.53), (196, 222, 240))
            pen.fill(_box(0.775, 0.05, 0.795, 0.55), light)
        case "shelf":
            pen.fill(_box(0.0, 0.36, 0.28, 0.39), darker(wall, 0.45))
            for i, colour in enumerate(
                ((170, 84, 70), (80, 110, 140), (196, 168, 96), (96, 130, 96))
            ):
                pen.fill(
                    _box(0.03 + 0.055 * i, 0.18 + 0.02 * (i % 2), 0.08 + 0.055 * i, 0.36), colour
                )
        case "picture":
            pen.fill(_box(0.05, 0.08, 0.30, 0.34), darker(wall, 0.5))
            pen.fill(_box(0.07, 0.10, 0.28, 0.32), (226, 220, 204))
            pen.fill(
                np.array([[0.07, 0.32], [0.15, 0.18], [0.20, 0.25], [0.24, 0.21], [0.28, 0.32]]),
                dark,
            )
        case "curtain":
            for i in range(4):
                pen.fill(_box(0.74 + 0.07 * i, 0.0, 0.78 + 0.07 * i, 1.0), dark if i % 2 else light)
        case "plant":
            for lean in (-0.10, -0.04, 0.03, 0.09):
                leaf = bezier((0.88, 0.72), (0.88 + lean / 2, 0.5), (0.88 + 1.2 * lean, 0.36))
                pen.stroke(leaf, [0.015, 0.05, 0.005], (74, 120, 78))
            pen.fill(
                np.array([[0.81, 0.70], [0.95, 0.70], [0.93, 0.86], [0.83, 0.86]]), (176, 104, 72)
            )
    pen.fill(_box(0.0, 0.93, 1.0, 1.0), dark)
    return picture.filter(ImageFilter.GaussianBlur(size / 160))


class Film:
    """A person's camera and light: turns drawn pictures into filmed frames."""

    def __init__(self, person: Person, image_size_px: int) -> None:
        self._camera = person.camera
        self._size = image_size_px
        across = np.linspace(-1, 1, image_size_px)[None, :, None]
        colour = np.array(person.light.colour) * person.light.gain
        shading = colour * (1 + 0.22 * person.light.side * across)
        self._shading = np.broadcast_to(shading, (image_size_px, image_size_px, 3)).astype(
            np.float32
        )

    def expose(self, drawn: Image.Image, rng: np.random.Generator) -> ByteImage:
        """Give the frame, uint8 [image_size_px, image_size_px, 3]."""
        small = drawn.reduce(SUPERSAMPLING)
        if self._camera.blur_px > 0.1:
            small = small.filter(ImageFilter.GaussianBlur(self._camera.blur_px))
        noise = rng.standard_normal((self._size, self._size, 1), dtype=np.float32)
        frame = np.asarray(small, np.float32) * self._shading + self._camera.noise * noise
        return np.clip(frame, 0, 255).astype(np.uint8)


def _box(left: float, top: float, right: float, bottom: float) -> FloatArray:
    return np.array([[left, top], [right, top], [right, bottom], [left, bottom]])
