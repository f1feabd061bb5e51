"""How the channels of a sound become one.

The mean of those that hold sound, so that a voice is equally loud in a mono clip, on two channels
or six, or on one of two.
"""

from collections.abc import Iterable, Iterator
from typing import Any

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


class Mixer:
    """Mixes block by block, and measures the channels; corrected by that, it mixes as it should.

    Channels for low tones only (LFE) are left out where there are others.
    """

    def __init__(self) -> None:
        # By layout, which may change midway. Products are those of the channels with each other;
        # the last row has the sums of the channels, and the number of samples.
        self._weights: dict[str, NDArray[np.float64]] = {}
        self._heard: dict[str, NDArray[np.bool_]] = {}
        self._products: dict[str, NDArray[np.float64]] = {}

    def mix(self, blocks: Iterable[av.AudioFrame]) -> Iterator[av.AudioFrame]:
        """Yield blocks of one format with their channels mixed down, without time stamps.

        Raises
        ------
        MediaError
            Step ``decode`` for more than `MAX_CHANNELS`.
        """
        to_float: av.AudioResampler | None = None
        for block in blocks:
            layout, n_channels = block.layout.name, block.layout.nb_channels
            if layout == "mono":
                yield block
                continue
            if n_channels > MAX_CHANNELS:
                reason = f"{n_channels} channels of sound: more than {MAX_CHANNELS}"
                raise MediaError("decode", reason)
            if layout not in self._weights:
                heard = np.array([c.name not in {"LFE", "LFE2"} for c in block.layout.channels])
                self._heard[layout] = heard = heard | (not heard.any())
                self._weights[layout] = heard / heard.sum()
                self._products[layout] = np.zeros((n_channels + 1, n_channels + 1))
            to_float = to_float or av.AudioResampler("fltp", block.layout, block.sample_rate)
            for planar in to_float.resample(block):
                planes: Any = planar.planes[:n_channels]  # PyAV 18 lists more where there are eight
                channels = np.array([np.frombuffer(p, np.float32, planar.samples) for p in planes])
                products = self._products[layout]
                with np.errstate(invalid="ignore"):  # infinite samples are refused in the end
                    products[:-1, :-1] += channels @ channels.T
                    products[-1, :-1] += channels @ np.ones(planar.samples, np.float32)
                products[-1, -1] += planar.samples
                mixed = np.float32(self._weights[layout]) @ channels
                mono = av.AudioFrame.from_ndarray(mixed[None], format="flt", layout="mono")
                mono.sample_rate = block.sample_rate
                yield mono

    def correct(self) -> bool:
        """Weight the channels by what was measured; return whether that changes the mix."""
        before = self._weights
        self._weights = {
            layout: _weights(products, self._heard[layout])
            for layout, products in self._products.items()
        }
        return any(not np.array_equal(before[name], self._weights[name]) for name in before)


def _weights(products: NDArray[np.float64], heard: NDArray[np.bool_]) -> NDArray[np.float64]:
    products = products / max(products[-1, -1], 1)
    mean = products[-1, :-1]
    covariance = products[:-1, :-1] - np.outer(mean, mean)
    level = np.sqrt(np.maximum(np.diag(covariance), 0))  # without a constant offset
    if not level[heard].any():
        heard = np.ones_like(heard)
    loudest = int(np.argmax(level * heard))
    has_sound = heard & (level >= SILENT_CHANNEL * level[loudest])
    opposite = (covariance[loudest] < OPPOSITE * level * level[loudest]) & (level > 0)
    weights: NDArray[np.float64] = (
        np.where(opposite, -1.0, 1.0) * has_sound / max(has_sound.sum(), 1)
    )
    return weights
