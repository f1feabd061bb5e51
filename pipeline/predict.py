"""Intensities of new clips, from a bundle: `load_bundle(folder).predict(paths)`."""

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import ValidationError

from features.cache import Embedding, default_cache_root
from features.encoders import Encoder, EncoderError, make_encoder
from features.errors import MediaError
from features.extraction.embedder import Embedder
from features.extraction.encoder_run import EncoderRun, unusable
from features.extraction.index import Clip, index_files, iterate_clips
from features.pool import pool_clips
from features.store import StoredClip, gather
from pipeline.bundle import BundleError, Description, Fitted, read_bundle
from pipeline.clip_ids import find_media
from pipeline.params import ParamsError
from pipeline.paths import BUNDLE
from pipeline.views import JOIN

MOST_WINDOWS = 100_000
"""Of a clip in a timeline; headers of media files may say any duration."""

WHOLE = np.array([[-np.inf, np.inf]])
"""The one window, from its begin to its end in seconds, that holds all of a clip."""

Paths = str | Path | Iterable[str | Path]


@dataclass(frozen=True)
class EmbeddedClips:
    """Clips whose embeddings are in the cache, or that have none.

    Attributes
    ----------
    clips : DataFrame
        From `features.extraction.index_files`.
    runs : mapping of str to EncoderRun
        By encoder: where its embeddings are, if some clip had something for it.
    metadata : mapping of str to dict
        By encoder of `runs`: what made the embeddings.
    missing : mapping of str to mapping of str to MediaError
        By clip id: why encoders have nothing of it, by encoder.
    """

    clips: pd.DataFrame
    runs: Mapping[str, EncoderRun]
    metadata: Mapping[str, dict[str, Any]]
    missing: Mapping[str, Mapping[str, MediaError]]


