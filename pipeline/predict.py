"""Intensities of new clips, from bundles: `load_bundle().predict(paths)`."""

import math
from collections.abc import Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from features.cache import default_cache_root
from features.encoders import Encoder, Recogniser, make_encoder
from features.errors import MediaError
from features.extraction.embedder import Embedder, EncoderRun, plan, unusable
from features.extraction.index import index_files, iterate_clips
from features.pool import pool_clips
from features.store import FeatureStore
from features.transcripts import clips_of_words, heard_transcripts
from pipeline.bundle import Bundle, BundleError, encoder_of, find_bundles, read_bundle
from pipeline.clip_ids import find_media
from pipeline.params import ParamsError
from pipeline.paths import HEARD
from pipeline.views import JOIN

MOST_WINDOWS = 100_000
"""Of a clip in a timeline; headers of media files may say any duration."""

_WHOLE = np.array([[-np.inf, np.inf]])  # the one window that holds all of a clip
_IMPORTED = MediaError("stream", "imported features: it embeds no new clips")

Paths = str | Path | Iterable[str | Path]


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


@dataclass(frozen=True)
class EmbeddedClips:
    """Clips whose embeddings are in the cache, or that have none: good while the cache stays.

    Attributes
    ----------
    clips : DataFrame
        From `features.extraction.index_files`.
    runs : mapping of str to EncoderRun
        By encoder: where its embeddings are, if some clip had something for it.
    tables : mapping of str to DataFrame
        By encoder: the clips as it takes them. Those of an encoder of text hold what is said.
    missing : mapping of str to mapping of str to MediaError
        By clip id: why encoders have nothing of it, by encoder.
    """

    clips: pd.DataFrame
    runs: Mapping[str, EncoderRun]
    tables: Mapping[str, pd.DataFrame]
    missing: Mapping[str, Mapping[str, MediaError]]


