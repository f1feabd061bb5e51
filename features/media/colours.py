"""Colours that a usual screen cannot show (HDR, wide gamuts) as those it can: sRGB."""

from functools import lru_cache

import numpy as np
from numpy.typing import NDArray

WHITE_NITS = 203.0
"""The white of usual pictures within HDR (ITU-R BT.2408); what is brighter becomes white."""

_PQ, _HLG = 16, 18  # transfer characteristics, as ITU-T H.273 numbers them
_HLG_PEAK_NITS = 1000.0
_HLG_GAMMA = 1.2  # of a screen of that peak
_LUMA_2020 = np.array([0.2627, 0.6780, 0.0593], np.float32)

_TO_709 = {  # from linear light of these primaries to that of BT.709 and sRGB
    9: [[1.6605, -0.5876, -0.0728], [-0.1246, 1.1329, -0.0083], [-0.0182, -0.1006, 1.1187]],
    12: [[1.2249, -0.2247, 0.0], [-0.0420, 1.0419, 0.0], [-0.0196, -0.0786, 1.0979]],
}
_LEVELS = 65536
_WHITE = 255 * 256  # as FFmpeg writes it into 16 bits


def is_beyond_srgb(transfer: int, primaries: int) -> bool:
    """Tell whether pictures tagged so are HDR, or in the gamut of BT.2020 or Display P3."""
    return transfer in (_PQ, _HLG) or primaries in _TO_709


def to_srgb(rgb: NDArray[np.uint16], transfer: int, primaries: int) -> NDArray[np.uint8]:
    """Convert a picture to sRGB.

    Hybrid log-gamma (HLG) is what a screen of 1,000 cd/m2 shows, perceptual quantisation (PQ) is
    light as it stands; `WHITE_NITS` becomes 255. Other pictures change their gamut only.

    Parameters
    ----------
    rgb : ndarray of uint16, shape (height, width, 3)
        As coded, full range.
    transfer, primaries : int
        Their tags, as ITU-T H.273 numbers them.

    Returns
    -------
    ndarray of uint8, shape (height, width, 3)
        What does not fit into sRGB is clipped, channel by channel.
    """
    light = _linear(transfer)[rgb]
    if transfer == _HLG:
        luma = light @ _LUMA_2020
        light *= luma[:, :, None] ** np.float32(_HLG_GAMMA - 1) * (_HLG_PEAK_NITS / WHITE_NITS)
    matrix = _TO_709.get(primaries if primaries != 2 else 9)  # untagged HDR is BT.2020
    if matrix is not None:
        light = light @ np.array(matrix, np.float32).T
    np.clip(light, 0, 1, out=light)
    coded: NDArray[np.uint8] = _coded()[(light * (_LEVELS - 1) + 0.5).astype(np.uint16)]
    return coded


@lru_cache(maxsize=4)
def _linear(transfer: int) -> NDArray[np.float32]:
    """Light of each coded level: of the scene for HLG, otherwise relative to white."""
    coded = np.minimum(np.arange(_LEVELS) / _WHITE, 1)
    if transfer == _HLG:
        a, b, c = 0.17883277, 0.28466892, 0.55991073
        light = np.where(coded <= 0.5, coded**2 / 3, (np.exp((coded - c) / a) + b) / 12)
    elif transfer == _PQ:
        m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
        root = coded ** (1 / m2)
        light = (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) * 10_000 / WHITE_NITS
    else:
        light = np.where(coded <= 0.04045, coded / 12.92, ((coded + 0.055) / 1.055) ** 2.4)
    return light.astype(np.float32)


@lru_cache(maxsize=1)
def _coded() -> NDArray[np.uint8]:
    """Levels of sRGB in 8 bits, by light."""
    light = np.arange(_LEVELS) / (_LEVELS - 1)
    coded = np.where(light <= 0.0031308, light * 12.92, 1.055 * light ** (1 / 2.4) - 0.055)
    levels: NDArray[np.uint8] = np.rint(coded * 255).astype(np.uint8)
    return levels
