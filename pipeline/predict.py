"""Intensities of new clips, from bundles: `load_bundle().predict(paths)`."""

import math
from collections.abc import Mapping
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from pipeline.bundle import find_bundles, read_bundle
from pipeline.new_clips import ClipEmbedder, EmbeddedClips, Paths
from pipeline.params import ParamsError
from pipeline.views import JOIN

MOST_WINDOWS = 100_000
"""Of a clip in a timeline; headers of media files may say any duration."""

WHOLE = np.array([[-np.inf, np.inf]])
"""The one window that holds all of a clip."""


def load_bundle(bundle: str | Path | None = None, *, clip_limit_s: float = math.inf) -> "Predictor":
    """Load a bundle, or several side by side, checked; no weights of encoders are fetched yet.

    Parameters
    ----------
    bundle : str or Path, optional
        As for `pipeline.bundle.find_bundles`: a folder, or ``face`` or ``voice``, which come with
        the package. Without it: the bundle of the run in the working folder, else both of those.
    clip_limit_s : float
        Longest time that reading one clip may take, as for `features.extraction.embedder.Embedder`.

    Raises
    ------
    BundleError
        As `pipeline.bundle.read_bundle`, or for an encoder that this version does not know.

    Examples
    --------
    >>> with load_bundle("results/bundle") as bundle:  # encoders stay loaded until its end
    ...     table = bundle.predict("clip.mp4")
    ...     windows = bundle.timeline("clip.mp4", window_s=2)
    >>> table[["clip_id", "encoders", "missing"]].to_dict("records")
    [{'clip_id': 'clip', 'encoders': 'sound+tiny', 'missing': ''}]
    >>> windows.columns.tolist()
    ['clip_id', 'time_s', 'joy', 'fear']
    """
    bundles = [read_bundle(path).named(name) for name, path in find_bundles(bundle).items()]
    return Predictor(bundles, clip_limit_s=clip_limit_s)


class Predictor(ClipEmbedder):
    """Predicts new clips, as `load_bundle` makes it: embeds them, and asks the heads of bundles."""

    @property
    def targets(self) -> list[str]:
        """What is predicted, in this order."""
        return [name for each in self.bundles for name in each.description.targets]

    def predict(self, paths: Paths) -> pd.DataFrame:
        """Predict media files; a folder stands for all media files below it.

        A clip without sound, or without a face where an encoder needs one, is predicted from what
        is there; the heads take the training mean for the rest, as they did in training.

        Errors are those of `embed`; the table is that of `table`.
        """
        return self.table(self.embed(paths))

    def timeline(self, paths: Paths, *, window_s: float = 2.0, hop_s: float = 0.5) -> pd.DataFrame:
        """Predict windows that slide over clips: how an intensity comes and goes.

        Errors are those of `embed` and `windows`; the table is that of `windows`.
        """
        return self.windows(self.embed(paths), window_s=window_s, hop_s=hop_s)

    def table(self, embedded: EmbeddedClips) -> pd.DataFrame:
        """Predict clips as a whole.

        Returns
        -------
        DataFrame
            One row per clip: ``clip_id`` (the file's name without its ending), ``path``,
            ``has_video``, ``has_audio``, the targets, ``encoders`` (whose features there were,
            joined by ``+``), ``missing`` (the others) and ``reasons`` (``encoder: step: reason``,
            joined by semicolons). The targets of a bundle are NaN where nothing was usable for it.
        """
        clips = embedded.clips[["clip_id", "path", "has_video", "has_audio"]]
        predicted = self._predict(embedded, dict.fromkeys(range(len(clips)), WHOLE))
        missing = [embedded.missing[clip_id] for clip_id in clips["clip_id"]]
        notes = {
            "encoders": [JOIN.join(e for e in self._entries if e not in each) for each in missing],
            "missing": [JOIN.join(each) for each in missing],
            "reasons": ["; ".join(f"{n}: {why}" for n, why in each.items()) for each in missing],
        }
        tables = [clips.reset_index(drop=True), predicted, pd.DataFrame(notes, dtype="string")]
        return pd.concat(tables, axis=1)

    def windows(
        self, embedded: EmbeddedClips, *, window_s: float = 2.0, hop_s: float = 0.5
    ) -> pd.DataFrame:
        """Predict windows that slide over clips.

        The heads were fitted on whole clips, so a window says what a clip of that moment would get.

        Parameters
        ----------
        embedded : EmbeddedClips
            The clips, from `embed`.
        window_s, hop_s : float
            Length of a window, and the time from one to the next. A clip that is shorter than a
            window is one.

        Returns
        -------
        DataFrame
            ``clip_id``, ``time_s`` (the middle of the window) and the targets; NaN where a window
            holds nothing usable.

        Raises
        ------
        ParamsError
            When a length is not positive, or a clip has too many windows.
        """
        tables = []
        durations_s = embedded.clips.set_index("clip_id")["duration_s"].fillna(0)  # of pictures
        for number, (clip_id, duration_s) in enumerate(durations_s.items()):
            windows_s = _sliding_windows(str(clip_id), duration_s, window_s, hop_s)
            table = self._predict(embedded, {number: windows_s})
            table.insert(0, "clip_id", str(clip_id))
            middle_s = windows_s[:, 0] + min(window_s, duration_s or window_s) / 2
            table.insert(1, "time_s", middle_s)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _predict(
        self, embedded: EmbeddedClips, windows_s: Mapping[int, NDArray[np.float64]]
    ) -> pd.DataFrame:
        """Predict windows of clips, by number: begins and ends (n_windows, 2), the end outside.

        Returns a row per window, NaN where a bundle has nothing of it.
        """
        of_clips = [self.vectors(embedded, number, each) for number, each in windows_s.items()]
        predicted = []
        for bundle in self.bundles:
            vectors = {
                name: np.concatenate([each[name] for each in of_clips])
                for name in bundle.description.encoders
            }
            present = np.any([np.isfinite(each).any(axis=1) for each in vectors.values()], axis=0)
            table = np.full((len(present), len(bundle.description.targets)), np.nan)
            if present.any():
                table[present] = bundle.predict({n: each[present] for n, each in vectors.items()})
            predicted.append(table)
        return pd.DataFrame(np.concatenate(predicted, axis=1), columns=self.targets)


def _sliding_windows(
    clip_id: str, duration_s: float, window_s: float, hop_s: float
) -> NDArray[np.float64]:
    """Return begins and ends of the windows of a clip, in seconds (n_windows, 2)."""
    if not (0 < window_s < np.inf and 0 < hop_s < np.inf):
        raise ParamsError(f"expected positive seconds, not window {window_s} and hop {hop_s}")
    n_windows = int(max(duration_s - window_s, 0.0) / hop_s + 1e-9) + 1
    if n_windows > MOST_WINDOWS:
        raise ParamsError(
            f"the clip {clip_id} says to last {duration_s:.0f} s: {n_windows} windows, more than "
            f"{MOST_WINDOWS}; take a longer hop"
        )
    starts_s = np.arange(n_windows) * hop_s
    return np.stack([starts_s, starts_s + window_s], axis=1)
