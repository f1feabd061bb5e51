"""Invented people: how each looks, sounds, is lit and filmed."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Colour = tuple[int, int, int]

SKINS: tuple[Colour, ...] = (
    (255, 224, 200),
    (247, 205, 172),
    (232, 183, 144),
    (214, 158, 116),
    (184, 126, 86),
    (146, 96, 64),
    (108, 70, 48),
)
HAIRS: tuple[Colour, ...] = (
    (38, 30, 30),
    (70, 46, 32),
    (112, 70, 40),
    (168, 112, 58),
    (214, 176, 104),
    (160, 66, 36),
    (176, 176, 182),
)
EYES: tuple[Colour, ...] = ((74, 48, 30), (58, 96, 140), (74, 116, 76), (104, 78, 44))
CLOTHES: tuple[Colour, ...] = (
    (84, 104, 138),
    (146, 88, 90),
    (92, 124, 104),
    (184, 158, 104),
    (114, 100, 134),
    (86, 90, 98),
    (172, 172, 168),
    (78, 132, 142),
)
WALLS: tuple[Colour, ...] = (
    (204, 200, 192),
    (190, 198, 204),
    (196, 204, 192),
    (208, 196, 190),
    (182, 188, 198),
    (200, 194, 206),
    (190, 184, 176),
)
HAIR_STYLES = ("short", "long", "bun", "curly", "bob", "bald", "side", "scarf")
ROOMS = ("window", "shelf", "picture", "curtain", "plant")
COUNTRIES = ("Demoland North", "Demoland South")


@dataclass(frozen=True)
class Look:
    """Appearance; lengths are factors on an average face."""

    skin: Colour
    hair: Colour
    eyes: Colour
    clothes: Colour
    hair_style: str
    face_width: float
    jaw_taper: float
    eye_size: float
    eye_gap: float
    brow_thickness: float
    nose_size: float
    lip_fullness: float
    lip_redness: float
    glasses: bool
    beard: bool
    moustache: bool
    earrings: bool
    freckles: bool


@dataclass(frozen=True)
class VoiceTraits:
    """A neutral voice: pitch, vocal tract length (as a factor on formants), tempo, timbre."""

    pitch_hz: float
    formant_scale: float
    syllables_per_s: float
    breathiness: float
    roughness: float
    hiss: float


@dataclass(frozen=True)
class Camera:
    """Framing in shares of the picture (0 = centred), zoom factor, blur radius in px, noise."""

    offset_x: float
    offset_y: float
    zoom: float
    blur_px: float
    noise: float


@dataclass(frozen=True)
class Light:
    """Overall gain, colour per channel, and shading from -1 (lit from the left) to 1 (right)."""

    gain: float
    colour: tuple[float, float, float]
    side: float


@dataclass(frozen=True)
class Person:
    """One invented person in their room."""

    person_id: str
    age: float
    country: str
    expressiveness: float
    look: Look
    voice: VoiceTraits
    camera: Camera
    light: Light
    wall: Colour
    room: str


def draw_people(n_people: int, rng: np.random.Generator) -> tuple[Person, ...]:
    """Draw people who differ from one another.

    Every palette and style is dealt out like shuffled cards, so a small cast is varied too.
    """
    deck = {
        "skin": _deal(len(SKINS), n_people, rng),
        "hair": _deal(len(HAIRS) - 1, n_people, rng),
        "eyes": _deal(len(EYES), n_people, rng),
        "clothes": _deal(len(CLOTHES), n_people, rng),
        "wall": _deal(len(WALLS), n_people, rng),
        "style": _deal(len(HAIR_STYLES), n_people, rng),
        "room": _deal(len(ROOMS), n_people, rng),
        "country": _deal(len(COUNTRIES), n_people, rng),
        "low_voice": _deal(2, n_people, rng),
    }
    return tuple(
        _draw_person(index, {name: int(cards[index]) for name, cards in deck.items()}, rng)
        for index in range(n_people)
    )


def _deal(n_kinds: int, n_people: int, rng: np.random.Generator) -> NDArray[np.int64]:
    rounds = -(-n_people // n_kinds)
    return np.concatenate([rng.permutation(n_kinds) for _ in range(rounds)])[:n_people]


def _draw_person(index: int, cards: dict[str, int], rng: np.random.Generator) -> Person:
    low_voice = cards["low_voice"] == 1
    age = round(float(rng.uniform(19, 68)), 1)
    warm = rng.normal(0, 0.02)
    return Person(
        person_id=f"person_{index:02d}",
        age=age,
        country=COUNTRIES[cards["country"]],
        expressiveness=float(rng.uniform(0.9, 1.1)),
        look=_draw_look(cards, low_voice, age, rng),
        voice=_draw_voice(low_voice, rng),
        camera=Camera(
            offset_x=float(rng.normal(0, 0.012)),
            offset_y=float(rng.normal(0, 0.01)),
            zoom=float(rng.uniform(0.97, 1.03)),
            blur_px=float(rng.uniform(0.0, 0.5)),
            noise=float(rng.uniform(0.5, 2.0)),
        ),
        light=Light(
            gain=float(rng.uniform(0.95, 1.05)),
            colour=(1 + float(warm), 1.0, 1 - float(warm)),
            side=float(rng.uniform(-0.45, 0.45)),
        ),
        wall=WALLS[cards["wall"]],
        room=ROOMS[cards["room"]],
    )


def _draw_look(
    cards: dict[str, int], low_voice: bool, age: float, rng: np.random.Generator
) -> Look:
    skin, hair, eyes = cards["skin"], cards["hair"], cards["eyes"]
    if skin >= 4:  # with dark skin, dark hair and eyes are usual
        hair, eyes = hair % 3, 3 * (eyes % 2)
    if age > 58:
        hair = len(HAIRS) - 1
    return Look(
        skin=SKINS[skin],
        hair=HAIRS[hair],
        eyes=EYES[eyes],
        clothes=CLOTHES[cards["clothes"]],
        hair_style=HAIR_STYLES[cards["style"]],
        face_width=float(rng.uniform(0.93, 1.07)),
        jaw_taper=float(rng.uniform(0.14, 0.34)),
        eye_size=float(rng.uniform(0.92, 1.12)),
        eye_gap=float(rng.uniform(0.95, 1.06)),
        brow_thickness=float(rng.uniform(0.8, 1.3)),
        nose_size=float(rng.uniform(0.85, 1.2)),
        lip_fullness=float(rng.uniform(0.8, 1.25)),
        lip_redness=float(rng.uniform(0.15, 0.5)),
        glasses=bool(rng.random() < 0.25),
        beard=low_voice and bool(rng.random() < 0.3),
        moustache=low_voice and bool(rng.random() < 0.25),
        earrings=not low_voice and bool(rng.random() < 0.5),
        freckles=bool(rng.random() < 0.2),
    )


def _draw_voice(low_voice: bool, rng: np.random.Generator) -> VoiceTraits:
    return VoiceTraits(
        pitch_hz=float(rng.uniform(95, 140) if low_voice else rng.uniform(165, 225)),
        formant_scale=float(rng.uniform(0.95, 1.05) if low_voice else rng.uniform(1.1, 1.22)),
        syllables_per_s=float(rng.uniform(3.6, 4.6)),
        breathiness=float(rng.uniform(0.03, 0.15)),
        roughness=float(rng.uniform(0.0, 0.1)),
        hiss=float(rng.uniform(0.001, 0.004)),
    )
