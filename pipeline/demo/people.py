"""Invented people: how each looks, sounds and is filmed."""

from dataclasses import dataclass

import numpy as np

Colour = tuple[int, int, int]

_SKINS: tuple[Colour, ...] = ((255, 219, 188), (233, 184, 148), (193, 138, 98), (146, 98, 70))
_HAIRS: tuple[Colour, ...] = ((34, 26, 24), (92, 58, 34), (196, 152, 84), (150, 62, 34))


@dataclass(frozen=True)
class Person:
    """One invented person before their camera.

    Attributes
    ----------
    person_id, age, country
        As in the label table.
    skin, hair, wall : (red, green, blue)
        Colours of the picture.
    long_hair : bool
    expressiveness, zoom, offset : float
        Factors: how strongly they show what they feel, and how near the face is; how far it is from
        the middle, in shares of the picture.
    pitch_hz, formant_scale : float
        The neutral voice.
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
