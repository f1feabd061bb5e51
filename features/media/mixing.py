"""How the channels of a sound become one.

The mean of those that hold sound, so that a voice is equally loud in a mono clip, on two channels
or six, or on one of two.
"""

import av
import numpy as np
from numpy.typing import NDArray

from features.errors import MediaError

MAX_CHANNELS = 64

SILENT_CHANNEL = 0.01
"""A channel with less than this share of the loudest one's level (-40 dB) holds no sound.

Encoders leave -77 dB or less on a silent channel beside a voice, an unused microphone's hiss lies
around -50 dB; what a second person's microphone hears of the first lies above -30 dB.
"""

OPPOSITE = -0.5
"""A channel with less than this correlation with the loudest one was wired the wrong way round."""


_MAX_PLANES = 8  # from so many on PyAV 18 reads beyond a frame's planes


class Mixer:
    """Mixes frame by frame, and measures the channels; corrected by that, it mixes as it should.

    Channels for low tones only (LFE) are left out where there are others.
    """

    def __init__(self) -> None:
        self._weights: dict[str, NDArray[np.float64]] = {}  # by layout, which may change midway
        self._measured: dict[str, _Moments] = {}

    def mix(self, frame: av.AudioFrame) -> av.AudioFrame:
        """Return the frame with its channels mixed down, without a time stamp.

        Raises
        ------
        MediaError
            Step ``decode`` for more than `MAX_CHANNELS`.
        """
        layout = frame.layout.name
        if layout == "mono":
            frame.pts = None
            return frame
        samples = _to_float(frame)
        if layout not in self._weights:
            if len(samples) > MAX_CHANNELS:
                reason = f"{len(samples)} channels of sound: more than {MAX_CHANNELS}"
                raise MediaError("decode", reason)
            heard = np.array([c.name not in {"LFE", "LFE2"} for c in frame.layout.channels])
            heard |= not heard.any()
            self._measured[layout] = _Moments(heard)
            self._weights[layout] = heard / heard.sum()
        self._measured[layout].add(samples)
        mixed = np.float32(self._weights[layout]) @ samples
        mono = av.AudioFrame.from_ndarray(mixed[None], format="flt", layout="mono")
        mono.sample_rate = frame.sample_rate
        return mono

    def correct(self) -> bool:
        """Weight the channels by what was measured; return whether that changes the mix."""
        before = self._weights
        self._weights = {name: each.weights() for name, each in self._measured.items()}
        return any(not np.array_equal(before[name], self._weights[name]) for name in before)


class _Moments:
    """Sums over the samples of channels that show which are silent, and which alike."""

    def __init__(self, heard: NDArray[np.bool_]) -> None:
        self._heard = heard
        self._n_samples = 0
        self._sum = np.zeros(len(heard))
        self._products = np.zeros((len(heard), len(heard)))

    def add(self, samples: NDArray[np.float32]) -> None:
        self._n_samples += samples.shape[1]
        self._sum += samples.sum(axis=1)
        self._products += samples @ samples.T

    def weights(self) -> NDArray[np.float64]:
        mean = self._sum / max(self._n_samples, 1)
        covariance = self._products / max(self._n_samples, 1) - np.outer(mean, mean)
        level = np.sqrt(np.maximum(np.diag(covariance), 0))  # without a constant offset
        heard = self._heard if level[self._heard].any() else np.ones_like(self._heard)
        loudest = int(np.argmax(level * heard))
        has_sound = heard & (level >= SILENT_CHANNEL * level[loudest])
        opposite = covariance[loudest] < OPPOSITE * level * level[loudest]
        signs = np.where(opposite, -1.0, 1.0)
        weights: NDArray[np.float64] = signs * has_sound / max(int(has_sound.sum()), 1)
        return weights


def _to_float(frame: av.AudioFrame) -> NDArray[np.float32]:
    """Return samples of shape (n_channels, n_samples), integers scaled to [-1, 1)."""
    if frame.format.is_planar and frame.layout.nb_channels >= _MAX_PLANES:
        packed = av.AudioResampler("flt", frame.layout.name, frame.sample_rate)
        frame.pts = None
        (frame,) = packed.resample(frame)
    samples = frame.to_ndarray()
    if frame.format.is_packed:
        samples = samples.reshape(-1, frame.layout.nb_channels).T
    if samples.dtype.kind == "f":
        return np.ascontiguousarray(samples, np.float32)
    steps = 2.0 ** (8 * samples.dtype.itemsize - 1)
    offset = steps if samples.dtype.kind == "u" else 0.0
    return ((samples - offset) / steps).astype(np.float32)