def load_bundle(folder: Path | str = BUNDLE, *, clip_limit_s: float = math.inf) -> "Predictor":
    """Load a bundle, checked; no weights of encoders are fetched yet.

    Parameters
    ----------
    folder : path
        The bundle's folder.
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
    return Predictor(*read_bundle(Path(folder)), clip_limit_s=clip_limit_s)


class Predictor:
    """Predicts new clips, as `load_bundle` makes it; one call at a time.

    Decode workers and encoders stay loaded from one call to the next. Close it, or use it as a
    context manager, to free them earlier than its last use.

    Attributes
    ----------
    description : Description
        What the bundle says of itself.
    encoders : dict of str to Encoder
        Those that the heads were fitted on, by name.
    """

    def __init__(
        self, description: Description, fitted: Fitted, *, clip_limit_s: float = math.inf
    ) -> None:
        self.description, self._fitted = description, fitted
        self._embedder = Embedder(clip_limit_s=clip_limit_s)
        self.encoders: dict[str, Encoder] = {}
        for name, entry in description.encoders.items():
            if entry.spec is None:
                continue
            try:
                self.encoders[name] = make_encoder(entry.spec)
            except (EncoderError, ValidationError) as error:
                told = " ".join(str(error).split("\n", 1)[-1].split())[:300]  # but for its title
                raise BundleError(
                    f"the bundle's encoder {name!r} cannot be made by this version: {told}"
                ) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decode workers and let go of the encoders."""
        self._embedder.close()

    @property
    def random_encoders(self) -> list[str]:
        """Encoders whose weights are random: their predictions mean nothing."""
        entries = self.description.encoders.items()
        return [name for name, each in entries if (each.spec or {}).get("weights") == "random"]

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

    def embed(
        self,
        paths: Paths,
        *,
        cache_root: Path | None = None,
        max_duration_s: float = math.inf,
        progress: bool = True,
    ) -> EmbeddedClips:
        """Embed media files, for a table, windows, or both.

        Parameters
        ----------
        paths : path or iterable of paths
            Videos, sounds, or pictures, which are clips of one frame.
        cache_root : Path, optional
            Where embeddings are kept; default: `features.cache.default_cache_root`.
        max_duration_s : float
            Nothing of a longer clip is used.
        progress : bool
            Show progress bars on standard error.

        Returns
        -------
        EmbeddedClips
            Good for as long as the cache stays.

        Raises
        ------
        BundleError
            When an encoder here is not the one that the heads were fitted on.
        EncoderError
            When an encoder cannot be had.
        ParamsError
            When no media files are found, or two would have the same id.
        OSError
            When the cache cannot be written.
        """
        given = [paths] if isinstance(paths, str | Path) else paths
        files = find_media(Path(path) for path in given)
        clips = index_files(files, workers=self._embedder.workers, progress=progress)
        root, sampling = cache_root or default_cache_root(), self.description.sampling
        runs = {}
        for name, encoder in self.encoders.items():
            if any(unusable(encoder, clip) is None for clip in iterate_clips(clips)):
                runs[name] = EncoderRun(name, encoder, sampling, root)
                self._check_identity(runs[name])
        self._embedder.embed(
            clips, list(runs.values()), max_duration_s=max_duration_s, progress=progress
        )
        missing: dict[str, dict[str, MediaError]] = {each: {} for each in clips["clip_id"]}
        for name in self.description.encoders:
            for clip in iterate_clips(clips) if name not in runs else ():
                missing[clip.clip_id][name] = self._unusable(name, clip)
            for clip_id, error in runs[name].errors(clips).items() if name in runs else ():
                missing[clip_id][name] = error
        metadata = {name: run.metadata() for name, run in runs.items()}
        return EmbeddedClips(clips, runs, metadata, missing)

    def table(self, embedded: EmbeddedClips) -> pd.DataFrame:
        """Predict clips as a whole.

        Returns
        -------
        DataFrame
            One row per clip: ``clip_id`` (the file's name without its ending), ``path``,
            ``has_video``, ``has_audio``, the targets, ``encoders`` (whose features there were,
            joined by ``+``), ``missing`` (the others) and ``reasons`` (``encoder: step: reason``,
            joined by semicolons). The targets are NaN where nothing was usable.
        """
        columns, names = ["clip_id", "path", "has_video", "has_audio"], self.description.encoders
        clips = embedded.clips[columns].reset_index(drop=True)
        whole = [self._vectors(embedded, number) for number in range(len(clips))]
        predicted = self._predict({n: np.concatenate([each[n] for each in whole]) for n in names})
        targets = pd.DataFrame(predicted, columns=list(self.description.targets))
        missing = [embedded.missing[clip_id] for clip_id in clips["clip_id"]]
        notes = {
            "encoders": [JOIN.join(e for e in names if e not in each) for each in missing],
            "missing": [JOIN.join(each) for each in missing],
            "reasons": [
                "; ".join(f"{name}: {error.step}: {error.reason}" for name, error in each.items())
                for each in missing
            ],
        }
        return pd.concat([clips, targets, pd.DataFrame(notes, dtype="string")], axis=1)

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
        if not (0 < window_s < np.inf and 0 < hop_s < np.inf):
            raise ParamsError(f"expected positive seconds, not window {window_s} and hop {hop_s}")
        tables = []
        for number, clip_id in enumerate(embedded.clips["clip_id"]):
            duration_s = _duration_s(embedded, number)
            n_windows = int(max(duration_s - window_s, 0.0) / hop_s + 1e-9) + 1
            if n_windows > MOST_WINDOWS:
                raise ParamsError(
                    f"the clip {clip_id} says to last {duration_s:.0f} s: {n_windows} windows, "
                    f"more than {MOST_WINDOWS}; take a longer hop"
                )
            starts_s = np.asarray(np.arange(n_windows) * hop_s, np.float64)
            windows_s = np.stack([starts_s, starts_s + window_s], axis=1)
            predicted = self._predict(self._vectors(embedded, number, windows_s))
            table = pd.DataFrame(predicted, columns=list(self.description.targets))
            table.insert(0, "clip_id", str(clip_id))
            table.insert(1, "time_s", starts_s + min(window_s, duration_s or window_s) / 2)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _vectors(
        self, embedded: EmbeddedClips, number: int, windows_s: NDArray[np.float64] = WHOLE
    ) -> dict[str, NDArray[np.float32]]:
        """Pool the embeddings of a clip inside windows (n_windows, 2) of its time, as in training.

        Returns vectors (n_windows, width) by encoder; NaN where a window, whose end is outside,
        has no embedding. The only embedding of a clip, such as functionals of all its sound, counts
        in every window.
        """
        row = embedded.clips[number : number + 1]
        begin_s, end_s = windows_s[:, :1], windows_s[:, 1:]
        vectors = {}
        for name, entry in self.description.encoders.items():
            vectors[name] = np.full((len(windows_s), entry.width), np.nan, np.float32)
            run = embedded.runs.get(name)
            for stored in run.stored_clips(row) if run else ():
                time_s, values = stored.embedding.time_s, stored.embedding.values
                inside = (begin_s <= time_s) & (time_s < end_s) | (len(time_s) == 1)
                filled = np.flatnonzero(inside.any(axis=1))
                parts = [
                    StoredClip(f"{window}", stored.sha256, Embedding(time_s[at], values[at]))
                    for window, at in zip(filled, inside[filled], strict=True)
                ]
                if parts:
                    store = gather(parts, embedded.metadata[name])
                    pooled = pool_clips(store, self.description.pooling)[1]
                    if pooled.shape[1] != entry.width:
                        raise BundleError(
                            f"the encoder {name!r} gives {pooled.shape[1]} columns here, but the "
                            f"heads were fitted on {entry.width}: make the bundle anew"
                        )
                    vectors[name][filled] = pooled
        return vectors

    def _predict(self, vectors: Mapping[str, NDArray[np.float32]]) -> NDArray[np.float64]:
        """Predict clip vectors (n_clips, width) by encoder; NaN where a row has none at all."""
        present = np.any([np.isfinite(each).any(axis=1) for each in vectors.values()], axis=0)
        predicted = np.full((len(present), len(self.description.targets)), np.nan)
        if present.any():
            some = {name: each[present] for name, each in vectors.items()}
            predicted[present] = self._fitted.predict(some)
        return predicted

    def _check_identity(self, run: EncoderRun) -> None:
        entry = self.description.encoders[run.name]
        if run.identity == entry.identity:
            return
        what = "preprocessing, sampling or version of the extraction"
        if run.encoder.weights_digest() != entry.weights_digest:
            what = "weights"
        raise BundleError(
            f"the encoder {run.name!r} here is not the one that the heads were fitted on (other "
            f"{what}: identity {run.identity[:12]}… instead of {entry.identity[:12]}…): bring the "
            "weights and the version of then, or make the bundle anew"
        )

    def _unusable(self, name: str, clip: Clip) -> MediaError:
        if name not in self.encoders:
            return MediaError("stream", "imported features: it embeds no new clips")
        error = unusable(self.encoders[name], clip)
        assert error is not None  # else there would be a run
        return error


def _duration_s(embedded: EmbeddedClips, number: int) -> float:
    """Length of a clip, in seconds: from its header, or else the time of its last embedding."""
    duration_s = float(embedded.clips["duration_s"].iloc[number])
    if np.isfinite(duration_s):
        return duration_s
    row = embedded.clips[number : number + 1]
    stored = [each for run in embedded.runs.values() for each in run.stored_clips(row)]
    return max((float(each.embedding.time_s[-1]) for each in stored), default=0.0)
