"""Synthesise a voice: pulses of vocal folds and noise of breath, shaped by a vocal tract.

A source-filter synthesiser after Klatt (1980, J. Acoust. Soc. Am. 67), with the glottal pulse of
Klatt & Klatt (1990): the source runs through one chain of resonators per vowel, and the vowels
are faded into one another.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from scipy.signal import butter, lfilter, sosfilt

from pipeline.demo.cues import VOCAL_CUES, FloatArray
from pipeline.demo.people import VoiceTraits
from pipeline.demo.speech import CONTROL_RATE_HZ, VOWELS, Speech, plan_speech

SAMPLE_RATE_HZ = 16_000

# First four formants in Hz per vowel of `VOWELS`, for a formant scale of 1.
_FORMANTS_HZ = np.array(
    [
        [750, 1250, 2550, 3500],
        [500, 1800, 2500, 3500],
        [300, 2200, 2950, 3600],
        [470, 900, 2450, 3400],
        [330, 800, 2350, 3400],
    ]
)
_BANDWIDTHS_HZ = (80, 100, 140, 200)


@dataclass(frozen=True)
class Utterance:
    """A voice and the mouth that goes with it.

    Parameters
    ----------
    sound
        float32 in [-1, 1], shape [n_samples], at `SAMPLE_RATE_HZ`.
    mouth
        How far the mouth opens, 0 to 1, shape [n_steps], at `CONTROL_RATE_HZ`.
    """

    sound: NDArray[np.float32]
    mouth: FloatArray


def synthesise(traits: VoiceTraits, cues: FloatArray, rng: np.random.Generator) -> Utterance:
    """Let a person speak for as long as the cues last.

    Parameters
    ----------
    cues
        Vocal cues over time, shape [n_steps, n_vocal_cues], at `speech.CONTROL_RATE_HZ`.
    """
    speech = plan_speech(traits, cues, rng)
    cue = dict(zip(VOCAL_CUES, cues.T, strict=True))
    pitch_hz = _pitch_hz(traits, cue, speech, rng)
    source = _pulses(_per_sample(pitch_hz), _per_sample(_roughness(traits, cue)), rng)
    breathiness = traits.breathiness + 0.45 * np.clip(cue["breath"], 0, 1)
    noise = rng.standard_normal(len(source))
    excitation = _per_sample(speech.voiced * (1 - 0.5 * breathiness)) * source
    excitation += 0.35 * _per_sample(speech.voiced * breathiness + speech.breath) * noise
    sound = _vocal_tract(excitation, speech, traits)
    sound += _per_sample(speech.hiss) * _consonants(noise)
    tilt = _per_sample(0.5 + 0.5 * np.tanh(1.5 * cue["brightness"]))
    dull = lfilter([0.45], [1, -0.55], sound)
    sound = dull + tilt * 1.6 * (sound - dull)
    gain = 10 ** (9 * cue["loudness"] / 20) * (1 + 0.35 * _tremor(cue, rng))
    sound = 0.16 * _per_sample(gain) * sound + traits.hiss * rng.standard_normal(len(sound))
    return Utterance(np.tanh(sound).astype(np.float32), np.clip(speech.mouth, 0, 1))


def _pitch_hz(
    traits: VoiceTraits, cue: dict[str, FloatArray], speech: Speech, rng: np.random.Generator
) -> FloatArray:
    wander = np.convolve(rng.standard_normal(len(speech.voiced)), np.ones(8) / 8, "same")
    lift_st = speech.lift_st + 8 * cue["pitch"] + 0.6 * wander + 1.6 * _tremor(cue, rng)
    return np.clip(traits.pitch_hz * 2 ** (lift_st / 12), 55, 600)


def _tremor(cue: dict[str, FloatArray], rng: np.random.Generator) -> FloatArray:
    """Shake at 6 to 8 Hz, as strongly as the cue says."""
    times_s = np.arange(len(cue["tremor"])) / CONTROL_RATE_HZ
    swing = np.sin(2 * np.pi * rng.uniform(6, 8) * times_s + rng.uniform(0, 2 * np.pi))
    return np.clip(cue["tremor"], 0, 1.2) * swing


def _roughness(traits: VoiceTraits, cue: dict[str, FloatArray]) -> FloatArray:
    return np.clip(traits.roughness + cue["roughness"], 0, 1)


def _pulses(pitch_hz: FloatArray, roughness: FloatArray, rng: np.random.Generator) -> FloatArray:
    """Give the derivative of the glottal flow, [n_samples]; rough voices falter at each pulse."""
    cycles = np.cumsum(pitch_hz / SAMPLE_RATE_HZ)
    pulse = cycles.astype(int)
    falter = rng.standard_normal(pulse[-1] + 1)
    falter[::2] -= 1.0
    opened = (cycles - pulse) / 0.6
    flow = np.where(opened < 1, 2 * opened - 3 * opened**2, 0.0)
    strength = np.clip(1 + (0.03 + 0.6 * roughness) * falter[pulse], 0, 2)
    source: FloatArray = flow * strength
    return source


def _vocal_tract(excitation: FloatArray, speech: Speech, traits: VoiceTraits) -> FloatArray:
    shares = np.stack([_per_sample(track) for track in speech.vowels.T])
    sound = np.zeros_like(excitation)
    for vowel in range(len(VOWELS)):
        ringing = excitation
        for formant_hz, bandwidth_hz in zip(_FORMANTS_HZ[vowel], _BANDWIDTHS_HZ, strict=True):
            ringing = _resonate(ringing, formant_hz * traits.formant_scale, bandwidth_hz)
        sound += shares[vowel] * ringing
    return sound


def _resonate(sound: FloatArray, centre_hz: float, bandwidth_hz: float) -> FloatArray:
    """Second-order resonator with unit gain at 0 Hz (Klatt 1980, equation 2)."""
    radius = np.exp(-np.pi * bandwidth_hz / SAMPLE_RATE_HZ)
    b = 2 * radius * np.cos(2 * np.pi * centre_hz / SAMPLE_RATE_HZ)
    c = -(radius**2)
    rung: FloatArray = lfilter([1 - b - c], [1, -b, -c], sound)
    return rung


def _consonants(noise: FloatArray) -> FloatArray:
    band = butter(2, (2500, 6500), "bandpass", fs=SAMPLE_RATE_HZ, output="sos")
    hissed: FloatArray = sosfilt(band, noise)
    return hissed


def _per_sample(track: FloatArray) -> FloatArray:
    """Stretch a control curve to one value per sample."""
    n_samples = len(track) * SAMPLE_RATE_HZ // CONTROL_RATE_HZ
    at = np.arange(n_samples) * CONTROL_RATE_HZ / SAMPLE_RATE_HZ
    return np.interp(at, np.arange(len(track)), track)
