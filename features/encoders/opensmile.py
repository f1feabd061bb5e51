"""Acoustic features of openSMILE: its sets, such as eGeMAPSv02, and configuration files."""

import hashlib
import re
import warnings
from collections.abc import Iterator
from functools import lru_cache
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray
from pydantic import Field, model_validator

from features.encoders.base import SoundTransform
from features.errors import EncoderError, MediaError

if TYPE_CHECKING:
    import pandas as pd


_FILE = ".conf"
_INCLUDE = re.compile(r"\\\{([^}\\]+)\}")
_LEVELS = {"functionals": "func", "lld": "lld"}
_STEP_S = 0.01  # of low-level descriptors
_LARGEST = np.float32(32767 / 32768)  # openSMILE takes 16 bits: 1.0 would wrap round to -1.0


class OpenSmileEncoder(SoundTransform):
    """Functionals of windows, or low-level descriptors over time.

    Source: openSMILE (Eyben et al., 2010) through audEERING's ``opensmile``; `model` is a name in
    ``opensmile.FeatureSet``, or a configuration file ending in ``.conf``, written as the page of
    ``opensmile.Smile`` says.

    Attributes
    ----------
    level : {"functionals", "lld"}
        Functionals summarise a window; low-level descriptors come every 10 ms.
    window_s, hop_s : float or None
        Length and distance of the windows that functionals summarise. None: the whole clip as one
        window. A clip shorter than a window is one window. Of descriptors, `hop_s` alone makes
        each row the mean over so many seconds.
    sink : str or None
        The data memory level of a configuration file that is kept; None: ``func`` or ``lld``, by
        `level`, as in openSMILE's own files.
    """

    named_by_weights = frozenset({"model"})

    kind: Literal["opensmile"]
    level: Literal["functionals", "lld"] = "functionals"
    window_s: float | None = Field(default=None, ge=0.5, le=3600)
    hop_s: float | None = Field(default=None, ge=0.01, le=3600)
    sink: str | None = None

    @model_validator(mode="after")
    def _windows_belong_together(self) -> "OpenSmileEncoder":
        if self.level == "lld" and self.window_s is not None:
            raise ValueError("window_s belongs to `level: functionals`")
        if self.level == "functionals" and (self.window_s is None) != (self.hop_s is None):
            raise ValueError("window_s and hop_s go together: give both, or neither")
        if self.sink is not None and not self.model.endswith(_FILE):
            raise ValueError(f"sink belongs to a `model:` that is a file, {_FILE}")
        return self

    def weights_digest(self) -> str:
        """Name the library's version, and its feature set or the digest of a file and its parts."""
        _ = self._extractor  # what cannot be had is said here
        named = self.model
        if named.endswith(_FILE):
            files = [path.read_bytes() for path in _with_included(Path(named).expanduser())]
            named = hashlib.sha256(b"".join(files)).hexdigest()
        return f"opensmile:{version('opensmile')}:{named}"

    def columns(self) -> dict[str, int]:
        """Name the features, as openSMILE does."""
        return dict.fromkeys(self._extractor.feature_names, 1)

    def is_clip_level(self) -> bool:
        """Whether functionals are of the whole clip."""
        return self.level == "functionals" and self.window_s is None

    def windows_s(self) -> tuple[float, float] | None:
        """Length and distance of windows; descriptors stand for their step each."""
        if self.level == "lld":
            return (self.hop_s or _STEP_S,) * 2
        return (self.window_s, self.hop_s) if self.window_s and self.hop_s else None

    def embed(
        self, sound: NDArray[np.float32], sample_rate_hz: int
    ) -> tuple[NDArray[np.float64], NDArray[np.float32]]:
        """Embed one clip's sound; windows too short for the feature set are left out."""
        sound = np.clip(sound, -1, _LARGEST)
        length = round((self.window_s or 0) * sample_rate_hz) or len(sound)
        hop = max(round((self.hop_s or 0) * sample_rate_hz), 1)
        starts = range(0, max(len(sound) - length, 0) + 1, hop) if self.window_s else (0,)
        times, rows = [], []
        with warnings.catch_warnings():
            # A NaN row says the same as the warning, and is dealt with below.
            warnings.filterwarnings("ignore", message="Segment too short")
            for start in starts:
                part = sound[start : start + length]
                table = self._extractor.process_signal(part, sample_rate_hz)
                times.append(start / sample_rate_hz + _middles_s(table.index))
                rows.append(table.to_numpy(np.float32))
        time_s, embedding = np.concatenate(times), np.concatenate(rows)
        finite = np.isfinite(embedding).all(axis=1)
        if not finite.any():
            raise MediaError(
                "encode",
                f"{len(sound) / sample_rate_hz:.2f} s of sound are too short for {self.model}",
            )
        if self.is_clip_level() and len(time_s) > 1:
            raise MediaError(
                "encode", f"{self.model} gives {len(time_s)} rows of a clip: set `level: lld`"
            )
        time_s, embedding = time_s[finite], embedding[finite]
        if self.level == "lld" and self.hop_s:
            _, firsts = np.unique((time_s + 1e-6) // self.hop_s, return_index=True)
            n_each = np.diff([*firsts, len(time_s)])
            time_s = np.add.reduceat(time_s, firsts) / n_each
            means = np.add.reduceat(embedding.astype(np.float64), firsts) / n_each[:, None]
            embedding = means.astype(np.float32)
        return time_s, embedding

    @property
    def _extractor(self) -> Any:
        return _extractor(self.model, self.sink or _LEVELS[self.level])


def _with_included(path: Path) -> Iterator[Path]:
    """Yield a configuration file and those that it includes, but for openSMILE's own by option."""
    yield path
    for name in _INCLUDE.findall(path.read_text(encoding="utf-8", errors="replace")):
        if (inside := path.parent / name).is_file():
            yield from _with_included(inside)


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

    if model.endswith(_FILE):
        path = Path(model).expanduser()
        if not path.is_file():
            raise EncoderError(f"there is no {path}: correct the path after `model:`")
        try:
            return opensmile.Smile(str(path), level)
        except Exception as error:  # its own say little: the log on standard error says more
            raise EncoderError(
                f"openSMILE cannot read {path} ({error}): expected an external source and "
                f"sink, as opensmile.Smile's page shows, and a level {level!r}; "
                "`sink:` names another"
            ) from error
    names = list(opensmile.FeatureSet.__members__)
    if model not in names:
        raise EncoderError(
            f"openSMILE has no feature set {model!r}: expected a file{_FILE}, or one of {names}"
        )
    return opensmile.Smile(opensmile.FeatureSet[model], level)
