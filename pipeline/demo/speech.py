"""Plan what a voice utters and when: syllables, laughs, gasps, sighs and the pauses between."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pipeline.demo.cues import VOCAL_CUES, FloatArray
from pipeline.demo.people import VoiceTraits

CONTROL_RATE_HZ = 100
VOWELS = ("a", "e", "i", "o", "u")
MOUTH_BY_VOWEL = np.array([1.0, 0.65, 0.4, 0.7, 0.35])


@dataclass(frozen=True)
class Speech:
    """Control curves at `CONTROL_RATE_HZ`, each of shape [n_steps] unless said otherwise.

    Parameters
    ----------
    voiced, breath, hiss
        Loudness of the vocal folds, of breath through the mouth, of consonants; 0 to about 1.
    vowels
        Share of each vowel, shape [n_steps, n_vowels], rows sum to 1.
    lift_st
        Intonation: pitch over the speaker's own, in semitones.
    """

    voiced: FloatArray
    breath: FloatArray
    hiss: FloatArray
    vowels: FloatArray
    lift_st: FloatArray

    @property
    def mouth(self) -> FloatArray:
        """How far the mouth opens, 0 to about 1."""
        opened: FloatArray = np.clip(self.voiced + 0.4 * self.breath, 0, 1)
        opened *= self.vowels @ MOUTH_BY_VOWEL
        return opened


def plan_speech(traits: VoiceTraits, cues: FloatArray, rng: np.random.Generator) -> Speech:
    """Utter syllables until the time is up; what the cues say at a moment colours what comes next.

    Parameters
    ----------
    cues
        Vocal cues over time, shape [n_steps, n_vocal_cues], at `CONTROL_RATE_HZ`.
    """
    n_steps = len(cues)
    tracks = _Tracks(n_steps)
    step, left_in_phrase, gasped = int(rng.integers(5, 20)), int(rng.integers(4, 7)), False
    while step < n_steps - 12:
        now = dict(zip(VOCAL_CUES, cues[step], strict=True))
        if not gasped and now["gasp"] > 0.12 and cues[step, _GASP] >= 0.9 * cues[:, _GASP].max():
            step = _gasp(tracks, step, now["gasp"])
            gasped = True
        elif rng.random() < 0.9 * now["laughter"]:
            step = _laugh(tracks, step, now["laughter"], rng)
        elif left_in_phrase == 0:
            step = _pause(tracks, step, now, rng)
            left_in_phrase = int(rng.integers(4, 7))
        else:
            step = _syllable(tracks, step, traits, now, rng)
            left_in_phrase -= 1
    return tracks.finish()


class _Tracks:
    """The control curves while they are written."""

    def __init__(self, n_steps: int) -> None:
        self.voiced = np.zeros(n_steps)
        self.breath = np.zeros(n_steps)
        self.hiss = np.zeros(n_steps)
        self.lift_st = np.zeros(n_steps)
        self.vowels = np.zeros((n_steps, len(VOWELS)))
        self.vowels[:, 1] = 0.05

    def add(
        self, track: FloatArray, start: int, length: int, peak: float, skew: float = 0.5
    ) -> None:
        """Add a smooth hump that peaks after the share `skew` of its length."""
        end = min(start + length, len(track))
        t = np.arange(end - start) / length
        bent = np.where(t < skew, t / skew, (1 - t) / (1 - skew)) / 2
        track[start:end] += peak * np.sin(np.pi * bent) ** 1.2

    def say(self, start: int, length: int, vowel: int) -> None:
        """Let the mouth take the shape of a vowel."""
        self.vowels[start : start + length, vowel] += 1.0

    def finish(self) -> Speech:
        """Smooth the vowels into one another."""
        kernel = np.hanning(9)
        smooth = np.apply_along_axis(np.convolve, 0, self.vowels, kernel, "same")
        shares = smooth / smooth.sum(axis=1, keepdims=True)
        return Speech(self.voiced, self.breath, self.hiss, shares, self.lift_st)


def _syllable(
    tracks: _Tracks,
    step: int,
    traits: VoiceTraits,
    now: Mapping[str, float],
    rng: np.random.Generator,
) -> int:
    rate = traits.syllables_per_s * np.exp(0.5 * now["rate"]) * rng.uniform(0.9, 1.1)
    length = max(int(CONTROL_RATE_HZ / rate), 8)
    onset = max(length // 4, 3)
    if rng.random() < 0.5:
        tracks.add(tracks.hiss, step, onset + 3, rng.uniform(0.3, 0.7))
    tracks.add(tracks.voiced, step + onset, length - onset + 2, rng.uniform(0.75, 1.0), 0.35)
    tracks.say(step, length, int(rng.integers(len(VOWELS))))
    accent = rng.normal(0, 1.2) * np.exp(0.9 * now["pitch_range"]) + 3.0 * now[
        "pitch_range"
    ] * rng.choice([-1, 1])
    tracks.add(tracks.lift_st, step, length + 6, accent)
    return step + length


def _laugh(tracks: _Tracks, step: int, strength: float, rng: np.random.Generator) -> int:
    """Utter a few "ha": a puff of breath, a short high vowel, each a little lower than the last."""
    n_pulses = int(rng.integers(3, 6))
    for pulse in range(n_pulses):
        start = step + 17 * pulse
        tracks.add(tracks.breath, start, 8, 0.5)
        tracks.add(tracks.voiced, start + 5, 11, 0.7 + 0.4 * strength)
        tracks.say(start, 17, 0)
        tracks.add(tracks.lift_st, start, 18, 5.0 * (1 - 0.12 * pulse))
    return step + 17 * n_pulses + 6


def _gasp(tracks: _Tracks, step: int, strength: float) -> int:
    """Draw breath sharply: noise that swells and is cut off, then silence."""
    tracks.add(tracks.breath, step, 40, 1.3 * min(strength, 1.0), 0.8)
    tracks.say(step, 40, 3)
    return step + 40 + int(15 * strength)


def _pause(tracks: _Tracks, step: int, now: Mapping[str, float], rng: np.random.Generator) -> int:
    """Breathe between phrases; a sigh is a long audible one that ends in a falling tone."""
    sigh = max(now["sigh"], 0.0)
    if sigh > 0.15:
        length = int(30 + 40 * sigh)
        tracks.add(tracks.breath, step, length, 1.1 * sigh, 0.3)
        tracks.add(tracks.voiced, step + 8, length - 12, 0.35 * sigh, 0.2)
        tracks.say(step, length, 0)
        tracks.add(tracks.lift_st, step + length // 3, length, -4.0 * sigh, 0.6)
        return step + length + 5
    length = int(rng.integers(14, 24) * np.exp(-0.6 * now["rate"]))
    tracks.add(tracks.breath, step, length, 0.12)
    return step + length


_GASP = VOCAL_CUES.index("gasp")
