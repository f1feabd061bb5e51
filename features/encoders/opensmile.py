"""Acoustic feature sets of openSMILE: eGeMAPSv02, ComParE_2016 and the others it ships."""

import warnings
from functools import lru_cache
from importlib.metadata import version
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.encoders.base import SoundTransform
from features.errors import EncoderError, MediaError

if TYPE_CHECKING:
    import pandas as pd


_STEP_S = 0.01  # of low-level descriptors
_LARGEST = np.float32(32767 / 32768)  # openSMILE takes 16 bits: 1.0 would wrap round to -1.0


class OpenSmileEncoder(SoundTransform):
    """Functionals of windows, or low-level descriptors over time.

    Source: openSMILE (Eyben et al., 2010) through audEERING's ``opensmile``; `model` is a name in
    ``opensmile.FeatureSet``.

    Attributes
    ----------
    level : {"functionals", "lld"}
        Functionals summarise a window; low-level descriptors come every 10 ms.
    window_s, hop_s : float or None
        Length and distance of the windows that functionals summarise. None: the whole clip as one
        window. A clip shorter than a window is one window. Without meaning for ``lld``.
    """

    kind: Literal["opensmile"]
    level: Literal["functionals", "lld"] = "functionals"
    window_s: float | None = Field(default=None, ge=0.5, le=3600)
    hop_s: float | None = Field(default=None, ge=0.01, le=3600)

    @model_validator(mode="after")
    def _windows_belong_together(self) -> "OpenSmileEncoder":
        if (self.window_s is None) != (self.hop_s is None):
            raise ValueError("window_s and hop_s go together: give both, or neither")
        if self.level == "lld" and self.window_s is not None:
            raise ValueError("window_s and hop_s belong to `level: functionals`")
        return self

    def weights_digest(self) -> str:
        """Name the library's version: its configuration files are what weights are elsewhere."""
        _extractor(self.model, self.level)  # an unknown feature set is said here
        return f"opensmile:{version('opensmile')}"

    def dimension(self) -> int:
        """Count the feature set's columns."""
        return len(_extractor(self.model, self.level).feature_names)

    def is_clip_level(self) -> bool:
        """Whether functionals are of the whole clip."""
        return self.level == "functionals" and self.window_s is None

    def windows_s(self) -> tuple[float, float] | None:
        """Length and distance of windows; descriptors stand for their step each."""
        if self.level == "lld":
            return _STEP_S, _STEP_S
        return (self.window_s, self.hop_s) if self.window_s and self.hop_s else None

    def embed(
        self, sound: NDArray[np.float32], sample_rate_hz: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Embed one clip's sound; windows too short for the feature set are left out."""
        extractor = _extractor(self.model, self.level)
        sound = np.clip(sound, -1, _LARGEST)
        length = round((self.window_s or 0) * sample_rate_hz) or len(sound)
        hop = max(round((self.hop_s or 0) * sample_rate_hz), 1)
        times, rows = [], []
        with warnings.catch_warnings():
            # A NaN row says the same as the warning, and is dealt with below.
            warnings.filterwarnings("ignore", message="Segment too short")
            for start in range(0, max(len(sound) - length, 0) + 1, hop):
                part = sound[start : start + length]
                table = extractor.process_signal(part, sample_rate_hz)
                times.append(start / sample_rate_hz + _middles_s(table.index))
                rows.append(table.to_numpy(np.float32))
        time_s, embedding = np.concatenate(times), np.concatenate(rows)
        finite = np.isfinite(embedding).all(axis=1)
        if not finite.any():
            raise MediaError(
                "encode",
                f"{len(sound) / sample_rate_hz:.2f} s of sound are too short for {self.model}",
            )
        return time_s[finite], embedding[finite]


def _middles_s(index: "pd.MultiIndex") -> NDArray[np.float64]:
    """Middle of each row, from the first ones: openSMILE bends the last to the end of the sound."""
    import pandas as pd  # openSMILE brings it along; other workers start faster without

    start_s, end_s = (
        pd.TimedeltaIndex(index.get_level_values(name)).total_seconds().to_numpy(np.float64)
        for name in ("start", "end")
    )
    step_s = start_s[1] - start_s[0] if len(index) > 1 else 0.0
    middles_s: NDArray[np.float64] = (start_s[0] + end_s[0]) / 2 + step_s * np.arange(len(index))
    return middles_s


@lru_cache(maxsize=8)
def _extractor(model: str, level: str) -> Any:
    """One openSMILE object per process: it is not thread-safe, and costly to set up."""
    import opensmile

    names = list(opensmile.FeatureSet.__members__)
    if model not in names:
        raise EncoderError(f"openSMILE has no feature set {model!r}: expected one of {names}")
    return opensmile.Smile(
        opensmile.FeatureSet[model], {"functionals": "func", "lld": "lld"}[level]
    )