class Predictor(AbstractContextManager["Predictor"]):
    """Embeds new clips by the encoders of bundles, and asks their heads; one call at a time.

    Decode workers and encoders stay loaded from one call to the next. Close it, or use it as a
    context manager, to free them earlier than its last use.

    Attributes
    ----------
    bundles : sequence of Bundle
        No two of them have a target or an encoder of one name.
    encoders : dict of str to Encoder
        Those that the heads were fitted on, by name, but for imported features.
    targets : list of str
        What is predicted, in this order.
    random_encoders : list of str
        Encoders whose weights are random: what is made of them means nothing.
    """

    def __init__(self, bundles: Sequence[Bundle], *, clip_limit_s: float = math.inf) -> None:
        self.bundles = bundles
        said = [each.description for each in bundles]
        self.targets = [name for each in said for name in each.targets]
        self._entries = {n: (entry, each) for each in said for n, entry in each.encoders.items()}
        specs = {n: entry.spec for n, (entry, _) in self._entries.items() if entry.spec is not None}
        self.encoders = {n: encoder_of(n, spec, make_encoder) for n, spec in specs.items()}
        self.random_encoders = [n for n, spec in specs.items() if spec.get("weights") == "random"]
        # At most one hears: bundles that stand side by side are ready ones, which read no words.
        hearing = [(HEARD, (each.recogniser, each)) for each in said if each.recogniser is not None]
        self._made_by = self._entries | dict(hearing)
        self._recognisers: dict[str, Recogniser] = {
            name: encoder_of(name, entry.spec, Recogniser.model_validate)
            for name, (entry, _) in hearing
        }
        self._embedder = Embedder(clip_limit_s=clip_limit_s)

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the decode workers and let go of the encoders."""
        self._embedder.close()

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
            Videos, sounds, or pictures, which are clips of one frame; a folder stands for all media
            files below it.
        cache_root : Path, optional
            Where embeddings are kept; default: `features.cache.default_cache_root`.
        max_duration_s : float
            Nothing of a longer clip is used.
        progress : bool
            Show progress bars on standard error.

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
        table = index_files(files, workers=self._embedder.workers, progress=progress)
        place = cache_root or default_cache_root()
        readers = {name: e for name, e in self.encoders.items() if e.modality == "words"}
        others = {name: e for name, e in self.encoders.items() if name not in readers}
        runs = self._embed({**others, **self._recognisers}, table, place, max_duration_s, progress)
        tables = dict.fromkeys(self._entries, table)
        for hearer, recogniser in self._recognisers.items():
            heard = runs[hearer].stored_clips(table) if hearer in runs else ()
            words = clips_of_words(heard_transcripts(recogniser, heard, table), table)
            runs |= self._embed(readers, words, place, max_duration_s, progress)
            tables |= dict.fromkeys(readers, words)
        missing: dict[str, dict[str, MediaError]] = {clip_id: {} for clip_id in table["clip_id"]}
        for name, clips in tables.items():
            failed = runs[name].errors(clips) if name in runs else {}
            for clip in iterate_clips(clips):
                if name not in self.encoders:
                    missing[clip.clip_id][name] = _IMPORTED
                elif error := unusable(self.encoders[name], clip) or failed.get(clip.clip_id):
                    missing[clip.clip_id][name] = error
        return EmbeddedClips(table, runs, tables, missing)

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
        predicted = self._predict(embedded, dict.fromkeys(range(len(clips)), _WHOLE))
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
        if not (0 < window_s < np.inf and 0 < hop_s < np.inf):
            raise ParamsError(f"expected positive seconds, not window {window_s} and hop {hop_s}")
        tables = []
        durations_s = embedded.clips.set_index("clip_id")["duration_s"].fillna(0)  # of pictures
        for number, (clip_id, duration_s) in enumerate(durations_s.items()):
            n_windows = int(max(duration_s - window_s, 0.0) / hop_s + 1e-9) + 1
            if n_windows > MOST_WINDOWS:
                raise ParamsError(
                    f"the clip {clip_id} says to last {duration_s:.0f} s: {n_windows} windows, "
                    f"more than {MOST_WINDOWS}; take a longer hop"
                )
            starts_s = np.arange(n_windows) * hop_s
            windows_s = np.stack([starts_s, starts_s + window_s], axis=1)
            table = self._predict(embedded, {number: windows_s})
            table.insert(0, "clip_id", str(clip_id))
            table.insert(1, "time_s", starts_s + min(window_s, duration_s or window_s) / 2)
            tables.append(table)
        return pd.concat(tables, ignore_index=True)

    def _embed(
        self,
        encoders: Mapping[str, Encoder],
        table: pd.DataFrame,
        place: Path | str,
        max_duration_s: float,
        progress: bool,
    ) -> dict[str, EncoderRun]:
        """Embed clips by the encoders that some clip has something for, and return these."""
        clips, runs = list(iterate_clips(table)), {}
        for name, encoder in encoders.items():
            if all(unusable(encoder, clip) for clip in clips):
                continue
            entry, description = self._made_by[name]
            runs[name] = run = EncoderRun(name, encoder, description.sampling, place)
            if run.identity != entry.identity:
                what = "preprocessing, sampling or version of the extraction"
                if encoder.weights_digest() != entry.weights_digest:
                    what = "weights"
                raise BundleError(
                    f"the encoder {name!r} here is not the one that the heads were fitted on "
                    f"(other {what}): bring those of then, or make the bundle anew"
                )
            run.check(table)  # they are read later, when nothing is computed any more
        self._embedder.embed(plan(table, runs, max_duration_s), runs, progress=progress)
        return runs

    def _predict(
        self, embedded: EmbeddedClips, windows_s: Mapping[int, NDArray[np.float64]]
    ) -> pd.DataFrame:
        """Predict windows of clips, by number: begins and ends (n_windows, 2), the end outside.

        Returns a row per window, NaN where a bundle has nothing of it.
        """
        of_clips = [self._vectors(embedded, number, each) for number, each in windows_s.items()]
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

    def _vectors(
        self, embedded: EmbeddedClips, number: int, windows_s: NDArray[np.float64]
    ) -> dict[str, NDArray[np.float32]]:
        """Pool the embeddings of a clip inside windows of its time, as in training.

        Returns vectors (n_windows, width) by encoder; NaN where a window has no embedding. The only
        embedding of a clip, such as functionals of all its sound, counts in every window.
        """
        begin_s, end_s = windows_s[:, :1], windows_s[:, 1:]
        vectors = {}
        for name, (entry, description) in self._entries.items():
            vectors[name] = np.full((len(windows_s), entry.width), np.nan, np.float32)
            run, row = embedded.runs.get(name), embedded.tables[name][number : number + 1]
            for _, _, stored in run.stored_clips(row) if run else ():
                inside = (begin_s <= stored.time_s) & (stored.time_s < end_s)
                windows, at = np.nonzero(inside | (len(stored.time_s) == 1))
                if len(windows) == 0:
                    continue
                level = {"level": "clip"} if self.encoders[name].is_clip_level() else {}
                ids = windows.astype(str).astype(object)
                track = None if stored.track is None else stored.track[at]
                store = FeatureStore(ids, stored.time_s[at], stored.values[at], level, track=track)
                vectors[name][np.unique(windows)] = pool_clips(store, description.pooling)[1]
        return vectors
