"""A made voice: pulses of vocal folds and noise of breath, shaped by the formants of vowels.

A source-filter synthesiser after Klatt (1980, J. Acoust. Soc. Am. 67), syllable by syllable.
"""

import numpy as np
from numpy.typing import NDArray
from scipy.signal import lfilter

from pipeline.demo.rules import FRAME_RATE_HZ, VOICE_CUES, FloatArray, Person

SAMPLE_RATE_HZ = 16_000

_FORMANTS_HZ = {
    "a": (750, 1250, 2550, 3500),
    "e": (500, 1800, 2500, 3500),
    "i": (300, 2200, 2950, 3600),
    "o": (470, 900, 2450, 3400),
}
_BANDWIDTHS_HZ = (80, 100, 140, 200)
_SYLLABLES_PER_S = 4.4
_HISS = 0.002  # of the microphone


def speak(
    person: Person, cues: FloatArray, rng: np.random.Generator
) -> tuple[NDArray[np.float32], FloatArray]:
    """Let a person speak for as long as the cues last.

    Parameters
    ----------
    person, cues : Person and array [n_frames, n_voice_cues]
        Whose pitch and vocal tract are heard, and what `rules.act` has the voice show.
    rng : numpy.random.Generator
        Draws vowels, accents and noise.

    Returns
    -------
    sound, mouth : arrays [n_samples], the first of float32
        In [-1, 1], at `SAMPLE_RATE_HZ`; and how far the speaking mouth is open, 0 to 1.
    """
    n_samples = len(cues) * SAMPLE_RATE_HZ // FRAME_RATE_HZ
    sound, mouth = _HISS * rng.standard_normal(n_samples), np.zeros(n_samples)
    at = int(0.1 * SAMPLE_RATE_HZ)
    while at < n_samples:
        now = dict(zip(VOICE_CUES, cues[at * FRAME_RATE_HZ // SAMPLE_RATE_HZ], strict=True))
        laughs = rng.random() < 0.9 * now["laughter"]
        rate = _SYLLABLES_PER_S * np.exp(0.5 * now["rate"]) * rng.uniform(0.9, 1.1)
        length_s, pause_s = (0.12, 0.05) if laughs else (0.85 / rate, 0.15 / rate)
        pause_s += 0.25 * (rng.random() < 0.2)  # a phrase has about five syllables
        n = min(int(length_s * SAMPLE_RATE_HZ), n_samples - at)
        opening = np.sin(np.pi * np.linspace(0, 1, n)) ** 0.8
        sound[at : at + n] += opening * _syllable(person, now, laughs, n, rng)
        mouth[at : at + n] = opening
        at += n + int(pause_s * SAMPLE_RATE_HZ)
    return np.tanh(sound).astype(np.float32), mouth


def _syllable(
    person: Person, now: dict[str, float], laughs: bool, n: int, rng: np.random.Generator
) -> FloatArray:
    """Utter a vowel, or a "ha" of laughter, of n samples."""
    tremor = np.clip(now["tremor"], 0, 1.2) * np.sin(
        2 * np.pi * rng.uniform(6, 8) * np.arange(n) / SAMPLE_RATE_HZ
    )
    lift_st = 8 * now["pitch"] + rng.normal(0, 1.5) + 5 * laughs - np.linspace(0, 2, n)
    pitch_hz = np.clip(person.pitch_hz * 2 ** ((lift_st + 1.6 * tremor) / 12), 55, 600)
    opened = np.cumsum(pitch_hz / SAMPLE_RATE_HZ) % 1 / 0.6  # the vocal folds, in each cycle
    flow = np.where(opened < 1, 2 * opened - 3 * opened**2, 0.0)  # Klatt & Klatt 1990
    breath = np.clip(0.05 + 0.5 * now["breath"] + 0.3 * laughs, 0, 1)
    ringing = (1 - breath) * flow + 0.35 * breath * rng.standard_normal(n)
    vowel = "a" if laughs else rng.choice(list(_FORMANTS_HZ))
    for formant_hz, bandwidth_hz in zip(_FORMANTS_HZ[vowel], _BANDWIDTHS_HZ, strict=True):
        radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
        b = 2 * radius * np.cos(2 * np.pi * formant_hz * person.formant_scale / SAMPLE_RATE_HZ)
        c = -(radius**2)
        ringing = lfilter([1 - b - c], [1, -b, -c], ringing)
    dull = lfilter([0.45], [1, -0.55], ringing)
    tilt = 0.8 + 0.8 * np.tanh(1.5 * now["brightness"])
    gain = 0.16 * 10 ** (9 * np.clip(now["loudness"], -2, 2) / 20) * (1 + 0.35 * tremor)
    heard: FloatArray = gain * (dull + tilt * (ringing - dull))
    return heard
